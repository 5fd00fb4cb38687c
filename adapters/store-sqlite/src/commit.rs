//! One commit within the group's transaction: every expectation checked by the statement that writes, all or nothing.

use cartwright_store::{Commit, Effect, StoreError, Write};
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use crate::outbox;
use crate::table::{Table, Tables, Value, checksum};

/// Why a commit did not happen.
pub(crate) enum Failure {
    /// It was refused alone; the others of the group go on.
    Refused(StoreError),
    /// The engine failed; nothing of the group is written.
    Engine(rusqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Engine(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

/// How places of unique indexes change hands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moving {
    /// Each statement finds its places free; true for nearly all commits.
    Straight,
    /// Everybody leaves first: SQLite checks each statement, so two that swap would stand in each other's way.
    AllLeaveFirst,
}

/// Applies `commit` or nothing of it.
pub(crate) fn apply(connection: &Connection, tables: &Tables, commit: &Commit) -> Result<(), Failure> {
    let result = attempt(connection, tables, commit, Moving::Straight);
    if !matches!(result, Err(Failure::Refused(StoreError::NotUnique { .. }))) {
        return result;
    }
    expected(connection, tables, commit)?;
    if commit.writes.len() < 2 {
        return result;
    }
    attempt(connection, tables, commit, Moving::AllLeaveFirst)
}

fn attempt(connection: &Connection, tables: &Tables, commit: &Commit, moving: Moving) -> Result<(), Failure> {
    // One statement is all or nothing by itself.
    if moving == Moving::Straight && commit.writes.len() + commit.events.len() < 2 {
        return write_all(connection, tables, commit);
    }
    run(connection, "SAVEPOINT one")?;
    let result = match moving {
        Moving::Straight => write_all(connection, tables, commit),
        Moving::AllLeaveFirst => {
            leave_places(connection, tables, commit).and_then(|()| write_all(connection, tables, commit))
        }
    };
    if let Err(Failure::Refused(_)) = result {
        run(connection, "ROLLBACK TO one")?;
    }
    if !matches!(result, Err(Failure::Engine(_))) {
        run(connection, "RELEASE one")?;
    }
    result
}

pub(crate) fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

/// Removals first: they free places that others take.
fn write_all(connection: &Connection, tables: &Tables, commit: &Commit) -> Result<(), Failure> {
    let (removals, others): (Vec<&Write>, Vec<&Write>) =
        commit.writes.iter().partition(|write| matches!(write.effect, Effect::Remove));
    for write in removals.into_iter().chain(others) {
        let table = tables.get(write.collection)?;
        let held = match &write.effect {
            Effect::Nothing => revision(connection, &table, &write.key)? == write.expect,
            Effect::Remove => remove(connection, &table, write)?,
            Effect::Put { .. } => put(connection, &table, write)?,
        };
        if !held {
            return Err(conflict(write).into());
        }
    }
    commit.events.iter().try_for_each(|event| outbox::append(connection, event))?;
    Ok(())
}

fn conflict(write: &Write) -> StoreError {
    StoreError::Conflict { collection: write.collection, key: write.key.clone() }
}

/// Checks every expectation, so that what moved is told before who stands where.
fn expected(connection: &Connection, tables: &Tables, commit: &Commit) -> Result<(), Failure> {
    for write in &commit.writes {
        if revision(connection, &*tables.get(write.collection)?, &write.key)? != write.expect {
            return Err(conflict(write).into());
        }
    }
    Ok(())
}

fn leave_places(connection: &Connection, tables: &Tables, commit: &Commit) -> Result<(), Failure> {
    for write in &commit.writes {
        let table = tables.get(write.collection)?;
        if matches!(write.effect, Effect::Put { .. }) && write.expect.is_some() && !table.vacate.is_empty() {
            connection.prepare_cached(&table.vacate)?.execute([&write.key])?;
        }
    }
    Ok(())
}

fn revision(connection: &Connection, table: &Table, key: &str) -> Result<Option<u64>, Failure> {
    let mut statement = connection.prepare_cached(&table.revision)?;
    let revision: Option<i64> = statement.query_row([key], |row| row.get(0)).optional()?;
    Ok(revision.map(i64::unsigned_abs))
}

fn remove(connection: &Connection, table: &Table, write: &Write) -> Result<bool, Failure> {
    let Some(expect) = write.expect else { return Ok(revision(connection, table, &write.key)?.is_none()) };
    let removed = connection.prepare_cached(&table.remove)?.execute(params![write.key, number(expect)])?;
    Ok(removed == 1)
}

fn put(connection: &Connection, table: &Table, write: &Write) -> Result<bool, Failure> {
    let Effect::Put { body, index } = &write.effect else { return Ok(true) };
    let Ok(text) = std::str::from_utf8(body) else {
        return Err(StoreError::Unusable(format!("{}/{} is not UTF-8", write.collection, write.key)).into());
    };
    let places = table.places(index)?;
    let revision = number(write.expect.unwrap_or(0).saturating_add(1));
    let sql = if write.expect.is_some() { &table.update } else { &table.insert };
    let mut statement = connection.prepare_cached(sql)?;
    statement.raw_bind_parameter(1, &write.key)?;
    statement.raw_bind_parameter(2, revision)?;
    statement.raw_bind_parameter(3, text)?;
    statement.raw_bind_parameter(4, checksum(&write.key, revision, body))?;
    for (place, value) in (5..).zip(places) {
        statement.raw_bind_parameter(place, value.map(Value::Place))?;
    }
    statement.raw_execute().map(|written| written == 1).map_err(|error| refused(table, error))
}

fn number(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}

/// Tells a document that cannot be written from an engine that cannot write.
fn refused(table: &Table, error: rusqlite::Error) -> Failure {
    let about = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => match table.violated(&about) {
            Some(index) => StoreError::NotUnique { collection: table.collection, index }.into(),
            None => StoreError::Unusable(format!("{}: {about}", table.collection)).into(),
        },
        Some(ErrorCode::TooBig) => StoreError::Unusable(format!("{}: {about}", table.collection)).into(),
        _ => Failure::Engine(error),
    }
}

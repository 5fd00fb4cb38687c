//! Moves a shop from one store engine to the other: every document and every event that still waits, then a comparison.
//!
//! Promises that the source is only read, that nothing of the target is overwritten, that a migration which was broken off goes on where it was, and that it is called
//! done only when both sides hold the same documents, byte for byte of their JSON values, and the target passes `verify`.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use cartwright_runtime::{Clock, Ids, Tasks};
use cartwright_store::{
    Backend, Bookmark, Collection, CollectionSpec, Commit, Database, Effect, IndexValue, Order, Query, Row, Write,
    is_anybody_at_work,
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::control::make_folder;
use crate::engine::Engine;
use crate::role::Role;
use crate::settings::Settings;
use crate::shop::Stores;
use crate::verify::{Report, verify};

/// Documents read and written at once.
const BATCH: usize = 200;

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the file under `DATA_DIR` to `MONGODB_URI`.
    ToMongo,
    /// From `MONGODB_URI` to the file under `DATA_DIR`.
    ToEmbedded,
}

/// What was moved.
#[derive(Clone, Debug)]
pub struct Moved {
    /// Documents of each collection, now on both sides.
    pub documents: BTreeMap<String, u64>,
    /// Of those, how many this run wrote.
    pub written: u64,
    /// Events that wait to be sent.
    pub events: usize,
    /// What the checker says of the target.
    pub report: Report,
}

/// One side of a migration.
struct Side {
    database: Database,
    stores: Stores,
}

impl Side {
    async fn open(engine: &Engine, settings: &Settings, clock: &Clock) -> Result<Self> {
        let database = Database::new(engine.backend(), clock.clone(), Ids::random(clock.clone()));
        let stores = Stores::open(&database, &settings.services()).await?;
        Ok(Self { database, stores })
    }

    fn backend(&self) -> &Arc<dyn Backend> {
        self.database.backend()
    }

    async fn must_be_idle(&self) -> Result<()> {
        for store in self.stores.iter() {
            ensure!(
                self.database.backend().exclusive() || !is_anybody_at_work(store).await?,
                "a shop runs on the MongoDB: stop all of its processes, wait ten seconds, and try again"
            );
        }
        Ok(())
    }
}

/// Moves everything; `tell` hears of each collection that is done.
///
/// # Errors
/// In a sentence: a shop runs, a side cannot be opened, the target holds another shop, or the sides differ in the end.
pub async fn migrate(settings: &Settings, direction: Direction, tell: impl Fn(&str)) -> Result<Moved> {
    ensure!(settings.places.use_mongodb(), "set MONGODB_URI: it is one of the two sides");
    match direction {
        Direction::ToMongo => {
            let file = settings.store_file();
            ensure!(file.exists(), "there is no {}: DATA_DIR is the folder of the shop to move", file.display());
        }
        Direction::ToEmbedded => make_folder(&settings.data_dir)?,
    }
    let (clock, tasks) = (Clock::system(), Tasks::new());
    let mongo = Engine::open(settings, &Role::ALL, &clock, &tasks).await?;
    let embedded = Engine::embedded(settings, &clock)?;
    let (from, to) = match direction {
        Direction::ToMongo => (embedded, mongo),
        Direction::ToEmbedded => (mongo, embedded),
    };
    let moved = between((&from, &to), settings, &clock, tell).await;
    for engine in [from, to] {
        engine.close(&tasks).await;
    }
    moved
}

/// Moves everything from one engine to the other.
async fn between(
    (from, to): (&Engine, &Engine),
    settings: &Settings,
    clock: &Clock,
    tell: impl Fn(&str),
) -> Result<Moved> {
    let (from, to) = (Side::open(from, settings, clock).await?, Side::open(to, settings, clock).await?);
    from.must_be_idle().await?;
    to.must_be_idle().await?;
    let mut moved = Moved { documents: BTreeMap::new(), written: 0, events: 0, report: Report::default() };
    for (collection, _) in from.database.collections() {
        holds_nothing_else(&from, &to, collection).await?;
    }
    for (collection, spec) in from.database.collections() {
        moved.written += copy(&from, &to, collection, &spec).await.with_context(|| collection.to_string())?;
        let (there, here) = (digest(from.backend(), collection).await?, digest(to.backend(), collection).await?);
        ensure!(there == here, "{collection} is not the same on both sides: something changed it meanwhile");
        tell(&format!("{collection}: {} documents", here.count));
        moved.documents.insert(collection.to_string(), here.count);
    }
    moved.events = copy_events(&from, &to).await?;
    let ledger = cartwright_payment_sandbox::read_ledger(&settings.sandbox_ledger())?;
    let ledger = Some(ledger).filter(|_| settings.sandbox_ledger().exists());
    moved.report = verify(&to.stores, &**to.backend(), None, ledger).await?;
    if !moved.report.violations.is_empty() {
        let violations: Vec<String> = moved.report.violations.iter().map(ToString::to_string).collect();
        bail!("everything was moved, and the target does not pass `verify`:\n{}", violations.join("\n"));
    }
    Ok(moved)
}

/// A page of documents by key.
fn page(collection: Collection, after: Option<String>) -> Query {
    Query {
        collection,
        index: None,
        prefix: Vec::new(),
        from: None,
        below: None,
        order: Order::Ascending,
        after: after.map(|key| (Vec::new(), key)),
        limit: BATCH,
    }
}

/// Documents of `side` by key, as far as a page of the other side reaches.
async fn beside(side: &Side, collection: Collection, after: Option<String>, page_of_other: &[Row]) -> Result<Vec<Row>> {
    let Some(last) = page_of_other.last() else { return Ok(Vec::new()) };
    let mut query = page(collection, after);
    query.below = Some(IndexValue::Text(format!("{}\0", last.key)));
    query.limit = usize::MAX / 2;
    Ok(side.backend().find(query).await?)
}

/// Refuses a target with a document that the source has not or has differently: that is no migration broken off but another
/// shop, or this one after it went on there, and none of it may be lost.
async fn holds_nothing_else(from: &Side, to: &Side, collection: Collection) -> Result<()> {
    let mut after = None;
    loop {
        let there = to.backend().find(page(collection, after.clone())).await?;
        let Some(last) = there.last() else { return Ok(()) };
        let here = beside(from, collection, after, &there).await?;
        let here: BTreeMap<&str, &Row> = here.iter().map(|row| (row.key.as_str(), row)).collect();
        for row in &there {
            let is_copy = here.get(row.key.as_str()).is_some_and(|own| is_same(own, row));
            ensure!(
                is_copy,
                "the target holds something else: {collection} {} is not in the source or differs there. Nothing was \
                 written. Move to an empty target",
                row.key
            );
        }
        after = Some(last.key.clone());
    }
}

/// Writes what the target lacks; gives how many documents that were.
async fn copy(from: &Side, to: &Side, collection: Collection, spec: &CollectionSpec) -> Result<u64> {
    let (mut after, mut written) = (None, 0);
    loop {
        let rows = from.backend().find(page(collection, after.clone())).await?;
        let Some(last) = rows.last() else { return Ok(written) };
        let there = beside(to, collection, after, &rows).await?;
        let there: HashSet<&str> = there.iter().map(|row| row.key.as_str()).collect();
        let mut writes = Vec::new();
        for row in rows.iter().filter(|row| !there.contains(row.key.as_str())) {
            let effect = Effect::Put { body: Arc::clone(&row.body), index: (spec.places)(&row.body)? };
            writes.push(Write { collection, key: row.key.clone(), expect: None, effect });
        }
        written += u64::try_from(writes.len())?;
        if !writes.is_empty() {
            to.backend().commit(Commit { writes, events: Vec::new() }).await?;
        }
        after = Some(last.key.clone());
    }
}

/// Whether two documents are the same, whatever the order of their fields.
fn is_same(one: &Row, other: &Row) -> bool {
    one.body == other.body || matches!((canonical(one), canonical(other)), (Ok(one), Ok(other)) if one == other)
}

/// The document's text with its fields in order.
fn canonical(row: &Row) -> Result<Vec<u8>> {
    let value: Value = serde_json::from_slice(&row.body)?;
    Ok(serde_json::to_vec(&value)?)
}

/// How many documents there are, and a sum over all of them.
#[derive(Debug, PartialEq, Eq)]
struct Sum {
    count: u64,
    hash: [u8; 32],
}

async fn digest(backend: &Arc<dyn Backend>, collection: Collection) -> Result<Sum> {
    let (mut after, mut count, mut hash) = (None, 0, Sha256::new());
    loop {
        let rows = backend.find(page(collection, after)).await?;
        let Some(last) = rows.last() else { return Ok(Sum { count, hash: hash.finalize().into() }) };
        for row in &rows {
            count += 1;
            hash.update(row.key.as_bytes());
            hash.update(Sha256::digest(canonical(row)?));
        }
        after = Some(last.key.clone());
    }
}

/// Lets the target send what the source has not sent.
async fn copy_events(from: &Side, to: &Side) -> Result<usize> {
    let known: HashSet<String> = unsent(to.backend()).await?.into_iter().map(|event| event.id).collect();
    let mut events = unsent(from.backend()).await?;
    let all = events.len();
    events.retain(|event| !known.contains(&event.id));
    for event in events {
        to.backend().commit(Commit { writes: Vec::new(), events: vec![event] }).await?;
    }
    Ok(all)
}

async fn unsent(backend: &Arc<dyn Backend>) -> Result<Vec<cartwright_store::Envelope>> {
    let (mut after, mut all) = (Bookmark::default(), Vec::new());
    loop {
        let events = backend.unsent(&after, BATCH).await?;
        let Some((last, _)) = events.last() else { return Ok(all) };
        after = last.clone();
        all.extend(events.into_iter().map(|(_, event)| event));
    }
}

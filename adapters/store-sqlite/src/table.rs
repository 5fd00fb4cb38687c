//! The table of one collection: its statements, and how it is made and verified.
//!
//! Named `service.collection`: key, revision, the document as JSON text, a checksum over the three, and one column
//! `index.part` for each part of each index. A document that an index does not list has NULLs there and takes no room in it.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use cartwright_store::{Collection, CollectionSpec, Index, IndexEntry, IndexValue, Row, StoreError};
use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, OptionalExtension, ToSql};

/// All tables that were prepared.
#[derive(Default)]
pub(crate) struct Tables(RwLock<HashMap<Collection, Arc<Table>>>);

impl Tables {
    pub(crate) fn get(&self, collection: Collection) -> Result<Arc<Table>, StoreError> {
        let tables = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let table = tables.get(&collection).map(Arc::clone);
        table.ok_or_else(|| StoreError::Unusable(format!("{collection} was not declared")))
    }

    pub(crate) fn add(&self, tables: impl IntoIterator<Item = Table>) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.extend(tables.into_iter().map(|table| (table.collection, Arc::new(table))));
    }
}

pub(crate) struct Table {
    pub(crate) collection: Collection,
    pub(crate) indexes: &'static [Index],
    /// False where the file is only read and nobody has stored such a document yet.
    pub(crate) exists: bool,
    pub(crate) select: String,
    pub(crate) revision: String,
    pub(crate) insert: String,
    pub(crate) update: String,
    pub(crate) remove: String,
    /// Takes a document off its unique places; empty where there is none.
    pub(crate) vacate: String,
}

impl Table {
    pub(crate) fn new(scope: &'static str, spec: &CollectionSpec) -> Result<Self, StoreError> {
        let collection = Collection { scope, name: spec.name };
        let part_names = spec.indexes.iter().flat_map(|index| index.parts.iter().chain([&index.name]));
        if let Some(odd) = part_names.chain([&scope, &spec.name]).find(|name| !is_plain(name)) {
            return Err(StoreError::Unusable(format!("{collection}: {odd:?} cannot be a name")));
        }
        let columns: Vec<String> = spec.indexes.iter().flat_map(columns).collect();
        let names: String = columns.iter().map(|column| format!(", {column}")).collect();
        let values: String = (5..5 + columns.len()).map(|number| format!(", ?{number}")).collect();
        let sets: String = columns.iter().zip(5..).map(|(column, number)| format!(", {column} = ?{number}")).collect();
        let unique: Vec<String> = spec.indexes.iter().filter(|index| index.unique).flat_map(columns_null).collect();
        let table = format!("\"{collection}\"");
        Ok(Self {
            collection,
            indexes: spec.indexes,
            exists: true,
            select: format!("SELECT key, revision, body, checksum FROM {table} WHERE key = ?1"),
            revision: format!("SELECT revision FROM {table} WHERE key = ?1"),
            insert: format!(
                "INSERT INTO {table} (key, revision, body, checksum{names}) VALUES (?1, ?2, ?3, ?4{values}) \
                 ON CONFLICT (key) DO NOTHING"
            ),
            update: format!(
                "UPDATE {table} SET revision = ?2, body = ?3, checksum = ?4{sets} WHERE key = ?1 AND revision = ?2 - 1"
            ),
            remove: format!("DELETE FROM {table} WHERE key = ?1 AND revision = ?2"),
            vacate: if unique.is_empty() {
                String::new()
            } else {
                format!("UPDATE {table} SET {} WHERE key = ?1", unique.join(", "))
            },
        })
    }

    /// The columns and values of a document's places, in the order of the statements.
    ///
    /// # Errors
    /// When a place does not fit the declared indexes.
    pub(crate) fn places<'a>(
        &self,
        entries: &'a [IndexEntry],
    ) -> Result<impl Iterator<Item = Option<&'a IndexValue>>, StoreError> {
        for entry in entries {
            let fits = |index: &&Index| index.name == entry.index && index.parts.len() == entry.values.len();
            let once = entries.iter().filter(|other| other.index == entry.index).count() == 1;
            if !once || !self.indexes.iter().any(|index| fits(&index)) {
                return Err(StoreError::Unusable(format!("{}: no index {} fits", self.collection, entry.index)));
            }
        }
        Ok(self.indexes.iter().flat_map(move |index| {
            let entry = entries.iter().find(|entry| entry.index == index.name);
            (0..index.parts.len()).map(move |part| entry.and_then(|entry| entry.values.get(part)))
        }))
    }

    /// The unique index that SQLite's message names by its columns.
    pub(crate) fn violated(&self, message: &str) -> Option<&'static str> {
        let named = |index: &&Index| {
            let first = index.parts.first().map(|part| format!("{}.{}.{part}", self.collection, index.name));
            first.is_some_and(|first| message.split([':', ',']).any(|column| column.trim() == first))
        };
        self.indexes.iter().filter(|index| index.unique).find(named).map(|index| index.name)
    }

    /// Makes the table where it is missing, and its indexes where the table is empty; refuses what cannot be filled.
    pub(crate) fn prepare(&self, connection: &Connection) -> rusqlite::Result<Result<(), StoreError>> {
        let found = self.found(connection)?;
        let wanted: Vec<(String, String)> = self.indexes.iter().map(|index| self.index_sql(index)).collect();
        if !found.contains_key(&self.collection.to_string()) {
            return self.create(connection, &wanted).map(Ok);
        }
        if let Some((name, _)) = wanted.iter().find(|(name, sql)| found.get(name) != Some(sql)) {
            if self.has_documents(connection)? {
                return Ok(Err(StoreError::Unusable(format!(
                    "{} holds documents that the index {name} of this program does not list: export them with the program \
                     that wrote them and import them into a new data directory",
                    self.collection
                ))));
            }
            connection.execute_batch(&format!("DROP TABLE \"{}\"", self.collection))?;
            return self.create(connection, &wanted).map(Ok);
        }
        for name in found.keys().filter(|name| **name != self.collection.to_string()) {
            if !wanted.iter().any(|(wanted, _)| wanted == name) {
                connection.execute_batch(&format!("DROP INDEX \"{name}\""))?;
            }
        }
        Ok(Ok(()))
    }

    /// Whether the file has this table.
    pub(crate) fn is_in(&self, connection: &Connection) -> rusqlite::Result<bool> {
        Ok(self.found(connection)?.contains_key(&self.collection.to_string()))
    }

    /// What the file has of it: names and the statements that made them.
    fn found(&self, connection: &Connection) -> rusqlite::Result<HashMap<String, String>> {
        let mut statement =
            connection.prepare_cached("SELECT name, sql FROM sqlite_schema WHERE tbl_name = ?1 AND sql IS NOT NULL")?;
        let rows = statement.query_map([self.collection.to_string()], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    }

    fn has_documents(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let one = connection.query_row(&format!("SELECT 1 FROM \"{}\" LIMIT 1", self.collection), [], |_| Ok(()));
        one.optional().map(|row| row.is_some())
    }

    fn create(&self, connection: &Connection, indexes: &[(String, String)]) -> rusqlite::Result<()> {
        let columns: String = self.indexes.iter().flat_map(columns).map(|column| format!(", {column} ANY")).collect();
        connection.execute_batch(&format!(
            "CREATE TABLE \"{}\" (key TEXT PRIMARY KEY NOT NULL, revision INTEGER NOT NULL, body TEXT NOT NULL, \
             checksum INTEGER NOT NULL{columns}) STRICT",
            self.collection
        ))?;
        indexes.iter().try_for_each(|(_, sql)| connection.execute_batch(sql))
    }

    /// The index's name in the file and the statement that makes it.
    ///
    /// The key is the last column, so that a page at one place goes on by key; a unique place holds one document anyway.
    fn index_sql(&self, index: &Index) -> (String, String) {
        let name = self.index_name(index.name);
        let parts = columns(index).collect::<Vec<_>>();
        let (unique, key) = if index.unique { ("UNIQUE ", "") } else { ("", ", key") };
        let sql = format!(
            "CREATE {unique}INDEX \"{name}\" ON \"{}\" ({}{key}) WHERE {} IS NOT NULL",
            self.collection,
            parts.join(", "),
            parts.first().map_or("key", String::as_str),
        );
        (name, sql)
    }

    pub(crate) fn index_name(&self, index: &str) -> String {
        format!("{}.{index}", self.collection)
    }
}

/// The quoted columns of an index.
pub(crate) fn columns(index: &Index) -> impl Iterator<Item = String> {
    index.parts.iter().map(|part| format!("\"{}.{part}\"", index.name))
}

fn columns_null(index: &Index) -> impl Iterator<Item = String> {
    columns(index).map(|column| format!("{column} = NULL"))
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// A value in a statement. SQLite orders places as we do: integers before texts, texts by their bytes.
pub(crate) enum Value<'a> {
    Place(&'a IndexValue),
    Key(&'a str),
    Limit(i64),
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Place(IndexValue::Int(number)) | Self::Limit(number) => number.to_sql(),
            Self::Place(IndexValue::Text(text)) => text.to_sql(),
            Self::Key(key) => key.to_sql(),
        }
    }
}

/// The checksum of a document under its key and revision.
pub(crate) fn checksum(key: &str, revision: i64, body: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(key.as_bytes());
    sum.update(&revision.to_be_bytes());
    sum.update(body);
    sum.finalize()
}

/// The document of a row (key, revision, body, checksum).
///
/// # Errors
/// Within: when the checksum says that the disk does not give back what was written.
pub(crate) fn document(collection: Collection, row: &rusqlite::Row<'_>) -> rusqlite::Result<Result<Row, StoreError>> {
    let (key, revision): (String, i64) = (row.get(0)?, row.get(1)?);
    let body = row.get_ref(2)?.as_str()?.as_bytes();
    if i64::from(checksum(&key, revision, body)) != row.get::<_, i64>(3)? {
        let mend = "its checksum does not match: restore a backup, then run `cartwright verify`";
        return Ok(Err(StoreError::Unusable(format!("{collection}/{key} is damaged, {mend}"))));
    }
    Ok(Ok(Row { key, revision: revision.unsigned_abs(), body: Arc::from(body) }))
}

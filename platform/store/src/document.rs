//! What a service says about its documents: their collection, key and ordered indexes.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::StoreError;

/// A document that a service owns: JSON under a key in a collection, found again by key or by declared indexes.
pub trait Document: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// The collection's name, unique within the service: lower case, digits and `-`.
    const COLLECTION: &'static str;

    /// The indexes that [`Document::index_entries`] fills.
    const INDEXES: &'static [Index] = &[];

    /// The key, unique within the collection; it never changes.
    fn key(&self) -> String;

    /// The document's place in each index, one at most; an index that is not named does not list the document.
    fn index_entries(&self) -> Vec<IndexEntry> {
        Vec::new()
    }

    /// The declaration that the store prepares at start.
    fn spec() -> CollectionSpec {
        let places = |body: &[u8]| {
            let document = serde_json::from_slice::<Self>(body);
            let unusable = |error: serde_json::Error| StoreError::Unusable(format!("{}: {error}", Self::COLLECTION));
            document.map(|document| document.index_entries()).map_err(unusable)
        };
        CollectionSpec { name: Self::COLLECTION, indexes: Self::INDEXES, places }
    }
}

/// A collection and its indexes, as an engine prepares them.
#[derive(Clone, Copy, Debug)]
pub struct CollectionSpec {
    /// The collection's name within its service.
    pub name: &'static str,
    /// Its indexes.
    pub indexes: &'static [Index],
    /// The places of a document of it, from its JSON, for whoever moves documents without knowing their type.
    pub places: fn(&[u8]) -> Result<Vec<IndexEntry>, StoreError>,
}

impl CollectionSpec {
    /// A collection whose documents stand in no index.
    pub const fn unlisted(name: &'static str) -> Self {
        Self { name, indexes: &[], places: |_| Ok(Vec::new()) }
    }
}

/// An ordered index of one or more parts, for example `by-user` on (`userId`, `createdAt`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Index {
    /// The name, unique within the collection: lower case, digits and `-`.
    pub name: &'static str,
    /// The parts in order, named like the fields they come from: letters and digits.
    pub parts: &'static [&'static str],
    /// Whether two documents may not stand at the same place.
    pub unique: bool,
}

impl Index {
    /// An index in which many documents may stand at one place.
    pub const fn many(name: &'static str, parts: &'static [&'static str]) -> Self {
        Self { name, parts, unique: false }
    }

    /// An index in which each place belongs to one document at most.
    pub const fn unique(name: &'static str, parts: &'static [&'static str]) -> Self {
        Self { name, parts, unique: true }
    }
}

/// One document's place in one index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// The index's name.
    pub index: &'static str,
    /// One value for each part of the index.
    pub values: Vec<IndexValue>,
}

impl IndexEntry {
    /// A place in `index`, one value for each of its parts.
    pub fn new<const N: usize>(index: &'static str, values: [IndexValue; N]) -> Self {
        Self { index, values: values.into() }
    }
}

/// A value in an index. Integers sort before texts; texts sort by their bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IndexValue {
    /// A whole number, also for times (milliseconds).
    Int(i64),
    /// A text.
    Text(String),
}

impl From<i64> for IndexValue {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<cartwright_runtime::Time> for IndexValue {
    fn from(time: cartwright_runtime::Time) -> Self {
        Self::Int(time.millis())
    }
}

impl From<String> for IndexValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for IndexValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// A document as it was read, with the revision that a replacement must still find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored<D> {
    /// The document; change it and hand it to [`crate::Changes::replace`].
    pub doc: D,
    /// The revision that was read: 1 when inserted, one more with each replacement.
    pub revision: u64,
}

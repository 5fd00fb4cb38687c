//! The collections that were prepared, and the names that the engine gives to things within them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use bson::{Bson, Document, RawDocumentBuf};
use cartwright_store::{Collection, Index, IndexEntry, IndexValue, StoreError};
use mongodb::Client;

/// The collection of events that no document carries.
pub(crate) const OUTBOX: &str = "outbox";
/// The collection that tells which program wrote the others.
pub(crate) const SCHEMA: &str = "schema";
/// The first unsent event of a document: its time, which orders the outbox.
pub(crate) const FIRST_UNSENT: &str = "_outbox.0.seq";
/// The index on it.
pub(crate) const UNSENT_INDEX: &str = "unsent";

/// One collection as the engine uses it.
pub(crate) struct Space {
    pub(crate) collection: Collection,
    pub(crate) indexes: &'static [Index],
    pub(crate) documents: mongodb::Collection<RawDocumentBuf>,
    pub(crate) client: Client,
    /// Where the same service keeps events that no document carries; absent for that collection itself.
    pub(crate) outbox: Option<Arc<Space>>,
}

impl Space {
    /// The index of this name.
    pub(crate) fn index(&self, name: &str) -> Result<&'static Index, StoreError> {
        let index = self.indexes.iter().find(|index| index.name == name);
        index.ok_or_else(|| StoreError::Unusable(format!("{} has no index {name}", self.collection)))
    }

    /// The declared index that MongoDB calls `name`.
    pub(crate) fn declared(&self, name: &str) -> Option<&'static str> {
        self.indexes.iter().find(|index| index_name(index) == name).map(|index| index.name)
    }

    /// A document's places as they are stored.
    ///
    /// # Errors
    /// When a place does not fit the declared indexes.
    pub(crate) fn places(&self, entries: &[IndexEntry]) -> Result<Document, StoreError> {
        let mut places = Document::new();
        for entry in entries {
            let fits = |index: &&Index| index.name == entry.index && index.parts.len() == entry.values.len();
            let index = self.indexes.iter().find(fits);
            let parts = index.map(|index| index.parts.iter().zip(&entry.values));
            let place: Option<Document> =
                parts.map(|parts| parts.map(|(part, value)| ((*part).to_owned(), bson(value))).collect());
            let once = !places.contains_key(entry.index);
            let Some(place) = place.filter(|_| once) else {
                return Err(StoreError::Unusable(format!("{}: no index {} fits", self.collection, entry.index)));
            };
            places.insert(entry.index, place);
        }
        Ok(places)
    }
}

/// What MongoDB calls an index. The prefix tells ours from an operator's own.
pub(crate) fn index_name(index: &Index) -> String {
    format!("index.{}", index.name)
}

/// The path of one part of an index.
pub(crate) fn path(index: &Index, part: &str) -> String {
    format!("_index.{}.{part}", index.name)
}

/// MongoDB orders these as we do: integers before texts, texts by their bytes.
pub(crate) fn bson(value: &IndexValue) -> Bson {
    match value {
        IndexValue::Int(number) => Bson::Int64(*number),
        IndexValue::Text(text) => Bson::String(text.clone()),
    }
}

/// All collections that were prepared.
#[derive(Default)]
pub(crate) struct Spaces(RwLock<HashMap<Collection, Arc<Space>>>);

impl Spaces {
    pub(crate) fn get(&self, collection: Collection) -> Result<Arc<Space>, StoreError> {
        let spaces = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let space = spaces.get(&collection).filter(|space| space.outbox.is_some()).map(Arc::clone);
        space.ok_or_else(|| StoreError::Unusable(format!("{collection} was not declared")))
    }

    /// Where the events of `scope` go that no document carries.
    pub(crate) fn outbox(&self, scope: &str) -> Result<Arc<Space>, StoreError> {
        let outbox = self.all().into_iter().find(|space| space.collection.scope == scope && space.outbox.is_none());
        outbox.ok_or_else(|| StoreError::Unusable(format!("no collection of {scope} was declared")))
    }

    pub(crate) fn all(&self) -> Vec<Arc<Space>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values().map(Arc::clone).collect()
    }

    pub(crate) fn add(&self, spaces: impl IntoIterator<Item = Arc<Space>>) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.extend(spaces.into_iter().map(|space| (space.collection, space)));
    }
}

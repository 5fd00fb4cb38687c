//! The documents, events and engines in disguise that the contract works with.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures::future::{BoxFuture, FutureExt};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{
    Backend, Bookmark, Changes, Collection, CollectionSpec, Commit, Database, Decision, Document, Envelope, Event,
    Index, IndexEntry, IndexValue, Intent, KeyReused, Lease, Query, Row, Store, StoreError, Stored,
};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Parcel {
    pub(super) id: String,
    pub(super) city: String,
    pub(super) weight: i64,
    pub(super) label: Option<String>,
}

impl Parcel {
    pub(super) fn new(id: &str, city: &str, weight: i64) -> Self {
        Self { id: id.to_owned(), city: city.to_owned(), weight, label: None }
    }

    pub(super) fn labelled(id: &str, label: &str) -> Self {
        Self { label: Some(label.to_owned()), ..Self::new(id, "Lyon", 1) }
    }
}

impl Document for Parcel {
    const COLLECTION: &'static str = "parcels";
    const INDEXES: &'static [Index] =
        &[Index::many("by-city", &["city", "weight"]), Index::unique("by-label", &["label"])];

    fn key(&self) -> String {
        self.id.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry> {
        let mut entries = vec![IndexEntry::new("by-city", [self.city.as_str().into(), self.weight.into()])];
        entries.extend(self.label.as_deref().map(|label| IndexEntry::new("by-label", [label.into()])));
        entries
    }
}

/// Something listed under a number or a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shelf {
    pub(super) id: String,
    pub(super) number: Option<i64>,
}

impl Document for Shelf {
    const COLLECTION: &'static str = "shelves";
    const INDEXES: &'static [Index] = &[Index::many("by-mark", &["mark"])];

    fn key(&self) -> String {
        self.id.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry> {
        let mark = self.number.map_or_else(|| IndexValue::from(self.id.as_str()), IndexValue::from);
        vec![IndexEntry::new("by-mark", [mark])]
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counter {
    pub(super) name: String,
    pub(super) count: u32,
}

impl Document for Counter {
    const COLLECTION: &'static str = "counters";

    fn key(&self) -> String {
        self.name.clone()
    }
}

/// Something to be done `left` times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Errand {
    pub(super) name: String,
    pub(super) left: u32,
    pub(super) done: u32,
    pub(super) lease: Option<Lease>,
}

impl Document for Errand {
    const COLLECTION: &'static str = "errands";
    const INDEXES: &'static [Index] = &[Index::many("by-due", &["due"])];

    fn key(&self) -> String {
        self.name.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry> {
        self.lease.iter().map(|lease| IndexEntry::new("by-due", [lease.due.into()])).collect()
    }
}

impl Intent for Errand {
    const DUE: &'static str = "by-due";

    fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }

    fn lease_mut(&mut self) -> Option<&mut Lease> {
        self.lease.as_mut()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ParcelMoved {
    pub(super) id: String,
}

impl Event for ParcelMoved {
    const NAME: &'static str = "post.parcel-moved";

    fn subject(&self) -> String {
        self.id.clone()
    }
}

pub(super) fn moved(id: &str) -> ParcelMoved {
    ParcelMoved { id: id.to_owned() }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("no more than the most")]
    Enough,
    #[error(transparent)]
    KeyReused(#[from] KeyReused),
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub(super) async fn scoped(database: &Database, scope: &'static str) -> Store {
    let specs = [Parcel::spec(), Shelf::spec(), Counter::spec(), Errand::spec()];
    database.scoped(scope, &specs).await.unwrap()
}

pub(super) async fn insert<D: Document>(store: &Store, doc: &D) -> Result<(), StoreError> {
    store.commit(Changes::new().insert(doc)).await
}

pub(super) async fn stored<D: Document>(store: &Store, key: &str) -> Stored<D> {
    store.get(key).await.unwrap().unwrap()
}

/// One more, and `most` at most; the counter is made where there is none.
pub(super) async fn count_up(store: Store, name: &str, most: u32) -> Result<Decision<u32>, Refusal> {
    let Some(mut counter) = store.get::<Counter>(name).await? else {
        return Ok(Decision::new(Changes::new().insert(&Counter { name: name.to_owned(), count: 1 }), 1));
    };
    if counter.doc.count >= most {
        return Err(Refusal::Enough);
    }
    counter.doc.count += 1;
    Ok(Decision::new(Changes::new().replace(&counter), counter.doc.count))
}

pub(super) async fn count(store: &Store, name: &str) -> u32 {
    store.get::<Counter>(name).await.unwrap().map_or(0, |counter| counter.doc.count)
}

/// An engine that says something else about itself, or loses its first commit once the gate opens.
pub(super) struct Disguised {
    pub(super) inner: Arc<dyn Backend>,
    pub(super) ordered: bool,
    pub(super) exclusive: bool,
    pub(super) gate: Option<Gate>,
}

/// Holds back every commit until it is opened. The first one is lost then.
pub(super) struct Gate {
    open: watch::Sender<bool>,
    lost: AtomicBool,
}

impl Gate {
    pub(super) fn closed() -> Self {
        Self { open: watch::Sender::new(false), lost: AtomicBool::new(false) }
    }
}

impl Disguised {
    pub(super) fn open_the_gate(&self) {
        if let Some(gate) = &self.gate {
            gate.open.send_replace(true);
        }
    }
}

#[async_trait]
impl Backend for Disguised {
    async fn prepare(&self, scope: &'static str, collections: &[CollectionSpec]) -> Result<(), StoreError> {
        self.inner.prepare(scope, collections).await
    }

    async fn get(&self, collection: Collection, key: &str) -> Result<Option<Row>, StoreError> {
        self.inner.get(collection, key).await
    }

    async fn find(&self, query: Query) -> Result<Vec<Row>, StoreError> {
        self.inner.find(query).await
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'static, Result<(), StoreError>> {
        let Some(gate) = &self.gate else { return self.inner.commit(commit) };
        let lost = !gate.lost.swap(true, Ordering::Relaxed);
        let (mut open, inner) = (gate.open.subscribe(), Arc::clone(&self.inner));
        async move {
            drop(open.wait_for(|open| *open).await);
            if lost { Err(StoreError::Unavailable("the disk is gone".to_owned())) } else { inner.commit(commit).await }
        }
        .boxed()
    }

    async fn unsent(&self, after: &Bookmark, limit: usize) -> Result<Vec<(Bookmark, Envelope)>, StoreError> {
        self.inner.unsent(after, limit).await
    }

    async fn waiting(&self, most: usize) -> Result<usize, StoreError> {
        self.inner.waiting(most).await
    }

    async fn sent(&self, ids: Vec<String>) -> Result<(), StoreError> {
        self.inner.sent(ids).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.inner.ready().await
    }

    fn ordered(&self) -> bool {
        self.ordered
    }

    fn exclusive(&self) -> bool {
        self.exclusive
    }
}

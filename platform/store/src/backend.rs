//! The storage port: what an engine implements. Bytes and revisions only; the types live above it.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;

use crate::{CollectionSpec, Envelope, IndexEntry, IndexValue};

/// A storage engine. All or nothing for each commit, durable before the answer, every expectation checked.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Creates what `scope`'s collections and indexes need, and verifies what is there.
    async fn prepare(&self, scope: &'static str, collections: &[CollectionSpec]) -> Result<(), StoreError>;

    /// One document with its revision.
    async fn get(&self, collection: Collection, key: &str) -> Result<Option<Row>, StoreError>;

    /// Documents in the order of one index, or by key.
    async fn find(&self, query: Query) -> Result<Vec<Row>, StoreError>;

    /// Checks every expectation, then applies every write and appends every event; resolves when all of it is durable.
    ///
    /// An [`ordered`](Backend::ordered) engine queues the commit before this call returns, and an empty commit then
    /// resolves when everything queued before it is durable or has failed.
    fn commit(&self, commit: Commit) -> BoxFuture<'static, Result<(), StoreError>>;

    /// Up to `limit` events not yet marked as sent, from `after` on, each with its place in the outbox. Events that one
    /// document caused come in the order of its commits; an [`ordered`](Backend::ordered) engine gives all of them so.
    async fn unsent(&self, after: &Bookmark, limit: usize) -> Result<Vec<(Bookmark, Envelope)>, StoreError>;

    /// How many events are not yet marked as sent; no more than `most` are counted.
    async fn waiting(&self, most: usize) -> Result<usize, StoreError>;

    /// Marks events as sent. Never on the critical path: losing the mark only sends the event again.
    async fn sent(&self, ids: Vec<String>) -> Result<(), StoreError>;

    /// Whether it can be written to now.
    ///
    /// # Errors
    /// The reason why it cannot.
    async fn ready(&self) -> Result<(), StoreError>;

    /// Whether commits take effect in the order in which [`Backend::commit`] was called.
    fn ordered(&self) -> bool;

    /// Whether no other process can have this store open, so that leases of an earlier process are void.
    fn exclusive(&self) -> bool;
}

/// A collection of one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Collection {
    /// The service that owns it.
    pub scope: &'static str,
    /// Its name within the service.
    pub name: &'static str,
}

impl fmt::Display for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.scope, self.name)
    }
}

/// A place in the outbox, of the engine's own kind. The default is the place before all events.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bookmark(pub String);

impl Bookmark {
    /// The place of the event with this number, for engines that count them from 1.
    pub fn numbered(number: u64) -> Self {
        Self(number.to_string())
    }

    /// The number; 0 before all events.
    ///
    /// # Errors
    /// When it is the place of an engine that does not count.
    pub fn number(&self) -> Result<u64, StoreError> {
        if self.0.is_empty() {
            return Ok(0);
        }
        self.0.parse().map_err(|_| StoreError::Unusable(format!("{:?} is not a place in this outbox", self.0)))
    }
}

/// A document as the engine holds it: JSON text and a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The key.
    pub key: String,
    /// 1 when inserted, one more with each replacement.
    pub revision: u64,
    /// The document as JSON.
    pub body: Arc<[u8]>,
}

/// One transaction.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// Writes and expectations; no two name the same document.
    pub writes: Vec<Write>,
    /// Events for the outbox.
    pub events: Vec<Envelope>,
}

/// What is expected of one document, and what happens to it.
#[derive(Clone, Debug)]
pub struct Write {
    /// The collection.
    pub collection: Collection,
    /// The key.
    pub key: String,
    /// The revision that must be there; `None` where the document must not exist.
    pub expect: Option<u64>,
    /// What happens when the expectation holds.
    pub effect: Effect,
}

/// What a write does. The new revision is the expected one plus 1, or 1 where none was there.
#[derive(Clone, Debug)]
pub enum Effect {
    /// The document is this from now on.
    Put {
        /// The document as JSON.
        body: Arc<[u8]>,
        /// Its places in the collection's indexes.
        index: Vec<IndexEntry>,
    },
    /// The document is gone.
    Remove,
    /// The document was only relied on.
    Nothing,
}

/// A page of documents in the order of one index.
#[derive(Clone, Debug)]
pub struct Query {
    /// The collection.
    pub collection: Collection,
    /// The index, or `None` for the order of the keys.
    pub index: Option<&'static str>,
    /// Values that the first parts of the index must equal.
    pub prefix: Vec<IndexValue>,
    /// The least value of the next part, inclusive. For key order: the least key.
    pub from: Option<IndexValue>,
    /// The value that the next part stays below. For key order: the key to stay below.
    pub below: Option<IndexValue>,
    /// Which end comes first.
    pub order: Order,
    /// Where to go on: the index values (all parts; none for key order) and key of the last document of the page before.
    pub after: Option<(Vec<IndexValue>, String)>,
    /// At most so many.
    pub limit: usize,
}

/// The direction of a page; documents at the same place come in the same direction by key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Least first.
    Ascending,
    /// Greatest first.
    Descending,
}

/// What can go wrong with a store.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// A document moved between reading and committing. Nothing happened; read and decide again.
    #[error("{collection}/{key} changed since it was read")]
    Conflict {
        /// Where.
        collection: Collection,
        /// Which.
        key: String,
    },
    /// A unique index already lists another document at this place. Nothing happened.
    #[error("another document of {collection} already stands at this place of {index}")]
    NotUnique {
        /// Where.
        collection: Collection,
        /// Which index.
        index: &'static str,
    },
    /// The queue of commits is full. Nothing happened; try again in a moment.
    #[error("the store is busy: {0}")]
    Busy(String),
    /// There is no room to grow. Nothing happened.
    #[error("the store is full: {0}")]
    Full(String),
    /// The store does not answer, or no longer writes. A commit may or may not have happened: look before you repeat.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// A document cannot be what the program takes it for. Nothing happened.
    #[error("the store holds or was given something unusable: {0}")]
    Unusable(String),
}

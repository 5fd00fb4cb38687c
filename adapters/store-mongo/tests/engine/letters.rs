//! What the tests write: letters, and the news that one was written.

use std::sync::Arc;
use std::time::Duration;

use cartwright_runtime::{Clock, Ids, Secret, Tasks};
use cartwright_store::{
    Backend, Bookmark, Changes, Database, Document, Envelope, Event, Index, IndexEntry, Store, StoreError, Stored,
};
use cartwright_store_mongo::{MongoBackend, OpenError, Options, Target};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Letter {
    pub(crate) id: String,
    pub(crate) count: u32,
    pub(crate) stamp: Option<String>,
}

impl Letter {
    pub(crate) fn new(id: &str) -> Self {
        Self { id: id.to_owned(), count: 0, stamp: None }
    }
}

impl Document for Letter {
    const COLLECTION: &'static str = "letters";
    const INDEXES: &'static [Index] = &[Index::many("by-count", &["count"]), Index::unique("by-stamp", &["stamp"])];

    fn key(&self) -> String {
        self.id.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry> {
        let mut entries = vec![IndexEntry::new("by-count", [i64::from(self.count).into()])];
        entries.extend(self.stamp.as_deref().map(|stamp| IndexEntry::new("by-stamp", [stamp.into()])));
        entries
    }
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LetterWritten {
    pub(crate) id: String,
    pub(crate) count: u32,
}

impl Event for LetterWritten {
    const NAME: &'static str = "post.letter-written";

    fn subject(&self) -> String {
        self.id.clone()
    }
}

pub(crate) fn written(letter: &Letter) -> LetterWritten {
    LetterWritten { id: letter.id.clone(), count: letter.count }
}

/// The address of databases that nobody else uses, on the server that all tests share.
pub(crate) async fn fresh_uri() -> String {
    let name = Ids::random(Clock::system()).uuid().simple().to_string();
    cartwright_servers::mongo::shared().await.replace("/?", &format!("/{name}?"))
}

/// All databases at one address.
pub(crate) fn at(uri: &str) -> Target {
    Target { uri: Secret::new(uri.to_owned()), overrides: Vec::new() }
}

pub(crate) async fn try_open(uri: &str, options: Options) -> Result<MongoBackend, OpenError> {
    MongoBackend::open(at(uri), Clock::system(), Tasks::new(), options).await
}

pub(crate) async fn open(uri: &str) -> MongoBackend {
    try_open(uri, Options::default()).await.unwrap()
}

/// The letters as one process sees them.
pub(crate) async fn post(backend: &MongoBackend) -> Store {
    let clock = Clock::system();
    let database = Database::new(Arc::new(backend.clone()), clock.clone(), Ids::random(clock));
    database.scoped("post", &[Letter::spec()]).await.unwrap()
}

/// An engine of its own and the letters in it.
pub(crate) async fn fresh() -> (MongoBackend, Store) {
    let backend = open(&fresh_uri().await).await;
    let store = post(&backend).await;
    (backend, store)
}

pub(crate) async fn letter(store: &Store, id: &str) -> Stored<Letter> {
    store.get(id).await.unwrap().unwrap()
}

/// Writes the letter once more, with the news of it.
pub(crate) fn again(mut read: Stored<Letter>) -> Changes {
    read.doc.count += 1;
    Changes::new().replace(&read).publish(&written(&read.doc))
}

pub(crate) fn news(event: &Envelope) -> LetterWritten {
    event.event().unwrap()
}

/// Every unsent event, a few at a time.
pub(crate) async fn all_unsent(backend: &MongoBackend) -> Vec<Envelope> {
    let (mut all, mut after) = (Vec::new(), Bookmark::default());
    loop {
        let page = backend.unsent(&after, 200).await.unwrap();
        let Some((last, _)) = page.last() else { return all };
        after = last.clone();
        all.extend(page.into_iter().map(|(_, event)| event));
        assert!(all.len() < 100_000, "the outbox does not end");
    }
}

/// Waits until `check` holds, for half a minute at most.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, check: impl Fn() -> F) {
    let clock = Clock::system();
    let watch = clock.stopwatch();
    while !check().await {
        assert!(watch.elapsed() < Duration::from_secs(30), "not in half a minute: {what}");
        clock.pause(Duration::from_millis(10)).await;
    }
}

pub(crate) fn is_unavailable<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable(_)))
}

//! Deciding on a version that is queued and then fails, while somebody outside the lane takes the number it would have had.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use cartwright_runtime::{Clock, Ids, Time};
use cartwright_store::{
    Backend, Bookmark, Changes, Collection, CollectionSpec, Commit, Database, Decision, Document, Envelope, Lane,
    MemoryBackend, Query, Row, Store, StoreError, Stored, change,
};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, oneshot};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Note {
    id: String,
    text: String,
}

impl Document for Note {
    const COLLECTION: &'static str = "notes";

    fn key(&self) -> String {
        self.id.clone()
    }
}

fn note(id: &str, text: &str) -> Note {
    Note { id: id.to_owned(), text: text.to_owned() }
}

type Held = VecDeque<(Commit, oneshot::Sender<Result<(), StoreError>>)>;

/// A memory engine whose commits wait in their order until they are let go.
#[derive(Clone, Default)]
struct Waiting {
    inner: MemoryBackend,
    held: Arc<Mutex<Option<Held>>>,
}

impl Waiting {
    fn hold(&self) {
        *self.held.lock().unwrap() = Some(Held::new());
    }

    async fn let_go(&self) {
        let held = self.held.lock().unwrap().take().unwrap();
        for (commit, answer) in held {
            drop(answer.send(self.inner.commit(commit).await));
        }
    }
}

#[async_trait]
impl Backend for Waiting {
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
        match &mut *self.held.lock().unwrap() {
            None => self.inner.commit(commit),
            Some(held) => {
                let (answer, answered) = oneshot::channel();
                held.push_back((commit, answer));
                answered.map(Result::unwrap).boxed()
            }
        }
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
        true
    }

    fn exclusive(&self) -> bool {
        true
    }
}

/// Lets everybody who can go on go on.
async fn all_go_on() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

async fn read(store: &Store) -> Result<Stored<Note>, StoreError> {
    store.get::<Note>("it").await.map(Option::unwrap)
}

/// Writes `letter` behind the note, and relies on what is not so the first time.
async fn fail_first(store: Store) -> Result<(), StoreError> {
    let tries = AtomicU32::new(0);
    change(&store, Lane::of::<Note>("it"), |view| {
        let is_first = tries.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if !is_first {
                return Ok(Decision::unchanged(()));
            }
            let mut it = read(&view).await?;
            it.doc.text.push('a');
            let wrong = Stored { doc: note("other", ""), revision: 99 };
            Ok(Decision::new(Changes::new().replace(&it).require(&wrong), ()))
        }
    })
    .await
}

async fn build_on_it(store: Store, gate: Arc<Notify>) -> Result<(), StoreError> {
    change(&store, Lane::of::<Note>("it"), |view| {
        let gate = Arc::clone(&gate);
        async move {
            let mut it = read(&view).await?;
            gate.notified().await;
            gate.notify_one();
            it.doc.text.push('b');
            Ok(Decision::new(Changes::new().replace(&it), ()))
        }
    })
    .await
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "three at once, each ended by the test")]
async fn nobody_builds_on_what_failed_where_another_took_its_number() {
    let (backend, clock) = (Waiting::default(), Clock::manual(Time::from_millis(0)));
    let database = Database::new(Arc::new(backend.clone()), clock.clone(), Ids::seeded(clock, 1));
    let store = database.scoped("post", &[Note::spec()]).await.unwrap();
    store.commit(Changes::new().insert(&note("it", "")).insert(&note("other", ""))).await.unwrap();
    backend.hold();

    let failing = tokio::spawn(fail_first(store.clone()));
    all_go_on().await;
    let gate = Arc::new(Notify::new());
    let building = tokio::spawn(build_on_it(store.clone(), Arc::clone(&gate)));
    all_go_on().await;
    let mut it = read(&store).await.unwrap();
    it.doc.text.push('d');
    let outside = store.clone();
    let taking = tokio::spawn(async move { outside.commit(Changes::new().replace(&it)).await });
    all_go_on().await;
    gate.notify_one();
    all_go_on().await;
    backend.let_go().await;
    failing.await.unwrap().unwrap();
    building.await.unwrap().unwrap();
    let taken = taking.await.unwrap();

    let text = read(&store).await.unwrap().doc.text;
    assert!(!text.contains('a'), "{text}: what failed is there");
    assert_eq!(text.contains('d'), taken.is_ok(), "{text}: {taken:?}");
    assert!(text.contains('b'), "{text}");
}

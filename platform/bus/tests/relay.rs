//! Relays of several processes that share one store.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cartwright_bus::{Backlog, Broker, BrokerError, Interest, Relay, Subscription};
use cartwright_runtime::{Clock, Ids, Tasks, Time};
use cartwright_store::{
    Backend, Bookmark, Changes, Collection, CollectionSpec, Commit, Database, Envelope, Event, MemoryBackend, Query,
    Row, Store, StoreError,
};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Rung {
    bell: String,
    stroke: u32,
}

impl Event for Rung {
    const NAME: &'static str = "tower.bell-rung";

    fn subject(&self) -> String {
        self.bell.clone()
    }
}

/// A store that several processes may have open.
struct Shared(MemoryBackend);

#[async_trait]
impl Backend for Shared {
    async fn prepare(&self, scope: &'static str, collections: &[CollectionSpec]) -> Result<(), StoreError> {
        self.0.prepare(scope, collections).await
    }

    async fn get(&self, collection: Collection, key: &str) -> Result<Option<Row>, StoreError> {
        self.0.get(collection, key).await
    }

    async fn find(&self, query: Query) -> Result<Vec<Row>, StoreError> {
        self.0.find(query).await
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'static, Result<(), StoreError>> {
        self.0.commit(commit)
    }

    async fn unsent(&self, after: &Bookmark, limit: usize) -> Result<Vec<(Bookmark, Envelope)>, StoreError> {
        self.0.unsent(after, limit).await
    }

    async fn waiting(&self, most: usize) -> Result<usize, StoreError> {
        self.0.waiting(most).await
    }

    async fn sent(&self, ids: Vec<String>) -> Result<(), StoreError> {
        self.0.sent(ids).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.0.ready().await
    }

    fn ordered(&self) -> bool {
        self.0.ordered()
    }

    fn exclusive(&self) -> bool {
        false
    }
}

/// A broker that takes down what it is given, while it is not away.
#[derive(Clone, Default)]
struct Ledger(Arc<Book>);

#[derive(Default)]
struct Book {
    away: AtomicBool,
    asked_at_once: AtomicUsize,
    most_at_once: AtomicUsize,
    strokes: Mutex<HashMap<String, Vec<u32>>>,
}

impl Ledger {
    fn strokes(&self, bell: &str) -> Vec<u32> {
        self.0.strokes.lock().unwrap().get(bell).cloned().unwrap_or_default()
    }

    fn count(&self) -> usize {
        self.0.strokes.lock().unwrap().values().map(Vec::len).sum()
    }

    fn set_away(&self, away: bool) {
        self.0.away.store(away, Ordering::SeqCst);
    }
}

#[async_trait]
impl Broker for Ledger {
    async fn publish(&self, event: Envelope) -> Result<(), BrokerError> {
        let now = self.0.asked_at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.most_at_once.fetch_max(now, Ordering::SeqCst);
        tokio::task::yield_now().await;
        self.0.asked_at_once.fetch_sub(1, Ordering::SeqCst);
        if self.0.away.load(Ordering::SeqCst) {
            return Err(BrokerError("away".to_owned()));
        }
        let Rung { bell, stroke } = event.event().unwrap();
        self.0.strokes.lock().unwrap().entry(bell).or_default().push(stroke);
        Ok(())
    }

    async fn subscribe(&self, _subscriptions: Vec<Subscription>) -> Result<(), BrokerError> {
        unreachable!("nobody listens")
    }

    async fn expect(&self, _interests: Vec<Interest>) -> Result<(), BrokerError> {
        unreachable!("nobody listens")
    }

    async fn lag(&self, _consumer: &str) -> Result<u64, BrokerError> {
        unreachable!("nobody listens")
    }
}

/// A process with a relay, whose clock is its own.
struct Process {
    tower: Store,
    clock: Clock,
    tasks: Tasks,
    backlog: Backlog,
    database: Database,
}

impl Process {
    async fn start(memory: &MemoryBackend, ledger: &Ledger, start: Time) -> Self {
        let process = Self::without_relay(memory, start).await;
        let Self { database, tasks, clock, backlog, .. } = &process;
        let relay = Relay::new(database, Arc::new(ledger.clone()), tasks.clone(), clock.clone());
        tasks.spawn(relay.reporting(backlog.clone()).run());
        process
    }

    async fn without_relay(memory: &MemoryBackend, start: Time) -> Self {
        let clock = Clock::manual(start);
        let ids = Ids::random(clock.clone());
        let database = Database::new(Arc::new(Shared(memory.clone())), clock.clone(), ids);
        let tower = database.scoped("tower", &[]).await.unwrap();
        Self { tower, clock, tasks: Tasks::new(), backlog: Backlog::new(5), database }
    }

    async fn ring(&self, bell: &str, stroke: u32) {
        let event = Rung { bell: bell.to_owned(), stroke };
        self.tower.commit(Changes::new().publish(&event)).await.unwrap();
    }

    /// Lets this process's time go on until `check` holds.
    async fn until(&self, what: &str, check: impl Fn() -> bool) {
        eventually(what, || {
            self.clock.advance(Duration::from_millis(100));
            check()
        })
        .await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

async fn eventually(what: &str, check: impl Fn() -> bool) {
    let clock = Clock::system();
    let watch = clock.stopwatch();
    while !check() {
        assert!(watch.elapsed() < Duration::from_secs(20), "not in 20 s: {what}");
        clock.pause(Duration::from_millis(2)).await;
    }
}

const NOON: Time = Time::from_millis(1_795_340_000_000);

#[tokio::test]
async fn what_one_process_commits_is_not_sent_by_the_other_too() {
    let (memory, ledger) = (MemoryBackend::new(), Ledger::default());
    // The other's clock is half an hour ahead, and its sweeps see every event before it is sent.
    let one = Process::start(&memory, &ledger, NOON).await;
    let other = Process::start(&memory, &ledger, NOON.plus(Duration::from_secs(1800))).await;

    for stroke in 1..=50 {
        one.ring("great", stroke).await;
        other.clock.advance(Duration::from_millis(1000));
        eventually("the stroke is sent", || ledger.strokes("great").len() as u32 >= stroke).await;
    }

    assert_eq!(ledger.strokes("great"), (1..=50).collect::<Vec<u32>>());
}

#[tokio::test]
async fn what_a_dead_process_left_is_taken_over_in_order_after_a_grace() {
    let (memory, ledger) = (MemoryBackend::new(), Ledger::default());
    let dead = Process::without_relay(&memory, NOON.plus(Duration::from_secs(1800))).await;
    for stroke in 1..=5 {
        dead.ring("great", stroke).await;
    }
    let heir = Process::start(&memory, &ledger, NOON).await;
    heir.ring("small", 1).await;
    heir.until("its own event is sent at once", || ledger.strokes("small") == [1]).await;
    assert!(ledger.strokes("great").is_empty(), "those of the other are left to it for a while");

    heir.ring("great", 6).await;
    heir.until("all are sent", || ledger.strokes("great").len() >= 6).await;

    assert_eq!(ledger.strokes("great"), [1, 2, 3, 4, 5, 6], "its own event waited for those before");
    assert!(heir.clock.now().since(NOON) >= Duration::from_secs(3), "the grace had passed");
}

#[tokio::test]
async fn however_many_events_wait_only_so_many_are_in_memory_and_none_is_lost() {
    const EVENTS: u32 = 5000;
    let (memory, ledger) = (MemoryBackend::new(), Ledger::default());
    ledger.set_away(true);
    let process = Process::start(&memory, &ledger, NOON).await;
    for number in 0..EVENTS {
        process.ring(&format!("bell {}", number % 2500), number / 2500).await;
    }
    process.until("the backlog is full", || process.backlog.is_full()).await;
    assert_eq!(process.backlog.waiting(), 5, "it does not count beyond its bound");

    ledger.set_away(false);
    process.until("everything is sent", || ledger.count() >= EVENTS as usize).await;
    process.until("nothing waits any more", || process.backlog.waiting() == 0).await;

    assert!(ledger.0.most_at_once.load(Ordering::SeqCst) <= 1024);
    for bell in 0..2500 {
        assert_eq!(ledger.strokes(&format!("bell {bell}")), [0, 1], "bell {bell}");
    }
}

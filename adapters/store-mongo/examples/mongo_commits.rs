//! How many commits a MongoDB takes: `commits URI [CALLERS] [SECONDS]`, for a look at a deployment and at a change.
//!
//! Prints the rate and the latencies of commits of one document with one event, then of commits of three documents.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cartwright_runtime::{Clock, Ids, Secret, Tasks};
use cartwright_store::{Changes, Database, Document, Event, Store};
use cartwright_store_mongo::{MongoBackend, Options, Target};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
struct Item {
    id: String,
    text: String,
}

impl Document for Item {
    const COLLECTION: &'static str = "items";

    fn key(&self) -> String {
        self.id.clone()
    }
}

#[derive(Serialize, Deserialize)]
struct ItemMade {
    id: String,
}

impl Event for ItemMade {
    const NAME: &'static str = "bench.item-made";

    fn subject(&self) -> String {
        self.id.clone()
    }
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let uri = match arguments.next() {
        Some(uri) if uri != "-" => uri,
        Some(_) | None => cartwright_servers::mongo::shared().await,
    };
    let mut number = |otherwise: u64| arguments.next().and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let (callers, seconds) = (number(64), number(5));
    let clock = Clock::system();
    let target = Target { uri: Secret::new(uri), overrides: Vec::new() };
    let opened = MongoBackend::open(target, clock.clone(), Tasks::new(), Options::default()).await;
    let backend = opened.expect("the databases can be opened");
    let ids = Ids::random(clock.clone());
    let database = Database::new(Arc::new(backend), clock, ids);
    let store = database.scoped("bench", &[Item::spec()]).await.expect("the collections can be prepared");
    for documents in [1, 3] {
        measure(&store, documents, callers, Duration::from_secs(seconds)).await;
    }
}

async fn measure(store: &Store, documents: usize, callers: u64, length: Duration) {
    let (tasks, count) = (Tasks::new(), Arc::new(AtomicU64::new(0)));
    let watch = store.clock().stopwatch();
    let mut running = Vec::new();
    for _ in 0..callers {
        let (store, count) = (store.clone(), Arc::clone(&count));
        running.push(tasks.detach(async move {
            let mut latencies = Vec::new();
            while watch.elapsed() < length {
                let each = store.clock().stopwatch();
                let id = store.ids().uuid().to_string();
                let changes = (0..documents).fold(Changes::new(), |changes, number| {
                    changes.insert(&Item { id: format!("{id}-{number}"), text: "x".repeat(500) })
                });
                store.commit(changes.publish(&ItemMade { id })).await.expect("a commit");
                latencies.push(each.elapsed());
                count.fetch_add(1, Ordering::Relaxed);
            }
            latencies
        }));
    }
    let latencies = futures::future::join_all(running).await;
    let mut latencies: Vec<Duration> = latencies.into_iter().flat_map(|one| one.expect("a caller ends")).collect();
    latencies.sort_unstable();
    let at =
        |percent: usize| latencies.get(latencies.len().saturating_sub(1) * percent / 100).copied().unwrap_or_default();
    let rate = u128::from(count.load(Ordering::Relaxed)) * 1000 / watch.elapsed().as_millis().max(1);
    println!("{documents} document(s), {callers} callers: {rate} commits/s, p50 {:?}, p99 {:?}", at(50), at(99));
}

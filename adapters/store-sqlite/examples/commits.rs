//! Measures durable single-document commits a second and CPU per commit, with one caller and with 64.
//!
//! `cargo run --release -p cartwright-store-sqlite --example commits [folder] [seconds]`
#![allow(clippy::unwrap_used, clippy::float_arithmetic, reason = "a measurement for people")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cartwright_runtime::{Clock, Ids, Tasks};
use cartwright_store::{Backend, Changes, Database, Document, Index, IndexEntry, Lane, Store};
use cartwright_store_sqlite::{Options, SqliteBackend};
use futures::future::join_all;
use serde::{Deserialize, Serialize};

/// A document of about 1.7 KB with one index that moves.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Order {
    id: String,
    changed: i64,
    lines: Vec<String>,
}

impl Document for Order {
    const COLLECTION: &'static str = "orders";
    const INDEXES: &'static [Index] = &[Index::many("by-change", &["changed"])];

    fn key(&self) -> String {
        self.id.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry> {
        vec![IndexEntry::new("by-change", [self.changed.into()])]
    }
}

fn key(number: u64) -> String {
    format!("ord_{number:08}")
}

async fn change_one(store: &Store, key: String) {
    let decided = cartwright_store::change(store, Lane::of::<Order>(&key), |view| {
        let key = key.clone();
        async move {
            let mut order = view.get::<Order>(&key).await?.unwrap();
            order.doc.changed += 1;
            let changes = Changes::new().replace(&order);
            Ok::<_, cartwright_store::StoreError>(cartwright_store::Decision::new(changes, ()))
        }
    });
    decided.await.unwrap();
}

/// CPU time of this process in microseconds (user and system; clock ticks of 10 ms).
fn cpu_us() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10_000
}

async fn measure(store: &Store, backend: &SqliteBackend, callers: u64, long: Duration) {
    let (clock, tasks) = (Clock::system(), Tasks::new());
    let (before, cpu, watch) = (backend.written(), cpu_us(), clock.stopwatch());
    let all = (0..callers).map(|caller| {
        let (store, clock) = (store.clone(), clock.clone());
        tasks.detach(async move {
            let mut times = Vec::new();
            while watch.elapsed() < long {
                let one = clock.stopwatch();
                change_one(&store, key((caller * 131 + times.len() as u64 * 7919) % 1000)).await;
                times.push(one.elapsed().as_micros());
            }
            times
        })
    });
    let mut times: Vec<u128> = join_all(all).await.into_iter().flat_map(Result::unwrap).collect();
    let (seconds, cpu) = (watch.elapsed().as_secs_f64(), cpu_us() - cpu);
    let after = backend.written();
    times.sort_unstable();
    let (commits, groups) = (after.commits - before.commits, after.groups - before.groups);
    println!(
        "{callers:>3} callers: {:>7.0} commits/s, {:.0} syncs/s, p50 {} µs, p99 {} µs, CPU {} µs a commit",
        commits as f64 / seconds,
        groups as f64 / seconds,
        times[times.len() / 2],
        times[times.len() * 99 / 100],
        cpu / commits.max(1),
    );
}

async fn run(folder: &Path, long: Duration) {
    let clock = Clock::system();
    let backend = Arc::new(SqliteBackend::open(&folder.join("bench.db"), clock.clone(), Options::default()).unwrap());
    let database = Database::new(Arc::clone(&backend) as Arc<dyn Backend>, clock.clone(), Ids::random(clock));
    let store = database.scoped("bench", &[Order::spec()]).await.unwrap();
    for number in 0..1000 {
        let order = Order { id: key(number), changed: 0, lines: vec!["x".repeat(80); 20] };
        store.commit(Changes::new().insert(&order)).await.unwrap();
    }
    for callers in [1, 64, 1, 64] {
        measure(&store, &backend, callers, long).await;
    }
    backend.close();
}

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let root = args.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let seconds = args.next().map_or(3, |text| text.parse().unwrap());
    let folder = root.join(format!("commits-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    run(&folder, Duration::from_secs(seconds)).await;
    std::fs::remove_dir_all(&folder).unwrap();
}

//! How fast this disk is for us: durable commits of one document, one after the other.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cartwright_runtime::{Clock, Ids};
use cartwright_store::{Changes, Database, Document, StoreError};
use serde::{Deserialize, Serialize};

use crate::{Options, SqliteBackend};

/// What a probe measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ProbeReport {
    /// Commits that were made durable.
    pub commits: u64,
    /// The time that half of them took at most, in microseconds.
    pub p50_us: u64,
    /// The time that 99 of 100 took at most, in microseconds.
    pub p99_us: u64,
}

#[derive(Clone, Serialize, Deserialize)]
struct Probe {
    number: u64,
    body: String,
}

impl Document for Probe {
    const COLLECTION: &'static str = "probes";

    fn key(&self) -> String {
        format!("{:020}", self.number)
    }
}

/// Commits documents of 1 KiB into a file of its own in `dir` for `seconds`, by one caller; the file is removed after.
///
/// # Errors
/// When the directory cannot be used, or a commit fails.
pub async fn commit_probe(dir: &Path, seconds: u64) -> Result<ProbeReport, StoreError> {
    let unavailable = |error: &dyn std::fmt::Display| StoreError::Unavailable(error.to_string());
    let clock = Clock::system();
    let own = dir.join(format!("commit-probe-{}", std::process::id()));
    std::fs::create_dir(&own).map_err(|error| unavailable(&error))?;
    let opened = SqliteBackend::open(&own.join("probe.db"), clock.clone(), Options::default());
    let report = match opened {
        Ok(backend) => measure(Arc::new(backend), &clock, Duration::from_secs(seconds)).await,
        Err(error) => Err(unavailable(&error)),
    };
    std::fs::remove_dir_all(&own).map_err(|error| unavailable(&error))?;
    report
}

async fn measure(backend: Arc<SqliteBackend>, clock: &Clock, long: Duration) -> Result<ProbeReport, StoreError> {
    let engine: Arc<dyn cartwright_store::Backend> = Arc::clone(&backend) as Arc<_>;
    let store =
        Database::new(engine, clock.clone(), Ids::random(clock.clone())).scoped("probe", &[Probe::spec()]).await?;
    let (watch, mut times) = (clock.stopwatch(), Vec::new());
    while watch.elapsed() < long {
        let number = u64::try_from(times.len()).unwrap_or(u64::MAX);
        let one = clock.stopwatch();
        store.commit(Changes::new().insert(&Probe { number, body: "x".repeat(1000) })).await?;
        times.push(u64::try_from(one.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
    backend.close();
    times.sort_unstable();
    let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or(0);
    Ok(ProbeReport { commits: u64::try_from(times.len()).unwrap_or(u64::MAX), p50_us: at(50), p99_us: at(99) })
}

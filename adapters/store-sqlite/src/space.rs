//! Room on the disk, looked at about once a second: a store that fills the disk to the last byte cannot even shrink.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use cartwright_runtime::{Clock, Stopwatch};
use cartwright_store::{Commit, Effect, StoreError};

use crate::Options;

const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(crate) struct Space {
    folder: PathBuf,
    clock: Clock,
    bytes: u64,
    percent: u64,
    seen: Mutex<Option<(Stopwatch, Option<String>)>>,
}

impl Space {
    pub(crate) fn new(folder: PathBuf, clock: Clock, options: &Options) -> Self {
        let (bytes, percent) = (options.least_free_bytes, options.least_free_percent);
        Self { folder, clock, bytes, percent, seen: Mutex::new(None) }
    }

    /// Whether the store may grow; otherwise what is missing.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let lack = match seen.take() {
            Some((watch, lack)) if watch.elapsed() < LOOK_EVERY => (watch, lack),
            _ => (self.clock.stopwatch(), self.look()),
        };
        seen.insert(lack).1.clone().map_or(Ok(()), |lack| Err(StoreError::Full(lack)))
    }

    fn look(&self) -> Option<String> {
        // A file system that cannot say how full it is must say so when it is written to.
        let disk = rustix::fs::statvfs(&self.folder).ok()?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let all = disk.f_blocks.saturating_mul(disk.f_frsize);
        let least = self.bytes.max(all / 100 * self.percent);
        let (free_mib, least_mib) = (free >> 20, least >> 20);
        (free < least)
            .then(|| format!("{free_mib} MiB free where {} is, {least_mib} MiB needed", self.folder.display()))
    }
}

/// Whether a commit adds documents or events. Replacing and removing go on when the disk is nearly full.
pub(crate) fn grows(commit: &Commit) -> bool {
    let inserts = |effect: &Effect, expect: Option<u64>| matches!(effect, Effect::Put { .. }) && expect.is_none();
    !commit.events.is_empty() || commit.writes.iter().any(|write| inserts(&write.effect, write.expect))
}

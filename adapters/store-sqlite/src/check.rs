//! Looking for damage: at once where the file was not closed cleanly and is small, otherwise beside the running shop.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use cartwright_runtime::Clock;
use rusqlite::{Connection, InterruptHandle};

use crate::health::Health;

/// How long an interrupted check may take to notice.
const NOTICES_WITHIN: Duration = Duration::from_secs(5);

/// What SQLite complains about; nothing where the file is sound. `pragma` is `quick_check` or `integrity_check`.
pub(crate) fn complaints(connection: &Connection, pragma: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(&format!("PRAGMA {pragma}"))?;
    let found: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    Ok(found.into_iter().filter(|line| line != "ok").collect())
}

/// A check on a thread of its own, one table at a time, so that no long read keeps the log from being reset.
pub(crate) struct Check {
    thread: JoinHandle<()>,
    stop: Arc<AtomicBool>,
    interrupt: Arc<Mutex<Option<InterruptHandle>>>,
}

impl Check {
    pub(crate) fn start(path: PathBuf, health: Arc<Health>) -> std::io::Result<Self> {
        let (stop, interrupt) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (stopped, handle) = (Arc::clone(&stop), Arc::clone(&interrupt));
        let thread = std::thread::Builder::new().name("store-check".to_owned()).spawn(move || {
            match look(&path, &stopped, &handle) {
                Ok(None) => {}
                Ok(Some(what)) => {
                    let mend = "restore a backup, then run `cartwright verify`";
                    health.poison(format!("{} is damaged ({what}): {mend}", path.display()));
                }
                Err(error) if stopped.load(Ordering::Relaxed) => tracing::debug!(%error, "the check was ended"),
                Err(error) => drop(health.of_read(&error)),
            }
        })?;
        Ok(Self { thread, stop, interrupt })
    }

    /// Ends it and waits until its connection is closed.
    pub(crate) fn end(self, clock: &Clock) {
        self.stop.store(true, Ordering::Relaxed);
        let watch = clock.stopwatch();
        while !self.thread.is_finished() && watch.elapsed() < NOTICES_WITHIN {
            if let Some(interrupt) = &*self.interrupt.lock().unwrap_or_else(PoisonError::into_inner) {
                interrupt.interrupt();
            }
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }
}

fn look(
    path: &Path,
    stop: &AtomicBool,
    interrupt: &Mutex<Option<InterruptHandle>>,
) -> rusqlite::Result<Option<String>> {
    let connection = crate::open::reader(path)?;
    *interrupt.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection.get_interrupt_handle());
    let mut names = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
    let tables: Vec<String> = names.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for table in tables {
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let found = complaints(&connection, &format!("quick_check(\"{table}\")"))?;
        if let Some(first) = found.into_iter().next() {
            return Ok(Some(first));
        }
    }
    Ok(None)
}

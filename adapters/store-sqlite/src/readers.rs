//! The readers: a few connections beside the writer, each serving one question at a time on the caller's thread.
//!
//! A read takes microseconds, so it is not worth another thread; while all connections are busy the caller waits.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cartwright_store::StoreError;
use rusqlite::Connection;

pub(crate) struct Readers {
    connections: Vec<Mutex<Option<Connection>>>,
    next: AtomicUsize,
}

impl Readers {
    pub(crate) fn new(connections: Vec<Connection>) -> Self {
        let connections = connections.into_iter().map(|connection| Mutex::new(Some(connection))).collect();
        Self { connections, next: AtomicUsize::new(0) }
    }

    /// What `read` finds.
    ///
    /// # Errors
    /// What `read` says, or that the store is closed.
    pub(crate) fn with<T>(&self, read: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match &*self.free() {
            Some(connection) => read(connection),
            None => Err(StoreError::Unavailable("the store is closed".to_owned())),
        }
    }

    fn free(&self) -> MutexGuard<'_, Option<Connection>> {
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let count = self.connections.len();
        let free = (0..count).find_map(|step| self.connections[start.wrapping_add(step) % count].try_lock().ok());
        free.unwrap_or_else(|| self.connections[start % count].lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn close(&self) {
        for connection in &self.connections {
            drop(connection.lock().unwrap_or_else(PoisonError::into_inner).take());
        }
    }
}

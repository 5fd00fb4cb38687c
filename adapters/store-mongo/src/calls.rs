//! Calls to the servers: each in a task of its own, so that no caller that leaves drops a call of the driver, and with an
//! end to the caller's wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cartwright_runtime::{Clock, Tasks};
use cartwright_store::StoreError;
use tokio::sync::Semaphore;

/// How calls are made.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    clock: Clock,
    tasks: Tasks,
    room: Arc<Semaphore>,
    closed: Arc<AtomicBool>,
}

impl Calls {
    pub(crate) fn new(clock: Clock, tasks: Tasks, most: usize) -> Self {
        Self { clock, tasks, room: Arc::new(Semaphore::new(most.max(1))), closed: Arc::default() }
    }

    /// Ends this handle: every later call is refused.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// What `call` gives. It goes on where its caller is dropped, or has waited for `limit` of real time: a driven clock
    /// would not move while a test waits for a server.
    pub(crate) async fn run<T, F>(&self, limit: Duration, call: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        if self.closed.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable("the store is closed".to_owned()));
        }
        let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else {
            return Err(StoreError::Busy("too many calls wait for MongoDB".to_owned()));
        };
        let call = self.tasks.detach(async move {
            let result = call.await;
            drop(room);
            result
        });
        tokio::select! {
            biased;
            result = call => result.unwrap_or_else(|error| Err(StoreError::Unavailable(format!("a call failed: {error}")))),
            () = self.clock.pause(limit) => {
                Err(StoreError::Unavailable(format!("MongoDB did not answer within {limit:?}")))
            }
        }
    }
}

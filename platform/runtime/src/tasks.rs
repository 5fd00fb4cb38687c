//! The program's background work, and its orderly end.
//!
//! Whatever is spawned here is waited for by the drain. Loops end when [`Tasks::stopped`] resolves.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Clock;

/// Spawns background work and waits for it at the end. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// No work yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `work` in the background until it ends by itself.
    pub fn spawn<F>(&self, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        drop(self.tracker.spawn(work));
    }

    /// Runs `work` in the background and gives its result; the work goes on where the caller is dropped.
    ///
    /// # Errors
    /// When the work panicked.
    pub async fn detach<F>(&self, work: F) -> Result<F::Output, tokio::task::JoinError>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tracker.spawn(work).await
    }

    /// Runs `work` on a thread where blocking is allowed and gives its result.
    ///
    /// # Errors
    /// When the work panicked.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, tokio::task::JoinError> {
        self.tracker.spawn_blocking(work).await
    }

    /// Resolves when the program was told to stop.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Whether the program was told to stop.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Tells all background work to stop.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits for all work to end, `limit` at most. True when everything ended.
    pub async fn drain(&self, clock: &Clock, limit: Duration) -> bool {
        self.stop();
        self.tracker.close();
        clock.timeout(limit, self.tracker.wait()).await.is_some()
    }
}

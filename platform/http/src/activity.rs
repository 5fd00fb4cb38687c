//! What a connection is doing, and whether it has been at it for too long.
//!
//! Shared by the socket, the requests on it and the task that watches both. Costs a request a few atomic writes and no timer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use axum::http::Version;
use cartwright_runtime::{Clock, Stopwatch};

use crate::Limits;

const NOT: u64 = u64::MAX;

/// What a connection is doing. Times are milliseconds since it was opened; [`NOT`] stands for "it is not".
#[derive(Debug)]
pub(crate) struct Activity {
    open: Stopwatch,
    under_way: AtomicUsize,
    head_since_ms: AtomicU64,
    idle_since_ms: AtomicU64,
    stalled_since_ms: AtomicU64,
    has_asked: AtomicBool,
    is_multiplexed: AtomicBool,
}

impl Activity {
    pub(crate) fn new(clock: &Clock) -> Arc<Self> {
        Arc::new(Self {
            open: clock.stopwatch(),
            under_way: AtomicUsize::new(0),
            head_since_ms: AtomicU64::new(NOT),
            idle_since_ms: AtomicU64::new(0),
            stalled_since_ms: AtomicU64::new(NOT),
            has_asked: AtomicBool::new(false),
            is_multiplexed: AtomicBool::new(false),
        })
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.open.elapsed().as_millis()).unwrap_or(NOT - 1)
    }

    /// The handshake is over: from now on the first request has its time.
    pub(crate) fn welcomed(&self) {
        self.idle_since_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// Bytes came. Outside a request they begin a header.
    pub(crate) fn received(&self) {
        if self.under_way.load(Ordering::Relaxed) == 0 && self.head_since_ms.load(Ordering::Relaxed) == NOT {
            self.head_since_ms.store(self.now_ms(), Ordering::Relaxed);
        }
    }

    /// The client took some of what was written.
    pub(crate) fn sent(&self) {
        if self.stalled_since_ms.load(Ordering::Relaxed) != NOT {
            self.stalled_since_ms.store(NOT, Ordering::Relaxed);
        }
    }

    /// The client takes nothing at the moment.
    pub(crate) fn stalled(&self) {
        if self.stalled_since_ms.load(Ordering::Relaxed) == NOT {
            self.stalled_since_ms.store(self.now_ms(), Ordering::Relaxed);
        }
    }

    /// A header is complete; the request is under way until what is returned is dropped.
    pub(crate) fn begin(self: &Arc<Self>, version: Version) -> UnderWay {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        self.head_since_ms.store(NOT, Ordering::Relaxed);
        self.has_asked.store(true, Ordering::Relaxed);
        if version == Version::HTTP_2 {
            self.is_multiplexed.store(true, Ordering::Relaxed);
        }
        UnderWay(Arc::clone(self))
    }

    /// Why this connection should be closed, if it should.
    pub(crate) fn overdue(&self, limits: &Limits) -> Option<&'static str> {
        let now = self.now_ms();
        let longer = |since: &AtomicU64, limit_ms: u64| match since.load(Ordering::Relaxed) {
            NOT => false,
            since => now.saturating_sub(since) >= limit_ms,
        };
        if longer(&self.stalled_since_ms, limits.stall_ms) {
            return Some("the client does not read");
        }
        if self.under_way.load(Ordering::Relaxed) > 0 {
            return None;
        }
        // Between the requests of HTTP/2 there are pings and acknowledgements, so there only idleness counts.
        let is_reading_head = self.head_since_ms.load(Ordering::Relaxed) != NOT;
        if is_reading_head && !self.is_multiplexed.load(Ordering::Relaxed) {
            return longer(&self.head_since_ms, limits.head_ms).then_some("the header did not end");
        }
        if !self.has_asked.load(Ordering::Relaxed) {
            return longer(&self.idle_since_ms, limits.first_byte_ms).then_some("nothing was sent");
        }
        longer(&self.idle_since_ms, limits.idle_ms).then_some("idle")
    }
}

/// A request under way.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<Activity>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.idle_since_ms.store(self.0.now_ms(), Ordering::Relaxed);
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

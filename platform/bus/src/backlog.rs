//! How many events wait to be taken by the broker, for those who must not add to them for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// As many events may wait before new work is refused, unless somebody says otherwise.
const BOUND: usize = 10_000;

/// A gauge that the relay sets and anybody may read. Cheap to clone; clones are one gauge.
#[derive(Clone, Debug)]
pub struct Backlog {
    waiting: Arc<AtomicUsize>,
    bound: usize,
}

impl Backlog {
    /// Nothing waits; full when `bound` events do.
    pub fn new(bound: usize) -> Self {
        Self { waiting: Arc::default(), bound }
    }

    /// How many events waited when the relay last looked. It does not count beyond the bound.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Whether so many wait that nobody should cause more.
    pub fn is_full(&self) -> bool {
        self.waiting() >= self.bound
    }

    pub(crate) const fn bound(&self) -> usize {
        self.bound
    }

    pub(crate) fn set(&self, waiting: usize) {
        self.waiting.store(waiting, Ordering::Relaxed);
    }
}

impl Default for Backlog {
    fn default() -> Self {
        Self::new(BOUND)
    }
}

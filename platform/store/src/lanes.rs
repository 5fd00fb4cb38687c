//! Lanes: contenders for one document queue instead of racing.
//!
//! A lane orders the deciders of one process. It is a courtesy, never a promise: what keeps two writers apart is the
//! revision that the commit checks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::Document;

/// The documents that a decision is about to write.
#[derive(Clone, Debug, Default)]
pub struct Lane(Vec<String>);

impl Lane {
    /// No lane: nobody else writes these documents, or a race is as good.
    pub fn none() -> Self {
        Self::default()
    }

    /// The lane of one document.
    pub fn of<D: Document>(key: impl AsRef<str>) -> Self {
        Self::none().with::<D>(key)
    }

    /// This lane and that of one more document.
    #[must_use]
    pub fn with<D: Document>(mut self, key: impl AsRef<str>) -> Self {
        self.0.push(format!("{}/{}", D::COLLECTION, key.as_ref()));
        self
    }

    /// Whether it is this document's lane, or the lane of more documents, this one among them.
    pub(crate) fn has(&self, collection: &str, key: &str) -> bool {
        let named = |name: &String| name.strip_prefix(collection).and_then(|rest| rest.strip_prefix('/')) == Some(key);
        self.0.iter().any(named)
    }
}

type Turn = AsyncMutex<()>;

/// Places of the queue of each lane that somebody is in; a lane that nobody is in takes no memory for long.
#[derive(Default)]
pub(crate) struct Lanes(Mutex<HashMap<String, Weak<Turn>>>);

impl Lanes {
    /// Waits for the turn in every lane named, in one global order, so that no two deciders wait for each other.
    pub(crate) async fn enter(&self, scope: &str, mut lane: Lane) -> Vec<OwnedMutexGuard<()>> {
        lane.0.sort_unstable();
        lane.0.dedup();
        let mut turns = Vec::with_capacity(lane.0.len());
        for name in lane.0 {
            let turn = self.turn(format!("{scope}/{name}"));
            turns.push(turn.lock_owned().await);
        }
        turns
    }

    fn turn(&self, name: String) -> Arc<Turn> {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = lanes.get(&name).and_then(Weak::upgrade) {
            return turn;
        }
        // The map is swept when it is full and then has room for as many again, so sweeping costs nothing on average.
        if lanes.len() == lanes.capacity() {
            lanes.retain(|_, turn| turn.strong_count() > 0);
            let alive = lanes.len();
            lanes.reserve(alive.max(16));
        }
        let turn = Arc::new(Turn::default());
        drop(lanes.insert(name, Arc::downgrade(&turn)));
        turn
    }
}

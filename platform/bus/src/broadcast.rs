//! The lossy sibling of the bus: "something about this topic changed, look again".

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use cartwright_runtime::Tasks;
use cartwright_store::{Document, Store};
use tokio::sync::watch;

/// Written keys that may wait to be hinted; more are dropped, as hints may be.
const WRITTEN: usize = 4096;

/// Hints by topic. Cheap to clone. A hint nobody waits for is gone; several may arrive as one.
#[derive(Clone, Default)]
pub struct Broadcast(Arc<Mutex<HashMap<String, watch::Sender<u64>>>>);

impl Broadcast {
    /// No topics yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells those who wait on `topic` to look again.
    pub fn hint(&self, topic: &str) {
        let topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = topics.get(topic) {
            sender.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    /// Hints the key of each `D` that this process writes to `store`, until the program stops.
    pub async fn hint_writes<D: Document>(self, store: Store, tasks: Tasks) {
        let mut written = store.watch::<D>(WRITTEN);
        loop {
            tokio::select! {
                () = tasks.stopped() => return,
                Some(key) = written.recv() => self.hint(&key),
            }
        }
    }

    /// Hints on `topic` from now on.
    pub fn listen(&self, topic: impl Into<String>) -> Hints {
        let topic = topic.into();
        let mut topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let receiver = topics.entry(topic.clone()).or_insert_with(|| watch::Sender::new(0)).subscribe();
        Hints { topic, receiver: Some(receiver), broadcast: self.clone() }
    }
}

/// A listener of one topic.
pub struct Hints {
    topic: String,
    receiver: Option<watch::Receiver<u64>>,
    broadcast: Broadcast,
}

impl Hints {
    /// Waits for the next hint; at once where one came since the last call.
    pub async fn next(&mut self) {
        let Some(receiver) = &mut self.receiver else { return };
        // The topic lives as long as this listener does.
        drop(receiver.changed().await);
    }
}

impl Drop for Hints {
    fn drop(&mut self) {
        let mut topics = self.broadcast.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.receiver.take());
        if topics.get(&self.topic).is_some_and(|sender| sender.receiver_count() == 0) {
            drop(topics.remove(&self.topic));
        }
    }
}

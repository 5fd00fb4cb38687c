//! The lossy sibling of the bus: "something about this topic changed, look again".

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cartwright_runtime::{Clock, Ids, Tasks};
use cartwright_store::{Document, Store};
use futures::StreamExt as _;
use tokio::sync::{mpsc, watch};

use crate::Wire;

/// Written keys that may wait to be hinted; more are dropped, as hints may be.
const WRITTEN: usize = 4096;
/// Hints that may wait for the wire; more are dropped.
const FOR_THE_WIRE: usize = 1024;
/// The first pause before the wire is listened to again; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Hints by topic. Cheap to clone. A hint nobody waits for is gone; several may arrive as one.
#[derive(Clone, Default)]
pub struct Broadcast {
    topics: Topics,
    wire: Option<mpsc::Sender<String>>,
}

impl Broadcast {
    /// Hints within this process.
    pub fn new() -> Self {
        Self::default()
    }

    /// Hints to and from all processes on `wire`, until `tasks` stop. While the wire is cut, hints stay in the process;
    /// when it is whole again, everybody is hinted once, for what was missed.
    pub fn wired(wire: Arc<dyn Wire>, tasks: &Tasks) -> Self {
        let (sender, outgoing) = mpsc::channel(FOR_THE_WIRE);
        let topics = Topics::default();
        let ids = Ids::random(Clock::system());
        let line = Line { origin: ids.uuid().simple().to_string(), wire, topics: topics.clone(), ids };
        let (speaking, hearing) = (line.clone(), line);
        let (stop, stopping) = (tasks.clone(), tasks.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = stop.stopped() => {}
                () = speaking.speak(outgoing) => {}
            }
        });
        tasks.spawn(async move {
            tokio::select! {
                () = stopping.stopped() => {}
                () = hearing.hear() => {}
            }
        });
        Self { topics, wire: Some(sender) }
    }

    /// Tells those who wait on `topic` to look again.
    pub fn hint(&self, topic: &str) {
        self.topics.hint(topic);
        if let Some(wire) = &self.wire {
            // A full channel loses a hint, as a wire may.
            drop(wire.try_send(topic.to_owned()));
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
        let mut topics = self.topics.locked();
        let receiver = topics.entry(topic.clone()).or_insert_with(|| watch::Sender::new(0)).subscribe();
        Hints { topic, receiver: Some(receiver), topics: self.topics.clone() }
    }
}

/// Those who wait in this process.
#[derive(Clone, Default)]
struct Topics(Arc<Mutex<HashMap<String, watch::Sender<u64>>>>);

impl Topics {
    fn locked(&self) -> MutexGuard<'_, HashMap<String, watch::Sender<u64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hint(&self, topic: &str) {
        if let Some(sender) = self.locked().get(topic) {
            count(sender);
        }
    }

    fn hint_all(&self) {
        self.locked().values().for_each(count);
    }
}

fn count(sender: &watch::Sender<u64>) {
    sender.send_modify(|count| *count = count.wrapping_add(1));
}

/// This process's end of the wire. What it says carries its name, so that it does not listen to itself.
#[derive(Clone)]
struct Line {
    origin: String,
    wire: Arc<dyn Wire>,
    topics: Topics,
    ids: Ids,
}

impl Line {
    async fn speak(self, mut outgoing: mpsc::Receiver<String>) {
        while let Some(topic) = outgoing.recv().await {
            if let Err(error) = self.wire.send(&format!("{} {topic}", self.origin)).await {
                tracing::debug!(topic, %error, "a hint did not leave the process");
            }
        }
    }

    async fn hear(self) {
        let (clock, mut pause, mut missed) = (Clock::system(), FIRST_PAUSE, false);
        loop {
            match self.wire.listen().await {
                Ok(mut texts) => {
                    if missed {
                        self.topics.hint_all();
                    }
                    pause = FIRST_PAUSE;
                    while let Some(text) = texts.next().await {
                        self.pass_on(&text);
                    }
                    tracing::info!("the wire for hints is cut");
                }
                Err(error) => tracing::debug!(%error, "cannot listen for hints of other processes"),
            }
            missed = true;
            clock.pause(pause / 2 + self.ids.jitter(pause / 2)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn pass_on(&self, text: &str) {
        if let Some((origin, topic)) = text.split_once(' ')
            && origin != self.origin
        {
            self.topics.hint(topic);
        }
    }
}

/// A listener of one topic.
pub struct Hints {
    topic: String,
    receiver: Option<watch::Receiver<u64>>,
    topics: Topics,
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
        let mut topics = self.topics.locked();
        drop(self.receiver.take());
        if topics.get(&self.topic).is_some_and(|sender| sender.receiver_count() == 0) {
            drop(topics.remove(&self.topic));
        }
    }
}

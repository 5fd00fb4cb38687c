//! From a consumer's stream to its reactions; taken out of the stream when they are committed.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cartwright_bus::{AT_ONCE, Consumer, Deliveries};
use cartwright_runtime::{Clock, Ids};
use cartwright_store::Envelope;
use redis::RedisError;

use crate::broker::Wants;
use crate::stream::{Entry, Stream};

/// How long one read waits for new entries. A program that stops waits for it.
const WAIT: Duration = Duration::from_secs(1);
/// The first pause after reading failed; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The place before all entries.
const START: &str = "0-0";

/// Reads one stream for one process, until the program stops.
pub(crate) struct Reader {
    pub(crate) stream: Stream,
    pub(crate) consumer: Consumer,
    pub(crate) wants: Wants,
    pub(crate) claim_after: Duration,
}

/// The entries that this process works on.
#[derive(Clone, Default)]
struct InHand(Arc<Mutex<BTreeSet<String>>>);

impl InHand {
    fn locked(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all(&self) -> Vec<String> {
        self.locked().iter().cloned().collect()
    }
}

impl Reader {
    pub(crate) async fn run(self) {
        let (clock, tasks) = (self.stream.link.clock().clone(), self.stream.link.tasks().clone());
        let ids = Ids::random(Clock::system());
        let mut pause = FIRST_PAUSE;
        while !tasks.is_stopping() {
            let watch = clock.stopwatch();
            match self.session().await {
                Ok(()) => return,
                Err(error) => {
                    tracing::debug!(consumer = self.consumer.name(), %error, "reading a stream of Redis ended")
                }
            }
            if watch.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            // What this process knows may not be known to the Redis that comes back.
            self.wants.tell_again();
            tokio::select! {
                () = tasks.stopped() => return,
                () = clock.pause(pause / 2 + ids.jitter(pause / 2)) => pause = (pause * 2).min(LONGEST_PAUSE),
            }
        }
    }

    /// Reads over one connection; gives `Ok` when the program stops and everything in hand is acknowledged or given back.
    async fn session(&self) -> Result<(), RedisError> {
        self.wants.tell().await?;
        self.stream.forget_the_gone().await?;
        let (deliveries, in_hand) = (self.consumer.connected(), InHand::default());
        let claims = async {
            loop {
                self.stream.link.clock().pause(self.claim_after / 4).await;
                self.stream.keep(&in_hand.all()).await?;
                if self.room() > 0 {
                    self.take_abandoned(&deliveries, &in_hand).await?;
                }
            }
        };
        tokio::select! {
            result = self.read(&deliveries, &in_hand) => result?,
            result = claims => return result,
        }
        self.stream.give_back(&in_hand.all()).await
    }

    async fn read(&self, deliveries: &Deliveries, in_hand: &InHand) -> Result<(), RedisError> {
        let tasks = self.stream.link.tasks();
        let mut connection = self.stream.link.waiting(WAIT).await?;
        // Oldest first: what this process was given before, what others left, and then what is new.
        let mut after = START.to_owned();
        loop {
            let page = self.stream.own_entries(&after, AT_ONCE.into()).await?;
            let Some(last) = page.last() else { break };
            after = last.id.clone();
            self.take(page, deliveries, in_hand).await?;
        }
        self.take_abandoned(deliveries, in_hand).await?;
        while !tasks.is_stopping() {
            let most = self.room().max(1);
            let page = self.stream.new_entries(&mut connection, most, WAIT).await?;
            self.take(page, deliveries, in_hand).await?;
        }
        deliveries.settled().await;
        Ok(())
    }

    async fn take_abandoned(&self, deliveries: &Deliveries, in_hand: &InHand) -> Result<(), RedisError> {
        let mut from = START.to_owned();
        loop {
            let most = AT_ONCE.into();
            let (page, next) = self.stream.abandoned_entries(self.claim_after, &from, most).await?;
            self.take(page, deliveries, in_hand).await?;
            if next == START || self.stream.link.tasks().is_stopping() {
                return Ok(());
            }
            from = next;
        }
    }

    /// Takes each entry as soon as there is room for it.
    async fn take(&self, page: Vec<Entry>, deliveries: &Deliveries, in_hand: &InHand) -> Result<(), RedisError> {
        // All of them are this process's now: it says so also of those for which there is no room yet.
        let new: Vec<Entry> = page.into_iter().filter(|entry| in_hand.locked().insert(entry.id.clone())).collect();
        for entry in new {
            match self.event_in(&entry) {
                Some(event) => {
                    let (stream, in_hand, id) = (self.stream.clone(), in_hand.clone(), entry.id);
                    let acknowledge = async move {
                        if let Err(error) = stream.acknowledge(&id).await {
                            tracing::debug!(%error, "an event was applied and not acknowledged; it comes again");
                        }
                        in_hand.locked().remove(&id);
                    };
                    deliveries.take(event, acknowledge).await;
                }
                None => {
                    self.stream.acknowledge(&entry.id).await?;
                    in_hand.locked().remove(&entry.id);
                }
            }
        }
        Ok(())
    }

    fn event_in(&self, entry: &Entry) -> Option<Envelope> {
        // Without a body it was taken out of the stream meanwhile, by whoever applied it.
        let body = entry.body.as_ref()?;
        match serde_json::from_slice(body) {
            Ok(event) => Some(event),
            Err(error) => {
                let text = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
                tracing::error!(consumer = self.consumer.name(), %error, text, "an entry that is no event is dropped");
                None
            }
        }
    }

    fn room(&self) -> usize {
        usize::try_from(u64::from(AT_ONCE).saturating_sub(self.consumer.in_hand())).unwrap_or(0)
    }
}

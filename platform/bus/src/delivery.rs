//! How an event is applied to a consumer, whatever broker brought it.
//!
//! Promises that a confirmed event is applied or set aside, that events of one subject are applied one after the other,
//! and that no more than [`AT_ONCE`] events of a consumer are held in memory, however long they wait.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use cartwright_runtime::Tasks;
use cartwright_store::Envelope;
use futures::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::dead_letter::set_aside;
use crate::turns::Turns;
use crate::{Failure, Interest, Subscription};

/// Events of one consumer that one process has from a broker at once.
pub const AT_ONCE: u16 = 64;
/// Refusals after which an event is a dead letter.
const TRIES: u32 = 10;
/// The first pause between two tries; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// An event was not applied, because the program or the connection that brought it ended; it must be delivered again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it ended before the event was applied")]
pub struct Unapplied;

/// A service's reactions in this process. Cheap to clone.
#[derive(Clone)]
pub struct Consumer(Arc<Inner>);

struct Inner {
    name: String,
    reactions: HashMap<&'static str, Subscription>,
    tasks: Tasks,
    turns: Turns,
    room: Arc<Semaphore>,
}

impl Consumer {
    /// The consumers that `subscriptions` name. They stop trying when `tasks` stop.
    pub fn group(subscriptions: Vec<Subscription>, tasks: &Tasks) -> Vec<Self> {
        let mut by_name: HashMap<String, HashMap<&'static str, Subscription>> = HashMap::new();
        for subscription in subscriptions {
            let reactions = by_name.entry(subscription.consumer().to_owned()).or_default();
            reactions.entry(subscription.event()).or_insert(subscription);
        }
        let consumers = by_name.into_iter().map(|(name, reactions)| {
            let room = Arc::new(Semaphore::new(AT_ONCE.into()));
            Self(Arc::new(Inner { name, reactions, tasks: tasks.clone(), turns: Turns::default(), room }))
        });
        consumers.collect()
    }

    /// Its name, which all its processes share.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The names of the events it wants.
    pub fn events(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.reactions.keys().copied()
    }

    /// The same as others would say it.
    pub fn interests(&self) -> Vec<Interest> {
        self.events().map(|event| Interest { consumer: self.name().to_owned(), event: event.to_owned() }).collect()
    }

    /// Whether it wants events of this name.
    pub fn wants(&self, event: &str) -> bool {
        self.0.reactions.contains_key(event)
    }

    /// How many events that it was given are not applied yet.
    pub fn in_hand(&self) -> u64 {
        u64::from(AT_ONCE).saturating_sub(u64::try_from(self.0.room.available_permits()).unwrap_or(u64::MAX))
    }

    /// Deliveries over one connection.
    pub fn connected(&self) -> Deliveries {
        Deliveries { consumer: self.clone(), ended: CancellationToken::new() }
    }

    /// Applies one event, and tries as long as it takes. An event that nobody here reacts to any more is done with.
    ///
    /// # Errors
    /// When the program stops, or `ended` is raised, before it is applied.
    pub async fn apply(&self, event: &Envelope, ended: &CancellationToken) -> Result<(), Unapplied> {
        let Some(subscription) = self.0.reactions.get(event.name.as_str()) else {
            let (consumer, name, id) = (self.name(), &event.name, &event.id);
            tracing::warn!(consumer, name, id, "an event came that nobody here reacts to any more; it is dropped");
            return Ok(());
        };
        let (clock, ids) = (subscription.store().clock(), subscription.store().ids());
        let (mut refusals, mut pause) = (0, FIRST_PAUSE);
        while !try_once(subscription, event, &mut refusals).await {
            tokio::select! {
                () = self.0.tasks.stopped() => return Err(Unapplied),
                () = ended.cancelled() => return Err(Unapplied),
                () = clock.pause(pause / 2 + ids.jitter(pause / 2)) => pause = (pause * 2).min(LONGEST_PAUSE),
            }
        }
        Ok(())
    }

    /// The same after everything that was queued before of the same subject. This call itself takes the place.
    fn queue(&self, event: Envelope, ended: CancellationToken) -> BoxFuture<'static, Result<(), Unapplied>> {
        let consumer = self.clone();
        let mut place = self.0.turns.queue(format!("{}/{}", event.source, event.subject));
        Box::pin(async move {
            place.turn().await;
            if ended.is_cancelled() {
                return Err(Unapplied);
            }
            consumer.apply(&event, &ended).await
        })
    }
}

/// Whether the event is done with: applied, or refused for the last time and set aside.
async fn try_once(subscription: &Subscription, event: &Envelope, refusals: &mut u32) -> bool {
    let cause = match subscription.handle(event.clone()).await {
        Ok(()) => return true,
        Err(Failure::Unavailable(cause)) => {
            tracing::debug!(?subscription, event = event.id, cause, "an event waits");
            return false;
        }
        Err(Failure::Refused(cause)) => cause,
    };
    if *refusals + 1 < TRIES {
        *refusals += 1;
        tracing::warn!(?subscription, event = event.id, cause, refusals, "an event was refused");
        return false;
    }
    match set_aside(subscription, event, cause, TRIES).await {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(?subscription, event = event.id, %error, "cannot set a dead letter aside");
            false
        }
    }
}

/// What one connection brings to a consumer. When it is dropped, what still waits is given up, and delivered again by
/// whatever connection comes next.
pub struct Deliveries {
    consumer: Consumer,
    ended: CancellationToken,
}

impl Deliveries {
    /// Waits until there is room, then applies `event` in the background and runs `confirm` when that is done.
    ///
    /// Events of one subject must be given in the order in which they came.
    pub async fn take<F>(&self, event: Envelope, confirm: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Inner { room, tasks, .. } = &*self.consumer.0;
        // The semaphore is never closed.
        let Ok(permit) = Arc::clone(room).acquire_owned().await else { return };
        let applied = self.consumer.queue(event, self.ended.clone());
        tasks.spawn(async move {
            if applied.await.is_ok() {
                confirm.await;
            }
            drop(permit);
        });
    }

    /// Waits until everything that was taken is applied and confirmed, or given up.
    pub async fn settled(&self) {
        drop(self.consumer.0.room.acquire_many(AT_ONCE.into()).await);
    }
}

impl Drop for Deliveries {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

//! The broker of one process: it hands an event to each subscriber and confirms when all have applied it.
//!
//! Promises that a confirmed event needs no memory: each subscriber has committed its reaction, or its dead letter.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use cartwright_runtime::Tasks;
use cartwright_store::{Changes, Envelope, StoreError};
use futures::future;

use crate::{Broker, BrokerError, DeadLetter, Failure, Subscription};

/// Refusals after which an event is a dead letter.
const TRIES: u32 = 10;
/// The first pause between two tries; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Delivers within the process.
#[derive(Clone)]
pub struct InProcessBroker {
    tasks: Tasks,
    subscriptions: Arc<RwLock<HashMap<&'static str, Vec<Subscription>>>>,
}

impl InProcessBroker {
    /// A broker that stops trying when `tasks` stop.
    pub fn new(tasks: Tasks) -> Self {
        Self { tasks, subscriptions: Arc::default() }
    }

    fn wanted(&self, event: &str) -> Vec<Subscription> {
        let all = self.subscriptions.read().unwrap_or_else(PoisonError::into_inner);
        all.get(event).cloned().unwrap_or_default()
    }

    async fn deliver(&self, subscription: &Subscription, event: &Envelope) -> Result<(), BrokerError> {
        let (clock, ids) = (subscription.store().clock(), subscription.store().ids());
        let (mut refusals, mut pause) = (0, FIRST_PAUSE);
        loop {
            match subscription.handle(event.clone()).await {
                Ok(()) => return Ok(()),
                Err(Failure::Refused(cause)) if refusals + 1 >= TRIES => {
                    match set_aside(subscription, event, cause, refusals + 1).await {
                        Ok(()) => return Ok(()),
                        Err(error) => {
                            tracing::warn!(?subscription, event = event.id, %error, "cannot set a dead letter aside")
                        }
                    }
                }
                Err(Failure::Refused(cause)) => {
                    refusals += 1;
                    tracing::warn!(?subscription, event = event.id, cause, refusals, "an event was refused");
                }
                Err(Failure::Unavailable(cause)) => {
                    tracing::debug!(?subscription, event = event.id, cause, "an event waits");
                }
            }
            tokio::select! {
                () = self.tasks.stopped() => return Err(BrokerError("the program is stopping".to_owned())),
                () = clock.pause(pause / 2 + ids.jitter(pause / 2)) => pause = (pause * 2).min(LONGEST_PAUSE),
            }
        }
    }
}

#[async_trait]
impl Broker for InProcessBroker {
    async fn publish(&self, event: Envelope) -> Result<(), BrokerError> {
        let wanted = self.wanted(&event.name);
        let deliveries = wanted.iter().map(|subscription| self.deliver(subscription, &event));
        future::try_join_all(deliveries).await.map(drop)
    }

    async fn subscribe(&self, subscription: Subscription) -> Result<(), BrokerError> {
        let mut all = self.subscriptions.write().unwrap_or_else(PoisonError::into_inner);
        all.entry(subscription.event()).or_default().push(subscription);
        Ok(())
    }
}

async fn set_aside(subscription: &Subscription, event: &Envelope, cause: String, tries: u32) -> Result<(), StoreError> {
    tracing::error!(
        ?subscription,
        event = event.id,
        cause,
        "an event is a dead letter now; `cartwright dead-letters list` shows it"
    );
    let at = subscription.store().clock().now();
    let letter = DeadLetter { consumer: subscription.consumer().to_owned(), event: event.clone(), cause, tries, at };
    match subscription.store().commit(Changes::new().insert(&letter)).await {
        Err(StoreError::Conflict { .. }) => Ok(()),
        result => result,
    }
}

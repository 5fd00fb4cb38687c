//! The broker of one process: it hands an event to each consumer and confirms when all have applied it.
//!
//! Promises that a confirmed event needs no memory: each consumer has committed its reaction, or its dead letter.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use cartwright_runtime::Tasks;
use cartwright_store::Envelope;
use futures::future;
use tokio_util::sync::CancellationToken;

use crate::delivery::{Consumer, Unapplied};
use crate::{Broker, BrokerError, Interest, Subscription};

/// Delivers within the process.
#[derive(Clone)]
pub struct InProcessBroker {
    tasks: Tasks,
    consumers: Arc<RwLock<Vec<Attached>>>,
}

/// A consumer, and how many events it was handed and has not applied.
#[derive(Clone)]
struct Attached {
    consumer: Consumer,
    waiting: Arc<AtomicU64>,
}

impl InProcessBroker {
    /// A broker that stops trying when `tasks` stop.
    pub fn new(tasks: Tasks) -> Self {
        Self { tasks, consumers: Arc::default() }
    }

    fn those(&self, wanted: impl Fn(&Consumer) -> bool) -> Vec<Attached> {
        let all = self.consumers.read().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter(|attached| wanted(&attached.consumer)).cloned().collect()
    }
}

impl Attached {
    async fn deliver(&self, event: &Envelope) -> Result<(), Unapplied> {
        let _waiting = Waiting::new(&self.waiting);
        self.consumer.apply(event, &CancellationToken::new()).await
    }
}

/// One event in the count of those that wait.
struct Waiting<'a>(&'a AtomicU64);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl Broker for InProcessBroker {
    async fn publish(&self, event: Envelope) -> Result<(), BrokerError> {
        let wanted = self.those(|consumer| consumer.wants(&event.name));
        let deliveries = wanted.iter().map(|attached| attached.deliver(&event));
        let applied = future::try_join_all(deliveries).await;
        applied.map(drop).map_err(|unapplied| BrokerError(unapplied.to_string()))
    }

    async fn subscribe(&self, subscriptions: Vec<Subscription>) -> Result<(), BrokerError> {
        let consumers = Consumer::group(subscriptions, &self.tasks);
        let attached = consumers.into_iter().map(|consumer| Attached { consumer, waiting: Arc::default() });
        self.consumers.write().unwrap_or_else(PoisonError::into_inner).extend(attached);
        Ok(())
    }

    /// Nobody runs elsewhere.
    async fn expect(&self, _interests: Vec<Interest>) -> Result<(), BrokerError> {
        Ok(())
    }

    async fn lag(&self, consumer: &str) -> Result<u64, BrokerError> {
        let its = self.those(|it| it.name() == consumer);
        Ok(its.iter().map(|attached| attached.waiting.load(Ordering::Relaxed)).sum())
    }
}

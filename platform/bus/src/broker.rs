//! The broker port: transport, never a record.

use async_trait::async_trait;
use cartwright_store::Envelope;

use crate::Subscription;

/// Carries events to consumers, at least once.
///
/// A consumer is a service. All its processes are one consumer to the broker: each event reaches one of them, and another
/// one when that one did not confirm it.
#[async_trait]
pub trait Broker: Send + Sync + 'static {
    /// Hands over one event; resolves when it cannot be lost any more.
    ///
    /// # Errors
    /// When the broker did not confirm it; the relay hands it over again.
    async fn publish(&self, event: Envelope) -> Result<(), BrokerError>;

    /// Delivers matching events to `subscriptions` from now on: all that this process subscribes to, of any consumers.
    ///
    /// # Errors
    /// When the broker can never deliver them. One that is away for the moment delivers when it is back.
    async fn subscribe(&self, subscriptions: Vec<Subscription>) -> Result<(), BrokerError>;

    /// Keeps events from now on for consumers that run elsewhere, also before they run for the first time.
    ///
    /// # Errors
    /// When the broker can never keep them.
    async fn expect(&self, interests: Vec<Interest>) -> Result<(), BrokerError>;

    /// How many events wait for `consumer`.
    ///
    /// # Errors
    /// When the broker does not tell.
    async fn lag(&self, consumer: &str) -> Result<u64, BrokerError>;
}

/// That a consumer wants an event, told by somebody who does not run it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Interest {
    /// The consumer's name.
    pub consumer: String,
    /// The event's name.
    pub event: String,
}

/// The broker did not do what it was asked for.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the broker did not confirm: {0}")]
pub struct BrokerError(pub String);

//! The broker port: transport, never a record.

use async_trait::async_trait;
use cartwright_store::Envelope;

use crate::Subscription;

/// Carries events to subscribers, at least once.
#[async_trait]
pub trait Broker: Send + Sync + 'static {
    /// Hands over one event; resolves when it cannot be lost any more.
    ///
    /// # Errors
    /// When the broker did not confirm it; the relay hands it over again.
    async fn publish(&self, event: Envelope) -> Result<(), BrokerError>;

    /// Delivers matching events to `subscription` from now on.
    ///
    /// # Errors
    /// When the broker cannot be reached.
    async fn subscribe(&self, subscription: Subscription) -> Result<(), BrokerError>;
}

/// The broker did not take an event.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the broker did not confirm: {0}")]
pub struct BrokerError(pub String);

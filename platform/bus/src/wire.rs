//! The wire between the processes of a shop on which hints travel. It may lose them.

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::BrokerError;

/// Carries short texts to the other processes, at most once.
#[async_trait]
pub trait Wire: Send + Sync + 'static {
    /// Tells everybody who listens at this moment; may reach the sender too.
    ///
    /// # Errors
    /// When it is known to have reached nobody.
    async fn send(&self, text: &str) -> Result<(), BrokerError>;

    /// What is sent from now on, until the wire is cut.
    ///
    /// # Errors
    /// When the wire is cut.
    async fn listen(&self) -> Result<BoxStream<'static, String>, BrokerError>;
}

//! Events that could not be applied, kept with their cause until somebody replays or drops them.

use cartwright_runtime::Time;
use cartwright_store::{Changes, Document, Envelope, Index, IndexEntry, StoreError, Stored};
use serde::{Deserialize, Serialize};

use crate::{Failure, Subscription};

/// An event that one consumer could not apply. Kept in the consumer's own store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Who could not apply it.
    pub consumer: String,
    /// The event as it was delivered.
    pub event: Envelope,
    /// The last error.
    pub cause: String,
    /// How often it was tried.
    pub tries: u32,
    /// When it was given up.
    pub at: Time,
}

impl Document for DeadLetter {
    const COLLECTION: &'static str = "dead-letters";
    const INDEXES: &'static [Index] = &[Index::many("by-time", &["at"])];

    fn key(&self) -> String {
        format!("{}:{}", self.consumer, self.event.id)
    }

    fn index_entries(&self) -> Vec<IndexEntry> {
        vec![IndexEntry::new("by-time", [self.at.into()])]
    }
}

/// Why a dead letter was not replayed; it is still there.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Nobody subscribes to it any more.
    #[error("{consumer} does not react to {event} any more")]
    NoConsumer {
        /// Who it was for.
        consumer: String,
        /// The event's name.
        event: String,
    },
    /// It failed again.
    #[error("it failed again: {0}")]
    Failed(#[from] Failure),
    /// The store's own error.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Applies a dead letter once more, and removes it when that succeeds.
///
/// # Errors
/// See [`ReplayError`]. The letter stays then.
pub async fn replay(letter: &Stored<DeadLetter>, subscriptions: &[Subscription]) -> Result<(), ReplayError> {
    let DeadLetter { consumer, event, .. } = &letter.doc;
    let wanted = |it: &&Subscription| it.consumer() == consumer && it.event() == event.name;
    let subscription = subscriptions
        .iter()
        .find(wanted)
        .ok_or_else(|| ReplayError::NoConsumer { consumer: consumer.clone(), event: event.name.clone() })?;
    subscription.handle(event.clone()).await?;
    match subscription.store().commit(Changes::new().remove(letter)).await {
        // Somebody else replayed it at the same time: the inbox mark made that one effect.
        Ok(()) | Err(StoreError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Keeps an event that `subscription` could not apply. Kept before, it stays as it is.
pub(crate) async fn set_aside(
    subscription: &Subscription,
    event: &Envelope,
    cause: String,
    tries: u32,
) -> Result<(), StoreError> {
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

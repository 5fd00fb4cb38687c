//! Who reacts to what: a consumer, an event's name and a reaction that returns `Changes`.

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use cartwright_store::{Changes, Envelope, Event, Lane, Store, StoreError, consume};
use futures::FutureExt as _;
use futures::future::{self, BoxFuture};

/// Why a reaction did not happen.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    /// Something it needs is away for the moment; it is tried again until it is back.
    #[error("{0}")]
    Unavailable(String),
    /// It cannot be applied as it is; after ten tries it is a dead letter.
    #[error("{0}")]
    Refused(String),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unusable(text) => Self::Refused(text),
            other @ (StoreError::Conflict { .. }
            | StoreError::NotUnique { .. }
            | StoreError::Busy(_)
            | StoreError::Full(_)
            | StoreError::Unavailable(_)) => Self::Unavailable(other.to_string()),
        }
    }
}

type Handle = dyn Fn(Envelope) -> BoxFuture<'static, Result<(), Failure>> + Send + Sync;

/// One consumer's interest in one kind of event.
#[derive(Clone)]
pub struct Subscription {
    consumer: String,
    event: &'static str,
    store: Store,
    handle: Arc<Handle>,
}

impl Subscription {
    /// `store`'s service reacts to `E`: `lane` names the documents that `react` will write.
    ///
    /// The reaction is committed together with the mark that it ran, so redelivery does nothing.
    pub fn new<E, F>(
        store: &Store,
        lane: impl Fn(&E) -> Lane + Send + Sync + 'static,
        react: impl Fn(Store, Arc<E>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        E: Event,
        F: Future<Output = Result<Changes, Failure>> + Send + 'static,
    {
        Self::looking(store, move |_, event: Arc<E>| future::ready(Ok(lane(&event))), react)
    }

    /// As [`Subscription::new`], where the documents that `react` will write are known only after a look at the store.
    ///
    /// The look may be out of date by the time of the reaction: a lane is a courtesy, never a promise.
    pub fn looking<E, L, F>(
        store: &Store,
        lane: impl Fn(Store, Arc<E>) -> L + Send + Sync + 'static,
        react: impl Fn(Store, Arc<E>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        E: Event,
        L: Future<Output = Result<Lane, StoreError>> + Send + 'static,
        F: Future<Output = Result<Changes, Failure>> + Send + 'static,
    {
        let consumer = store.scope().to_owned();
        let (owner, name) = (store.clone(), consumer.clone());
        let parts = Arc::new((owner, name, lane, react));
        let handle = move |envelope: Envelope| -> BoxFuture<'static, Result<(), Failure>> {
            let parts = Arc::clone(&parts);
            Box::pin(async move {
                let (store, consumer, lane, react) = &*parts;
                let event: E = envelope.event().map_err(|error| Failure::Refused(error.to_string()))?;
                let event = Arc::new(event);
                let lane = lane(store.clone(), Arc::clone(&event)).await?;
                consume(store, consumer, &envelope.id, lane, |view| react(view, Arc::clone(&event))).await
            })
        };
        Self { consumer, event: E::NAME, store: store.clone(), handle: Arc::new(handle) }
    }

    /// The consumer's name.
    pub fn consumer(&self) -> &str {
        &self.consumer
    }

    /// The name of the event it wants.
    pub const fn event(&self) -> &'static str {
        self.event
    }

    /// The consumer's own store, where its dead letters are kept.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Applies one event.
    ///
    /// # Errors
    /// Why it was not applied; nothing happened then. A reaction that panics has refused.
    pub async fn handle(&self, event: Envelope) -> Result<(), Failure> {
        let handled = AssertUnwindSafe(async { (self.handle)(event).await }).catch_unwind().await;
        handled.unwrap_or_else(|_| Err(Failure::Refused("the reaction panicked".to_owned())))
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ← {}", self.consumer, self.event)
    }
}

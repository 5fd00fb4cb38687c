//! The port to whoever moves the money.
//!
//! Every call is safe to repeat under the same key, and the key is ours: an answer that never came is asked for, never
//! guessed. The service bounds each call by its own clock.

use async_trait::async_trait;
use cartwright_vocabulary::{Money, PaymentId, RefundId};

pub use crate::domain::attempt::Standing;

/// A payment provider. An attempt is known to it under the `key` that it was begun with.
#[async_trait]
pub trait PaymentProvider: Send + Sync + 'static {
    /// Holds `amount` with `method`, the provider's own token. Repeated under a key that it knows it only answers where
    /// that stands.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn authorise(&self, key: PaymentId, amount: Money, method: &str) -> Result<Standing, ProviderError>;

    /// Where `key` stands; `None` where the provider has never heard of it.
    ///
    /// # Errors
    /// See [`ProviderError`]; nothing changes either way.
    async fn ask(&self, key: PaymentId) -> Result<Option<Standing>, ProviderError>;

    /// Takes the money that `key` holds. Taken before, it only answers so.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn capture(&self, key: PaymentId, amount: Money) -> Result<Standing, ProviderError>;

    /// Ends `key` for ever: lets go of what it holds, cancels what waits for the shopper, and refuses to begin under a key
    /// that it never heard of. Money that was taken stays taken, and the answer says so.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn void(&self, key: PaymentId) -> Result<Standing, ProviderError>;

    /// Gives `amount` of what `key` took back, once for each `refund`.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn refund(&self, key: PaymentId, refund: RefundId, amount: Money) -> Result<(), ProviderError>;
}

/// The provider did not do what it was asked for, or did not say so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// It may or may not have happened: no answer came, or it could not be understood.
    #[error("it is not known whether it happened: {0}")]
    Unknown(String),
    /// It definitely did not happen.
    #[error("it did not happen: {0}")]
    Refused(String),
}

//! Asking auth how to reach somebody.

use async_trait::async_trait;
use cartwright_vocabulary::{Email, UserId};
use serde::{Deserialize, Serialize};

use crate::PeerError;

/// People known to the shop.
#[async_trait]
pub trait Users: Send + Sync + 'static {
    /// How to reach `user`; `None` for a guest, and for somebody unknown.
    ///
    /// # Errors
    /// When auth does not answer.
    async fn contact(&self, user: UserId) -> Result<Option<Contact>, PeerError>;
}

/// How to reach somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Contact {
    /// Their address.
    pub email: Email,
    /// What to call them.
    pub name: Option<String>,
}

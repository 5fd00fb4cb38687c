//! Asking auth what is needed to check tokens without asking it each time.

use async_trait::async_trait;
use cartwright_runtime::Time;
use cartwright_vocabulary::UserId;
use serde::{Deserialize, Serialize};

use crate::PeerError;

/// What auth tells the processes that check tokens by themselves.
#[async_trait]
pub trait TokenGuard: Send + Sync + 'static {
    /// The keys, and every revocation since `since` that still matters; all of them without it.
    ///
    /// # Errors
    /// When auth does not answer.
    async fn guard(&self, since: Option<Time>) -> Result<Guard, PeerError>;
}

/// What tells a good token from a bad one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Guard {
    /// The keys that sign tokens now; none where the shop signs with a secret that all processes know.
    pub keys: Vec<CheckingKey>,
    /// Tokens that are good by their signature and are not.
    pub revoked: Vec<RevokedTokens>,
}

/// An Ed25519 key that checks tokens (RFC 8037).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckingKey {
    /// `kid` in tokens.
    pub id: String,
    /// The public key, base64url without padding.
    pub x: String,
}

/// Tokens that were revoked before they expired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevokedTokens {
    /// Of whom, or of which session.
    pub of: Revoked,
    /// When.
    pub at: Time,
    /// From then on they have expired by themselves.
    pub until: Time,
}

/// Whose tokens were revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Revoked {
    /// All of one session.
    Session(String),
    /// All of one user that were issued before this epoch.
    #[serde(rename_all = "camelCase")]
    User {
        /// Whose.
        id: UserId,
        /// The first epoch whose tokens are good.
        epoch: u64,
    },
}

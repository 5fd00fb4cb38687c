//! What auth stores: users, sessions, signing keys, and what was revoked before its time.

use cartwright_contracts::{self as contracts, RevokedTokens};
use cartwright_runtime::{Secret, Time};
use cartwright_store::{Document, Index, IndexEntry, Store, StoreError, Stored};
use cartwright_vocabulary::{Email, UserId};
use serde::{Deserialize, Serialize};

use crate::domain::refresh_token::SessionId;
use crate::domain::session::{Bytes32, Session};
use crate::domain::user::User;

impl Document for User {
    const COLLECTION: &'static str = "users";
    const INDEXES: &'static [Index] = &[Index::unique("by-email", &["email"])];

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn index_entries(&self) -> Vec<IndexEntry> {
        self.email.iter().map(|email| IndexEntry::new("by-email", [email.as_str().into()])).collect()
    }
}

/// The user with this e-mail address.
pub(crate) async fn user_by_email(store: &Store, email: &Email) -> Result<Option<Stored<User>>, StoreError> {
    Ok(store.find::<User>("by-email", vec![email.as_str().into()]).page(1).await?.pop())
}

impl Document for Session {
    const COLLECTION: &'static str = "sessions";
    const INDEXES: &'static [Index] = &[Index::many("by-end", &["endsAt"])];

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn index_entries(&self) -> Vec<IndexEntry> {
        vec![IndexEntry::new("by-end", [self.ends_at.into()])]
    }
}

/// A key that signs access tokens. Generations count from 1; the newest signs, all are accepted.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SigningKey {
    pub(crate) generation: u32,
    /// `kid` in tokens.
    pub(crate) id: String,
    /// The 32 bytes that an Ed25519 key is made of (RFC 8032, 5.1.5).
    #[serde(serialize_with = "revealed")]
    pub(crate) seed: Secret<Bytes32>,
    pub(crate) created_at: Time,
}

fn revealed<S: serde::Serializer>(seed: &Secret<Bytes32>, serializer: S) -> Result<S::Ok, S::Error> {
    seed.reveal().serialize(serializer)
}

impl Document for SigningKey {
    const COLLECTION: &'static str = "signing-keys";

    fn key(&self) -> String {
        Self::named(self.generation)
    }
}

impl SigningKey {
    /// The document's key: two processes that make the same generation cannot both succeed.
    pub(crate) fn named(generation: u32) -> String {
        format!("{generation:06}")
    }
}

/// Access tokens that must not be accepted although they have not expired.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Revocation {
    pub(crate) subject: Revoked,
    /// When.
    pub(crate) at: Time,
    /// From then on the tokens have expired by themselves.
    pub(crate) until: Time,
}

/// Whose tokens were revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Revoked {
    /// All of one session.
    Session(SessionId),
    /// All of one user that were issued before this epoch.
    #[serde(rename_all = "camelCase")]
    User {
        /// Whose.
        id: UserId,
        /// The first epoch whose tokens are good.
        epoch: u64,
    },
}

impl Revocation {
    /// The same for those who check tokens.
    pub(crate) fn tokens(&self) -> RevokedTokens {
        let of = match self.subject {
            Revoked::Session(id) => contracts::Revoked::Session(id.to_string()),
            Revoked::User { id, epoch } => contracts::Revoked::User { id, epoch },
        };
        RevokedTokens { of, at: self.at, until: self.until }
    }

    /// The document's key for all tokens of a user.
    pub(crate) fn of_user(id: UserId) -> String {
        id.to_string()
    }
}

impl Document for Revocation {
    const COLLECTION: &'static str = "revocations";
    const INDEXES: &'static [Index] = &[Index::many("by-time", &["at"]), Index::many("by-end", &["until"])];

    fn key(&self) -> String {
        match self.subject {
            Revoked::Session(id) => id.to_string(),
            Revoked::User { id, .. } => Self::of_user(id),
        }
    }

    fn index_entries(&self) -> Vec<IndexEntry> {
        vec![IndexEntry::new("by-time", [self.at.into()]), IndexEntry::new("by-end", [self.until.into()])]
    }
}

//! How the operator's verbs reach the shop: a running one over a Unix socket in `DATA_DIR`, or the store itself.
//!
//! Promises that a verb means the same on both ways, since both are one trait, and that nobody but the user who runs the
//! shop gets in: the socket's mode is 0600. Whoever can reach it may do everything.

mod opened;
mod remote;
mod served;
mod shop_operator;

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Bytes;
use cartwright_runtime::{Secret, Time};
use cartwright_vocabulary::{Email, UserId};
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use cartwright_product::ImportFormat;
pub use opened::Opened;
pub(crate) use opened::make_folder;
pub use remote::RemoteOperator;
pub use served::serve;
pub use shop_operator::ShopOperator;

/// What an operator may have a shop do.
#[async_trait]
pub trait Operator: Send + Sync + 'static {
    /// Takes over the products of a file, and tells on `progress` how far it is.
    ///
    /// # Errors
    /// When the file cannot be read or is of another format; lines that are refused are in the report instead.
    async fn import(
        &self,
        format: ImportFormat,
        file: File,
        progress: watch::Sender<ImportProgress>,
    ) -> Result<ImportReport, Refused>;

    /// Makes an admin with this password, or gives the user with this address both.
    ///
    /// # Errors
    /// When the password is too weak, or the store does not answer.
    async fn create_admin(&self, email: Email, password: Secret<String>) -> Result<UserId, Refused>;

    /// A token for the service `name`, good for `life_s` seconds.
    ///
    /// # Errors
    /// When it cannot be signed.
    async fn service_token(&self, name: &str, life_s: u64) -> Result<Secret<String>, Refused>;

    /// Events that could not be applied, the oldest first.
    ///
    /// # Errors
    /// When a store does not answer.
    async fn dead_letters(&self) -> Result<Vec<Letter>, Refused>;

    /// Applies dead letters once more; those that succeed are gone.
    ///
    /// # Errors
    /// When there is no such letter, or a store does not answer.
    async fn replay(&self, which: Which) -> Result<Vec<Replayed>, Refused>;
}

/// Reaches the shop whose `socket` this is. `None` where none runs.
pub async fn reach(socket: &std::path::Path) -> Option<Arc<dyn Operator>> {
    let remote = RemoteOperator::new(socket.to_owned());
    remote.is_there().await.then(|| Arc::new(remote) as Arc<dyn Operator>)
}

/// A file that is read piece by piece.
pub type File = BoxStream<'static, io::Result<Bytes>>;

/// Why something was not done, in a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

impl Refused {
    /// For the reason that `error` tells.
    pub fn because(error: impl ToString) -> Self {
        Self(error.to_string())
    }
}

/// How far an import is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportProgress {
    /// Bytes of the file that were read.
    pub bytes: u64,
    /// Products that are new.
    pub created: u64,
    /// Products that were there and are changed.
    pub updated: u64,
    /// Products that were so already.
    pub unchanged: u64,
    /// Lines that were refused.
    pub rejected: u64,
}

/// What came of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportReport {
    /// Products that are new.
    pub created: u64,
    /// Products that were there and are changed.
    pub updated: u64,
    /// Products that were so already.
    pub unchanged: u64,
    /// Lines that were refused, and why.
    pub rejected: Vec<Rejection>,
}

/// A line of an import that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejection {
    /// Its number, from 1.
    pub line: u64,
    /// Why.
    pub reason: String,
}

/// An event that could not be applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Letter {
    /// Its name, for replaying it.
    pub id: String,
    /// Who could not apply it.
    pub consumer: String,
    /// What happened.
    pub event: String,
    /// To what.
    pub subject: String,
    /// How often it was tried.
    pub tries: u32,
    /// The last error.
    pub cause: String,
    /// When it was given up.
    pub at: Time,
}

/// Which dead letters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Which {
    /// Every one.
    All,
    /// The one with this id.
    One(String),
}

/// What came of replaying a dead letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Replayed {
    /// Which one.
    pub id: String,
    /// Why it failed again; it is still there then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// What is said between the two ends of the socket. HTTP/1, so that `curl --unix-socket` speaks it too.
mod wire {
    use super::{Deserialize, ImportFormat, ImportProgress, ImportReport, Serialize};

    pub(super) const IMPORT: &str = "/import";
    pub(super) const ADMINS: &str = "/admins";
    pub(super) const SERVICE_TOKENS: &str = "/service-tokens";
    pub(super) const DEAD_LETTERS: &str = "/dead-letters";
    pub(super) const REPLAY: &str = "/dead-letters/replay";

    /// `format` as [`ImportFormat::named`] takes it.
    #[derive(Serialize, Deserialize)]
    pub(super) struct ImportQuery {
        pub(super) format: String,
    }

    pub(super) const fn name(format: ImportFormat) -> &'static str {
        match format {
            ImportFormat::ShopifyCsv => "shopify",
            ImportFormat::JsonLines => "jsonl",
        }
    }

    /// A line of the answer to an import.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) enum ImportNews {
        Progress(ImportProgress),
        Done(ImportReport),
        Failed(String),
    }

    #[derive(Serialize, Deserialize)]
    pub(super) struct NewAdmin {
        pub(super) email: cartwright_vocabulary::Email,
        pub(super) password: String,
    }

    #[derive(Serialize, Deserialize)]
    pub(super) struct MadeAdmin {
        pub(super) user: cartwright_vocabulary::UserId,
    }

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct WantedToken {
        pub(super) service: String,
        pub(super) life_s: u64,
    }

    #[derive(Serialize, Deserialize)]
    pub(super) struct MadeToken {
        pub(super) token: String,
    }
}

#[cfg(test)]
mod tests;

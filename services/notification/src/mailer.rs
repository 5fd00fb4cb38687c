//! The port for sending e-mail, and what a mail is to it.
//!
//! An adapter says of each mail whether it was taken, may be taken later, or never will be. A mail keeps its identity
//! and date however often it is sent, so that a repeat can be recognised.

use async_trait::async_trait;
use cartwright_runtime::Time;
use cartwright_vocabulary::{Email, NotificationId};

/// A mail, ready to be sent.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The message it carries.
    pub notification: NotificationId,
    /// Its `Message-ID` without the angle brackets; the same for each attempt.
    pub message_id: String,
    /// The name of the sender.
    pub from_name: String,
    /// The address of the sender.
    pub from: Email,
    /// Where it goes.
    pub to: Email,
    /// One line.
    pub subject: String,
    /// For readers of plain text.
    pub text: String,
    /// For everybody else.
    pub html: String,
    /// When it was written; the same for each attempt.
    pub date: Time,
}

/// Why a mail was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// It may be taken later.
    #[error("{0}")]
    Temporary(String),
    /// It will never be taken.
    #[error("{0}")]
    Refused(String),
}

/// Sends mail.
#[async_trait]
pub trait Mailer: Send + Sync + 'static {
    /// Hands `mail` over; resolves when somebody else is responsible for it.
    ///
    /// # Errors
    /// See [`MailError`].
    async fn send(&self, mail: &Mail) -> Result<(), MailError>;

    /// Where the mails are kept, for a mailer that keeps them on this machine instead of sending them on.
    fn mailbox(&self) -> Option<&dyn Mailbox> {
        None
    }
}

/// A mail that was kept on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptMail {
    /// Its name in the mailbox; names sort by the date of the mail.
    pub name: String,
    /// Its `Message-ID` without the angle brackets.
    pub message_id: String,
    /// Where it would have gone.
    pub to: String,
    /// Its subject.
    pub subject: String,
    /// Its plain text.
    pub text: String,
    /// When it was written.
    pub date: Time,
}

/// The mailbox cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct MailboxError(pub String);

/// Mails that are kept on this machine.
#[async_trait]
pub trait Mailbox: Send + Sync {
    /// Up to `limit` mails, newest first, after the one named `after`.
    ///
    /// # Errors
    /// When the mailbox cannot be read.
    async fn mails(&self, limit: usize, after: Option<&str>) -> Result<Vec<KeptMail>, MailboxError>;
}

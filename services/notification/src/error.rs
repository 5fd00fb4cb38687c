//! What notification refuses, and how that is said over HTTP.

use axum::http::StatusCode;
use cartwright_http::Problem;
use cartwright_store::{KeyReused, StoreError};
use cartwright_vocabulary::NotificationId;

use crate::domain::notification::AlreadySent;
use crate::domain::template::BadTemplate;
use crate::mailer::MailboxError;

/// Why a request was refused. Nothing happened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotificationError {
    /// Neither an address nor a user, or both.
    #[error("give either `to` or `userId`")]
    NoRecipient,
    /// Too short or too long.
    #[error("1 to 200 characters")]
    BadDedupeKey,
    /// No template has this name.
    #[error("there is no template `{0}`")]
    UnknownTemplate(String),
    /// What was given is not what the template needs.
    #[error("the template cannot be filled in with this: {0}")]
    DataDoesNotFit(BadTemplate),
    /// Not a name for a template.
    #[error("a name has 1 to 64 small letters, digits and `-`")]
    BadTemplateName,
    /// The template cannot be used.
    #[error(transparent)]
    BadTemplate(BadTemplate),
    /// No message has this id.
    #[error("there is no delivery {0}")]
    UnknownDelivery(NotificationId),
    /// It was sent.
    #[error(transparent)]
    AlreadySent(#[from] AlreadySent),
    /// Nothing is set up that could send it.
    #[error("no provider for {0} is set up")]
    ChannelNotConfigured(&'static str),
    /// Mails leave this machine.
    #[error("mails are sent on to a mail server; there is no mailbox on this machine")]
    NoMailbox,
    /// The mails cannot be read.
    #[error("the mailbox cannot be read: {0}")]
    Mailbox(#[from] MailboxError),
    /// The key was used for something else.
    #[error(transparent)]
    KeyReused(#[from] KeyReused),
    /// The store's own error.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<NotificationError> for Problem {
    fn from(error: NotificationError) -> Self {
        match &error {
            NotificationError::NoRecipient => Self::invalid("/to", &error),
            NotificationError::BadDedupeKey => Self::invalid("/dedupeKey", &error),
            NotificationError::UnknownTemplate(_) => Self::not_found("template_unknown", &error),
            NotificationError::DataDoesNotFit(_) => Self::invalid("/data", &error),
            NotificationError::BadTemplateName => Self::invalid("name", &error),
            NotificationError::BadTemplate(bad) => Self::invalid(&format!("/{}", bad.part), &bad.cause),
            NotificationError::UnknownDelivery(_) => Self::not_found("delivery_unknown", &error),
            NotificationError::AlreadySent(_) => Self::conflict("already_sent", &error),
            NotificationError::ChannelNotConfigured(_) => {
                Self::new(StatusCode::NOT_IMPLEMENTED, "channel_not_configured", &error)
            }
            NotificationError::NoMailbox => Self::not_found("mailbox_not_local", &error),
            NotificationError::Mailbox(cause) => {
                tracing::error!(%cause, "the mailbox cannot be read");
                Self::unavailable("mailbox_unavailable", "The mailbox cannot be read at the moment.")
            }
            NotificationError::KeyReused(cause) => (*cause).into(),
            NotificationError::Store(cause) => cause.clone().into(),
        }
    }
}

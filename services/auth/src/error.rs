//! What auth refuses, and its one mapping to problem documents.

use std::time::Duration;

use axum::http::{StatusCode, header};
use cartwright_contracts::PeerError;
use cartwright_http::Problem;
use cartwright_store::{KeyReused, StoreError};

use crate::domain::password::WeakPassword;

/// What auth refuses.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The e-mail address is unknown, or the password is another one. Which of the two is not told.
    #[error("The e-mail address or the password is not right.")]
    InvalidCredentials,
    /// The password given to confirm a change is another one.
    #[error("The present password is another one.")]
    WrongPassword,
    /// Somebody has an account with this e-mail address.
    #[error("There is an account with this e-mail address. Log in, or use another address.")]
    EmailTaken,
    /// The password is not accepted.
    #[error("Choose another password: {why}.")]
    WeakPassword {
        /// The field it came in, as a JSON pointer.
        pointer: &'static str,
        /// Why.
        why: WeakPassword,
    },
    /// A field cannot be used.
    #[error("{pointer}: {detail}")]
    Invalid {
        /// The field, as a JSON pointer.
        pointer: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The refresh token is unknown, was used, or its session has ended.
    #[error("This refresh token does not work any more. Log in again.")]
    InvalidRefreshToken,
    /// The access token names somebody who is not there.
    #[error("The holder of this token is not known.")]
    UnknownHolder,
    /// A service or a guest asked for something that only people with an account have.
    #[error("This needs an account of one's own.")]
    NeedsAccount,
    /// A page of another origin asked for something by cookie.
    #[error("This page may not use the session's cookie.")]
    ForeignOrigin,
    /// Too many failed attempts to log in.
    #[error("Too many attempts. Try again later.")]
    TooManyAttempts {
        /// When the next attempt is taken.
        retry_after: Duration,
    },
    /// Too many passwords are being checked.
    #[error("Too busy to check passwords at the moment. Try again.")]
    Busy,
    /// A setting that cannot work or would not be safe.
    #[error("{0}")]
    Settings(String),
    /// A key or a hash could not be computed; the text is for the log.
    #[error("{0}")]
    Cryptography(String),
    /// The idempotency key was used before, for another request.
    #[error(transparent)]
    KeyReused(#[from] KeyReused),
    /// Auth, asked from another process, does not answer.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// The store's own error.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        let detail = error.to_string();
        match error {
            AuthError::InvalidCredentials => Self::unauthorized("invalid_credentials", detail),
            AuthError::WrongPassword => {
                Self::bad_request("invalid_credentials", &detail).with_error("/currentPassword", detail)
            }
            AuthError::EmailTaken => Self::conflict("email_taken", detail),
            AuthError::WeakPassword { pointer, why } => {
                Self::bad_request("weak_password", detail).with_error(pointer, why)
            }
            AuthError::Invalid { pointer, detail } => Self::invalid(&pointer, detail),
            AuthError::InvalidRefreshToken => Self::unauthorized("invalid_refresh_token", detail),
            AuthError::UnknownHolder => Self::unauthorized("invalid_token", detail),
            AuthError::NeedsAccount => Self::forbidden(detail),
            AuthError::ForeignOrigin => Self::new(StatusCode::FORBIDDEN, "foreign_origin", detail),
            AuthError::TooManyAttempts { retry_after } => {
                let seconds = retry_after.as_millis().div_ceil(1000).max(1).to_string();
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", detail)
                    .with_header(header::RETRY_AFTER, &seconds)
            }
            AuthError::Busy => Self::unavailable("overloaded", detail),
            AuthError::Settings(_) | AuthError::Cryptography(_) => Self::internal(&detail),
            AuthError::Peer(_) => Self::unavailable("peer_unavailable", "Auth does not answer. Try again in a moment."),
            AuthError::KeyReused(reused) => reused.into(),
            AuthError::Store(error) => error.into(),
        }
    }
}

//! How a call can fail, told apart by what it may have done.

use std::time::Duration;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use cartwright_http::Problem;

/// Why a call has no answer. All but [`CallError::Unknown`] and a late call that was sent had no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No instance could be reached; nothing was sent.
    #[error("no instance of {0} can be reached")]
    NotReached(&'static str),
    /// The breaker is open: too many calls stayed without an answer. Nothing was sent.
    #[error("{upstream} is not called for another {retry_after:?}: too many calls stayed without an answer")]
    Open {
        /// The name of the upstream.
        upstream: &'static str,
        /// When it is tried again.
        retry_after: Duration,
    },
    /// Every instance has as much under way as it may. Nothing was sent.
    #[error("every instance of {0} has as much to do as it may")]
    Overloaded(&'static str),
    /// The request was sent and the connection broke before an answer: it may have taken effect.
    #[error("{0} did not answer, and may have done what it was asked to")]
    Unknown(&'static str),
    /// The deadline came first.
    #[error("{upstream} did not answer in time")]
    TooLate {
        /// The name of the upstream.
        upstream: &'static str,
        /// Whether the request was sent, so that it may have taken effect.
        was_sent: bool,
    },
    /// Whoever sends the request's body did not send it to its end.
    #[error("the body for {0} did not come to its end")]
    BodyIncomplete(&'static str),
    /// Whoever sends it took too long.
    #[error("the body for {0} did not come in time")]
    BodyTooSlow(&'static str),
}

impl CallError {
    /// Whether the call certainly changed nothing on the other side.
    pub const fn had_no_effect(self) -> bool {
        match self {
            Self::NotReached(_) | Self::Open { .. } | Self::Overloaded(_) => true,
            Self::TooLate { was_sent, .. } => !was_sent,
            // A part of the body may be enough for a route that takes it in pieces.
            Self::Unknown(_) | Self::BodyIncomplete(_) | Self::BodyTooSlow(_) => false,
        }
    }
}

/// What is said of whatever may have taken effect.
const REPEAT: &str = "It is not known whether this took effect; repeat it with the same Idempotency-Key.";

impl From<CallError> for Problem {
    /// 503 with `Retry-After` for what had no effect; 502 and 504 for what may have had one.
    fn from(error: CallError) -> Self {
        match error {
            CallError::NotReached(_) | CallError::TooLate { was_sent: false, .. } => Self::unavailable(
                "service_unavailable",
                "A service that this needs cannot be reached. Nothing happened; try again.",
            ),
            CallError::Open { retry_after, .. } => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "service_unavailable",
                "A service that this needs does not answer. Nothing happened; try again later.",
            )
            .with_header(header::RETRY_AFTER, &retry_after.as_millis().div_ceil(1_000).max(1).to_string()),
            CallError::Overloaded(_) => {
                Self::unavailable("overloaded", "Too busy at the moment. Nothing happened; try again.")
            }
            CallError::Unknown(_) => Self::new(
                StatusCode::BAD_GATEWAY,
                "bad_gateway",
                format!("A service that this needs broke off before it answered. {REPEAT}"),
            ),
            CallError::TooLate { was_sent: true, .. } => Self::new(
                StatusCode::GATEWAY_TIMEOUT,
                "gateway_timeout",
                format!("A service that this needs did not answer in time. {REPEAT}"),
            ),
            CallError::BodyIncomplete(_) => {
                Self::bad_request("body_incomplete", "The body ended before it was complete.")
            }
            CallError::BodyTooSlow(_) => {
                Self::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", "The body did not arrive in time.")
            }
        }
    }
}

impl IntoResponse for CallError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_had_no_effect_is_503_and_says_when_to_try_again() {
        for error in [
            CallError::NotReached("x"),
            CallError::Open { upstream: "x", retry_after: Duration::from_millis(4_100) },
            CallError::Overloaded("x"),
            CallError::TooLate { upstream: "x", was_sent: false },
        ] {
            assert!(error.had_no_effect());
            let response = error.into_response();
            assert_eq!(response.status(), 503);
            let retry: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
            assert_eq!(retry, if matches!(error, CallError::Open { .. }) { 5 } else { 1 });
        }
    }

    #[test]
    fn whatever_may_have_had_one_says_how_to_repeat_it() {
        for (error, status) in
            [(CallError::Unknown("x"), 502), (CallError::TooLate { upstream: "x", was_sent: true }, 504)]
        {
            assert!(!error.had_no_effect());
            let problem = Problem::from(error);
            assert_eq!(problem.status, status);
            assert!(problem.detail.contains("Idempotency-Key"));
        }
    }
}

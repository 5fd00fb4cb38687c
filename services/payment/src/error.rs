//! What can go wrong with paying, and how each is told to a caller.

use std::sync::Arc;

use cartwright_contracts::PeerError;
use cartwright_http::Problem;
use cartwright_store::{KeyReused, StoreError};
use cartwright_vocabulary::{Amount, Money};

use crate::domain::payment::CannotPay;
use crate::provider::ProviderError;

/// Why an operation was refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PaymentError {
    /// There is no such order, or not for this caller.
    #[error("there is no such order")]
    UnknownOrder,
    /// There is no such payment, or not for this caller.
    #[error("there is no such payment")]
    UnknownPayment,
    /// Nothing was paid for this order, or not by this caller.
    #[error("there is no receipt for this order")]
    NoReceipt,
    /// The order cannot be paid now.
    #[error(transparent)]
    CannotPay(#[from] CannotPay),
    /// The money is not due: the order was not confirmed, or the attempt holds nothing.
    #[error("only an authorized payment of a confirmed order can be captured")]
    NotCapturable,
    /// Money that an order stands on is not let go of.
    #[error("the order stands on this payment; cancel the order, or refund what was captured")]
    NotVoidable,
    /// More than is left of what was captured.
    #[error("{} {} can be refunded at most", .0.currency(), .0)]
    RefundTooLarge(Money),
    /// Nothing was captured, so nothing can be refunded.
    #[error("nothing of this payment was captured")]
    NothingCaptured,
    /// A field is not valid.
    #[error("{pointer}: {detail}")]
    Invalid {
        /// A JSON pointer to it.
        pointer: &'static str,
        /// What is wrong with it.
        detail: Arc<str>,
    },
    /// The provider does not answer.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// Another service does not answer.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// The key was used before, for another request.
    #[error(transparent)]
    KeyReused(#[from] KeyReused),
    /// The store's own error.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl PaymentError {
    /// The field at `pointer` is not valid.
    pub fn invalid(pointer: &'static str, detail: impl ToString) -> Self {
        Self::Invalid { pointer, detail: Arc::from(detail.to_string()) }
    }
}

impl From<PaymentError> for Problem {
    fn from(error: PaymentError) -> Self {
        let text = error.to_string();
        match error {
            PaymentError::UnknownOrder => Self::not_found("order_not_found", text),
            PaymentError::UnknownPayment => Self::not_found("payment_not_found", text),
            PaymentError::NoReceipt => Self::not_found("receipt_not_found", text),
            PaymentError::CannotPay(CannotPay::InProgress) => Self::conflict("payment_in_progress", text),
            PaymentError::CannotPay(CannotPay::TooMany) => Self::conflict("too_many_attempts", text),
            PaymentError::CannotPay(CannotPay::NotWanted) => Self::conflict("order_not_payable", text),
            PaymentError::NotCapturable => Self::conflict("not_capturable", text),
            PaymentError::NotVoidable => Self::conflict("not_voidable", text),
            PaymentError::RefundTooLarge(left) => Self::conflict("refund_too_large", text)
                .with_fact("refundable", Amount(left))
                .with_fact("currency", left.currency()),
            PaymentError::NothingCaptured => Self::conflict("refund_too_large", text),
            PaymentError::Invalid { pointer, detail } => Self::invalid(pointer, detail),
            PaymentError::Provider(cause) => {
                tracing::warn!(%cause, "the payment provider could not be asked");
                Self::unavailable(
                    "provider_unavailable",
                    "The payment provider does not answer. Try again in a moment.",
                )
            }
            PaymentError::Peer(cause) => {
                tracing::warn!(%cause, "a peer could not be asked");
                Self::unavailable(
                    "peer_unavailable",
                    "A service that is needed for this does not answer. Try again in a moment.",
                )
            }
            PaymentError::KeyReused(cause) => cause.into(),
            PaymentError::Store(cause) => cause.into(),
        }
    }
}

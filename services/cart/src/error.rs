//! What can be refused about a cart, and how the refusal is told.

use cartwright_contracts::PeerError;
use cartwright_http::Problem;
use cartwright_store::{KeyReused, StoreError};
use cartwright_vocabulary::{InvalidQuantity, MoneyError, OrderId};

use crate::domain::ContentsRefused;

/// Why a cart was not changed or shown.
#[derive(Debug, thiserror::Error)]
pub enum CartError {
    /// No product has this id, or it is not sold.
    #[error("no product {product} is on sale")]
    UnknownProduct {
        /// The id as it was sent.
        product: String,
        /// Where it was sent, as a JSON pointer.
        pointer: String,
    },
    /// The cart cannot take the change.
    #[error("{refused}")]
    Contents {
        /// Why.
        refused: ContentsRefused,
        /// Which part of the request, as a JSON pointer.
        pointer: String,
    },
    /// Not a quantity.
    #[error("{reason}")]
    Quantity {
        /// Why.
        reason: InvalidQuantity,
        /// Which part of the request, as a JSON pointer.
        pointer: String,
    },
    /// None, or more than 100 items in one request.
    #[error("1 to 100 items are needed")]
    ItemCount,
    /// The contents are promised to an order that has not ended yet.
    #[error("the cart is being ordered; wait for the order, or cancel it")]
    Frozen {
        /// The order.
        order: OrderId,
    },
    /// `If-Match` names another version.
    #[error("the cart has version {present} now")]
    VersionChanged {
        /// The present version.
        present: u64,
    },
    /// The goods cost more than may be charged.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// Another service is needed and does not answer.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// The key was used for another request.
    #[error(transparent)]
    KeyReused(#[from] KeyReused),
    /// The store's own error.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<CartError> for Problem {
    fn from(error: CartError) -> Self {
        match &error {
            CartError::UnknownProduct { pointer, .. } => {
                Self::not_found("product_unknown", "No product with this id is on sale.")
                    .with_error(pointer, "no such product is on sale")
            }
            CartError::Contents { refused: ContentsRefused::NotInCart, .. } => {
                Self::not_found("item_not_in_cart", &error)
            }
            CartError::Contents { refused: ContentsRefused::TooMany { .. }, pointer } => {
                Self::bad_request("quantity_limit", &error).with_error(pointer, &error)
            }
            CartError::Contents { refused: ContentsRefused::Full, pointer } => {
                Self::bad_request("cart_full", &error).with_error(pointer, &error)
            }
            CartError::Quantity { reason, pointer } => Self::invalid(pointer, reason),
            CartError::ItemCount => Self::invalid("/items", &error),
            CartError::Frozen { order } => Self::conflict("cart_frozen", &error).with_fact("orderId", order),
            CartError::VersionChanged { present } => Self::precondition_failed(*present),
            CartError::Money(reason) => Self::bad_request("amount_too_large", reason),
            CartError::Peer(cause) => {
                tracing::warn!(%cause, "a peer is needed and does not answer");
                Self::unavailable("service_unavailable", "A service that this needs does not answer. Try again.")
            }
            CartError::KeyReused(reused) => (*reused).into(),
            CartError::Store(cause) => cause.clone().into(),
        }
    }
}

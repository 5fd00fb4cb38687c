//! What can be refused about an order, and how the refusal is told.

use cartwright_contracts::PeerError;
use cartwright_http::Problem;
use cartwright_store::{KeyReused, StoreError};
use cartwright_vocabulary::{InvalidAddress, MoneyError, OrderId, ProductId};

use crate::api::QuoteView;
use crate::domain::Quote;

/// Why an order was not placed, shown or changed.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// A field of the request cannot be used.
    #[error("{detail}")]
    Invalid {
        /// Which, as a JSON pointer.
        pointer: String,
        /// Why.
        detail: String,
    },
    /// There is nothing in the cart.
    #[error("the cart is empty")]
    CartEmpty,
    /// The cart has another version than the one to be ordered.
    #[error("the cart changed; it has version {present} now")]
    CartChanged {
        /// The present version.
        present: u64,
    },
    /// Something in the cart is not sold any more.
    #[error("something in the cart is not sold any more; take it out")]
    Unavailable {
        /// What.
        products: Vec<ProductId>,
    },
    /// It costs something else than the shopper agreed to.
    #[error("the total is not what was expected; look at the new quote")]
    PriceChanged {
        /// What it costs now.
        quote: Box<Quote>,
    },
    /// No order of the caller's has this id.
    #[error("no such order")]
    Unknown,
    /// It ended in a way that cannot be cancelled.
    #[error("the order {order} cannot be cancelled any more")]
    NotCancellable {
        /// The order.
        order: OrderId,
    },
    /// News of orders cannot be passed on for so long that no more are taken.
    #[error("no orders are taken at the moment; the cart is as it was, so try again in a while")]
    Backlogged,
    /// The amounts cannot be counted.
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

impl OrderError {
    /// A field of the request cannot be used.
    pub(crate) fn invalid(pointer: &str, detail: impl ToString) -> Self {
        Self::Invalid { pointer: pointer.to_owned(), detail: detail.to_string() }
    }

    /// A field of the address under `pointer` cannot be used.
    pub(crate) fn address(pointer: &str, invalid: InvalidAddress) -> Self {
        Self::invalid(&format!("{pointer}/{}", invalid.field), invalid.detail)
    }
}

impl From<OrderError> for Problem {
    fn from(error: OrderError) -> Self {
        match &error {
            OrderError::Invalid { pointer, detail } => Self::invalid(pointer, detail),
            OrderError::CartEmpty => Self::conflict("cart_empty", &error),
            OrderError::Backlogged => Self::unavailable("overloaded", &error),
            OrderError::CartChanged { present } => {
                Self::conflict("cart_changed", &error).with_fact("cartVersion", present)
            }
            OrderError::Unavailable { products } => {
                Self::conflict("product_unavailable", &error).with_fact("products", products)
            }
            OrderError::PriceChanged { quote } => {
                Self::conflict("price_changed", &error).with_fact("quote", QuoteView::from(&**quote))
            }
            OrderError::Unknown => Self::not_found("order_unknown", &error),
            OrderError::NotCancellable { .. } => Self::conflict("order_not_cancellable", &error),
            OrderError::Money(reason) => Self::bad_request("amount_too_large", reason),
            OrderError::Peer(cause) => {
                tracing::warn!(%cause, "a peer is needed and does not answer");
                Self::unavailable("service_unavailable", "A service that this needs does not answer. Try again.")
            }
            OrderError::KeyReused(reused) => (*reused).into(),
            OrderError::Store(cause) => cause.clone().into(),
        }
    }
}

//! What inventory refuses, and how each refusal is told.

use axum::http::StatusCode;
use cartwright_contracts::Shortage;
use cartwright_http::Problem;
use cartwright_store::{KeyReused, StoreError};
use serde_json::{Value, json};

use crate::documents::ReservationState;
use crate::domain::{InsufficientStock, NotHeld, Unbalanced};

/// Why inventory did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InventoryError {
    #[error("There is no product {}.", .0.join(", "))]
    ProductUnknown(Vec<String>),
    #[error("Less is there than was wanted; nothing is held.")]
    OutOfStock(Vec<Shortage>),
    #[error("Held units and units that are not there cannot be taken away.")]
    InsufficientStock(#[from] InsufficientStock),
    #[error("That is more than inventory counts.")]
    TooMany,
    #[error("Nothing was reserved under this orderId.")]
    ReservationUnknown,
    #[error("Other items are reserved under this orderId.")]
    ReservedDifferently,
    #[error("The reservation has ended already.")]
    ReservationEnded(ReservationState),
    #[error("An order decides about this reservation: confirm or cancel the order.")]
    OrderDecides,
    #[error(transparent)]
    KeyReused(#[from] KeyReused),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Unbalanced> for StoreError {
    fn from(error: Unbalanced) -> Self {
        Self::Unusable(error.to_string())
    }
}

impl From<NotHeld> for StoreError {
    fn from(error: NotHeld) -> Self {
        Self::Unusable(error.to_string())
    }
}

impl From<InventoryError> for Problem {
    fn from(error: InventoryError) -> Self {
        let text = error.to_string();
        match error {
            InventoryError::ProductUnknown(products) => {
                Self::not_found("product_unknown", text).with_fact("productIds", products)
            }
            InventoryError::OutOfStock(missing) => {
                let items: Vec<Value> = missing.iter().map(shortage).collect();
                Self::conflict("out_of_stock", text).with_fact("items", items)
            }
            InventoryError::InsufficientStock(InsufficientStock { on_hand, held }) => {
                Self::conflict("insufficient_stock", text).with_fact("onHand", on_hand).with_fact("reserved", held)
            }
            InventoryError::TooMany => Self::new(StatusCode::CONFLICT, "too_many_units", text),
            InventoryError::ReservationUnknown => Self::not_found("reservation_unknown", text),
            InventoryError::ReservedDifferently => Self::conflict("reserved_differently", text),
            InventoryError::ReservationEnded(state) => {
                Self::conflict("reservation_ended", text).with_fact("state", state)
            }
            InventoryError::OrderDecides => Self::conflict("order_decides", text),
            InventoryError::KeyReused(error) => error.into(),
            InventoryError::Store(error) => error.into(),
        }
    }
}

fn shortage(shortage: &Shortage) -> Value {
    json!({"productId": shortage.product, "wanted": shortage.wanted, "available": shortage.available})
}

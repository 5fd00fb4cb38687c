//! One entry of the ledger of what came onto the shelf and what left it.
//!
//! Entries are written once and never changed. Holding and releasing move nothing: reservations tell of those.

use cartwright_runtime::Time;
use cartwright_vocabulary::ProductId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An entry of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Movement {
    /// Its identity.
    pub id: String,
    /// What moved.
    pub product: ProductId,
    /// Units that came (positive) or left (negative).
    pub delta: i64,
    /// What kind of movement it was.
    pub kind: MovementKind,
    /// Why, in the words of who moved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// For which order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// When.
    pub at: Time,
}

/// Kinds of movements, one for each counter of a stock level that they add up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MovementKind {
    /// On the shelf when the product was first listed.
    Opening,
    /// Added by the shop.
    Received,
    /// Taken away by the shop.
    WrittenOff,
    /// Left with an order.
    Sold,
    /// Came back from an order.
    Returned,
}

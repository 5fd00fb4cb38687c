//! Money on its way back to the shopper, under a key that never changes.

use cartwright_runtime::Time;
use cartwright_vocabulary::{Money, RefundId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Money that goes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refund {
    /// Its id, which is also the key that the provider knows it by.
    pub id: RefundId,
    /// How much.
    pub amount: Money,
    /// Why, in the words of whoever asked for it.
    pub reason: String,
    /// How far it came.
    pub state: RefundState,
    /// Whether it undoes the sale because the order was cancelled; such a refund is tried for ever.
    pub undoes_sale: bool,
    /// When it was written down.
    pub started_at: Time,
    /// When its state last changed.
    pub changed_at: Time,
}

/// How far a refund came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RefundState {
    /// The provider was or will be told; its answer is not known yet.
    Pending,
    /// The money went back.
    Succeeded,
    /// It was given up; somebody has to look at it.
    Failed,
}

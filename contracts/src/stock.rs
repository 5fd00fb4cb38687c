//! Asking inventory how much of something is there.

use async_trait::async_trait;
use cartwright_vocabulary::ProductId;
use serde::{Deserialize, Serialize};

use crate::PeerError;

/// How many there are; a hint for shoppers, since only a reservation holds anything.
#[async_trait]
pub trait Stock: Send + Sync + 'static {
    /// The stock of each of `ids`, in their order; one never received has none.
    ///
    /// # Errors
    /// When inventory does not answer.
    async fn availability(&self, ids: &[ProductId]) -> Result<Vec<Availability>, PeerError>;
}

/// The stock of one product, in units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Availability {
    /// The product.
    pub product: ProductId,
    /// On the shelf, held ones included.
    pub on_hand: u32,
    /// Held for orders.
    pub reserved: u32,
    /// What a new order can still get.
    pub available: u32,
}

impl Availability {
    /// In a word for shoppers.
    pub const fn status(&self) -> StockStatus {
        match self.available {
            0 => StockStatus::OutOfStock,
            1..=5 => StockStatus::LowStock,
            6.. => StockStatus::InStock,
        }
    }
}

/// Availability in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StockStatus {
    /// More than a few.
    InStock,
    /// Five at most.
    LowStock,
    /// None.
    OutOfStock,
}

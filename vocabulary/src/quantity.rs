//! How many units of one product a line may hold.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A number of units, 1 to 999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "u32", into = "u32")]
#[schema(value_type = u32, minimum = 1, maximum = 999)]
pub struct Quantity(u32);

/// Not a quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a whole number from 1 to {most} is needed", most = Quantity::MOST)]
pub struct InvalidQuantity;

impl Quantity {
    /// The most units that a line may hold.
    pub const MOST: u32 = 999;

    /// `units`, if a line may hold so many.
    ///
    /// # Errors
    /// [`InvalidQuantity`] below 1 and above 999.
    pub const fn new(units: u32) -> Result<Self, InvalidQuantity> {
        if units >= 1 && units <= Self::MOST { Ok(Self(units)) } else { Err(InvalidQuantity) }
    }

    /// The number of units.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Both together.
    ///
    /// # Errors
    /// [`InvalidQuantity`] above 999.
    pub fn plus(self, other: Self) -> Result<Self, InvalidQuantity> {
        Self::new(self.0.saturating_add(other.0))
    }
}

impl TryFrom<u32> for Quantity {
    type Error = InvalidQuantity;

    fn try_from(units: u32) -> Result<Self, InvalidQuantity> {
        Self::new(units)
    }
}

impl From<Quantity> for u32 {
    fn from(quantity: Quantity) -> Self {
        quantity.0
    }
}

//! Asking cart for what a shopper means to buy, and freezing it for an order.

use async_trait::async_trait;
use cartwright_vocabulary::{CartId, Currency, Money, OrderId, ProductId, Quantity, UserId};
use serde::{Deserialize, Serialize};

use crate::PeerError;

/// A shopper's cart, as order needs it.
#[async_trait]
pub trait Carts: Send + Sync + 'static {
    /// The shopper's cart at today's prices.
    ///
    /// # Errors
    /// When cart does not answer.
    async fn priced(&self, user: UserId) -> Result<PricedCart, PeerError>;

    /// Freezes the cart's contents for one order; again at the same version, the first freeze is the answer.
    ///
    /// # Errors
    /// [`FreezeRefused`]; nothing changed then.
    async fn freeze(&self, freeze: Freeze) -> Result<FrozenCart, FreezeRefused>;
}

/// One line at today's price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CartLine {
    /// The product.
    pub product: ProductId,
    /// Its title.
    pub name: String,
    /// The address of its picture.
    pub image: String,
    /// How many.
    pub quantity: Quantity,
    /// What one costs.
    pub unit_price: Money,
    /// The version of that price.
    pub price_version: u64,
    /// How it is taxed.
    pub tax_category: String,
}

/// A cart at today's prices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PricedCart {
    /// The cart.
    pub id: CartId,
    /// Counts the changes of its contents.
    pub version: u64,
    /// The currency of all its prices.
    pub currency: Currency,
    /// What can be bought now, in the order it was added.
    pub lines: Vec<CartLine>,
    /// Lines whose product is not sold any more.
    pub unavailable: Vec<ProductId>,
    /// The order that it is frozen for.
    pub frozen_for: Option<OrderId>,
    /// The last order made of it, where it has not been changed since and that is at most 24 hours ago.
    pub last_order: Option<OrderId>,
}

/// Asks for a cart to be frozen.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Freeze {
    /// Whose cart.
    pub user: UserId,
    /// The order it is to be frozen for.
    pub order: OrderId,
    /// The version that was quoted.
    pub version: u64,
    /// The lines that were quoted.
    pub lines: Vec<CartLine>,
}

/// A cart frozen for an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FrozenCart {
    /// The order it is frozen for: another than was asked for where it was frozen before.
    pub order: OrderId,
    /// The cart.
    pub id: CartId,
    /// The version of its contents.
    pub version: u64,
    /// The lines at the price at which they are sold.
    pub lines: Vec<CartLine>,
}

/// Why a cart was not frozen. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FreezeRefused {
    /// Its contents changed since the quote.
    #[error("the cart changed; it has version {present} now")]
    Changed {
        /// The present version.
        present: u64,
    },
    /// A price changed since the quote, or a product is not sold any more.
    #[error("a price changed since the quote")]
    PriceChanged,
    /// There is nothing in it.
    #[error("the cart is empty")]
    Empty,
    /// Cart does not answer; it may be frozen or not.
    #[error("{0}")]
    Unavailable(String),
}

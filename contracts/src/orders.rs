//! Asking order what became of an order.

use async_trait::async_trait;
use cartwright_vocabulary::{Address, CartId, Currency, Email, Money, OrderId, ProductId, Quantity, UserId};
use serde::{Deserialize, Serialize};

use crate::{CancelReason, PeerError};

/// The state of orders, as their peers need it.
#[async_trait]
pub trait Orders: Send + Sync + 'static {
    /// What became of the checkout of one cart version. Where there is no order, there will never be one.
    ///
    /// # Errors
    /// When order does not answer.
    async fn settle(&self, cart: CartId, version: u64) -> Result<Settled, PeerError>;

    /// The state of an order, if it exists.
    ///
    /// # Errors
    /// When order does not answer.
    async fn state(&self, order: OrderId) -> Result<Option<OrderState>, PeerError>;

    /// What is needed to pay an order, if it exists.
    ///
    /// # Errors
    /// When order does not answer.
    async fn payable(&self, order: OrderId) -> Result<Option<Payable>, PeerError>;

    /// What a message about an order tells, if it exists.
    ///
    /// # Errors
    /// When order does not answer.
    async fn facts(&self, order: OrderId) -> Result<Option<OrderFacts>, PeerError>;
}

/// What became of the checkout of one cart version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Settled {
    /// It made this order, which is now in this state.
    Order {
        /// The order.
        order: OrderId,
        /// Its state.
        state: OrderState,
    },
    /// It made no order and never will.
    Abandoned,
}

/// The state of an order as far as its peers care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OrderState {
    /// Neither confirmed nor cancelled yet.
    Open,
    /// Sold, and perhaps shipped.
    Confirmed,
    /// Cancelled.
    Cancelled,
}

/// An order that somebody wants to pay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Payable {
    /// Whose order.
    pub user: UserId,
    /// What is to be paid.
    pub amount: Money,
    /// Whether it waits for its shopper to pay.
    pub awaiting_payment: bool,
}

/// One line of an order, as it was sold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderItem {
    /// The product.
    pub product: ProductId,
    /// Its title.
    pub name: String,
    /// The address of its picture.
    pub image: String,
    /// How many.
    pub quantity: Quantity,
    /// What one cost.
    pub unit_price: Money,
    /// The version of that price.
    pub price_version: u64,
    /// What the line cost, before discounts and tax.
    pub line_total: Money,
}

/// What a message about an order tells.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderFacts {
    /// The order.
    pub id: OrderId,
    /// Its number for people.
    pub number: String,
    /// Whose order.
    pub user: UserId,
    /// Where to write to.
    pub email: Email,
    /// Where it is sent.
    pub shipping_address: Address,
    /// What was bought.
    pub items: Vec<OrderItem>,
    /// The currency of all amounts.
    pub currency: Currency,
    /// The goods.
    pub subtotal: Money,
    /// Taken off the goods.
    pub discount_total: Money,
    /// Shipping.
    pub shipping: Money,
    /// Tax.
    pub tax: Money,
    /// Everything.
    pub total: Money,
    /// Why it was cancelled.
    pub reason: Option<CancelReason>,
}

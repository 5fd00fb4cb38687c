//! Every event of the shop, in its emitter's words.

use cartwright_runtime::Time;
use cartwright_store::Event;
use cartwright_vocabulary::{CartId, Money, OrderId, PaymentId, ProductId, Quantity, RefundId, Sku, UserId};
use serde::{Deserialize, Serialize};

/// Declares that `$event` is an event named `$name` about the document that `$subject` names.
macro_rules! event {
    ($event:ident, $name:literal, $subject:ident) => {
        impl Event for $event {
            const NAME: &'static str = $name;

            fn subject(&self) -> String {
                self.$subject.to_string()
            }
        }
    };
}

/// Somebody has an account now.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserRegistered {
    /// Who.
    pub user: UserId,
}
event!(UserRegistered, "auth.user-registered", user);

/// A product was created or changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProductChanged {
    /// The product.
    pub product: ProductId,
    /// The shop's own name of it.
    pub sku: Sku,
    /// Raised by each change; a lower one is older news.
    pub version: u64,
    /// How many were on the shelf when it was first listed, where that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opening_stock: Option<u32>,
}
event!(ProductChanged, "product.product-changed", product);

/// A product is no longer sold.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProductArchived {
    /// The product.
    pub product: ProductId,
    /// Raised by each change; a lower one is older news.
    pub version: u64,
}
event!(ProductArchived, "product.product-archived", product);

/// So many units of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LineQuantity {
    /// The product.
    pub product: ProductId,
    /// How many.
    pub quantity: Quantity,
}

/// An order exists and wants its stock held.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderCreated {
    /// The order.
    pub order: OrderId,
    /// Whose.
    pub user: UserId,
    /// What it needs, one entry a product.
    pub items: Vec<LineQuantity>,
}
event!(OrderCreated, "order.created", order);

/// An order's stock is held and its money is wanted.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentRequested {
    /// The order.
    pub order: OrderId,
    /// Whose.
    pub user: UserId,
    /// What is to be paid.
    pub amount: Money,
    /// The provider's token for how it is paid; never a card number.
    pub payment_method: String,
}
event!(PaymentRequested, "order.payment-requested", order);

/// An order is sold: stock held, money held.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderConfirmed {
    /// The order.
    pub order: OrderId,
    /// Whose.
    pub user: UserId,
    /// The cart it was made of.
    pub cart: CartId,
}
event!(OrderConfirmed, "order.confirmed", order);

/// An order will not be sold, or is no longer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderCancelled {
    /// The order.
    pub order: OrderId,
    /// Whose.
    pub user: UserId,
    /// The cart it was made of.
    pub cart: CartId,
    /// Why.
    pub reason: CancelReason,
}
event!(OrderCancelled, "order.cancelled", order);

/// Why an order was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelReason {
    /// Something was not there in the wanted number.
    OutOfStock,
    /// It was not paid in time, and the last attempt had been declined.
    PaymentDeclined,
    /// It was not paid in time.
    PaymentExpired,
    /// The shopper cancelled it.
    ByCustomer,
    /// The shop cancelled it.
    ByAdmin,
}

/// All lines of an order are held.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StockReserved {
    /// The order.
    pub order: OrderId,
}
event!(StockReserved, "inventory.reserved", order);

/// Nothing of an order is held, because something was not there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StockRefused {
    /// The order.
    pub order: OrderId,
    /// What was missing.
    pub missing: Vec<Shortage>,
}
event!(StockRefused, "inventory.refused", order);

/// Less of a product is there than was wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shortage {
    /// The product.
    pub product: ProductId,
    /// How many were wanted.
    pub wanted: u32,
    /// How many were there.
    pub available: u32,
}

/// The stock of a product changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LevelChanged {
    /// The product.
    pub product: ProductId,
    /// What a new order can still get.
    pub available: u32,
    /// Raised by each change; a lower one is older news.
    pub version: u64,
}
event!(LevelChanged, "inventory.level-changed", product);

/// Which attempt to pay an order, counted from 1; a later one is newer news.
pub type Attempt = u32;

/// The money of an order is held.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentAuthorized {
    /// The order.
    pub order: OrderId,
    /// The attempt that succeeded.
    pub payment: PaymentId,
    /// Which attempt it was.
    pub attempt: Attempt,
    /// What is held.
    pub amount: Money,
}
event!(PaymentAuthorized, "payment.authorized", order);

/// An attempt to pay was declined.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentDeclined {
    /// The order.
    pub order: OrderId,
    /// The attempt.
    pub payment: PaymentId,
    /// Which attempt it was.
    pub attempt: Attempt,
    /// The provider's code, for example `insufficient_funds`.
    pub decline_code: String,
}
event!(PaymentDeclined, "payment.declined", order);

/// An attempt to pay waits for a step of the shopper, for example 3-D Secure.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentActionRequired {
    /// The order.
    pub order: OrderId,
    /// The attempt.
    pub payment: PaymentId,
    /// Which attempt it is.
    pub attempt: Attempt,
    /// Where the shopper takes the step.
    pub url: String,
}
event!(PaymentActionRequired, "payment.action-required", order);

/// The money of an order was taken.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentCaptured {
    /// The order.
    pub order: OrderId,
    /// The attempt.
    pub payment: PaymentId,
    /// What was taken.
    pub amount: Money,
    /// When.
    pub at: Time,
}
event!(PaymentCaptured, "payment.captured", order);

/// The money of a confirmed order could not be taken; somebody has to look at it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentCaptureFailed {
    /// The order.
    pub order: OrderId,
    /// The attempt.
    pub payment: PaymentId,
    /// What the provider said.
    pub cause: String,
}
event!(PaymentCaptureFailed, "payment.capture-failed", order);

/// Money went back to the shopper.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentRefunded {
    /// The order.
    pub order: OrderId,
    /// The attempt that had been captured.
    pub payment: PaymentId,
    /// The refund.
    pub refund: RefundId,
    /// What went back.
    pub amount: Money,
}
event!(PaymentRefunded, "payment.refunded", order);

/// Money that was held for an order is held no longer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentVoided {
    /// The order.
    pub order: OrderId,
    /// The attempt.
    pub payment: PaymentId,
}
event!(PaymentVoided, "payment.voided", order);

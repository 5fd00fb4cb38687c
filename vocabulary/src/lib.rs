//! The value types that all of Cartwright speaks: money, identifiers, quantities, addresses of people.
//!
//! Each holds its invariant from construction on, from JSON and from stored documents too. No I/O, no clock.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

pub mod card;
mod email;
mod ids;
mod money;
mod postal;
mod quantity;
mod sku;

pub use email::{Email, InvalidEmail};
pub use ids::{CartId, Id, InvalidId, Kind, NotificationId, OrderId, PaymentId, ProductId, RefundId, UserId};
pub use money::{Amount, Currency, DecimalText, Money, MoneyError};
pub use postal::{Address, InvalidAddress};
pub use quantity::{InvalidQuantity, Quantity};
pub use sku::{InvalidSku, Sku};

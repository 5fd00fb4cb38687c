//! What services say to each other: events, and the peer traits by which one asks another.
//!
//! Values and traits, and the one way in which a question travels between processes; no behaviour. Events carry ids and amounts, never secrets or addresses of people.

mod cart;
mod catalogue;
mod events;
mod orders;
pub mod over_http;
mod peer;
mod stock;
mod tokens;
mod users;

pub use cart::{CartLine, Carts, Freeze, FreezeRefused, FrozenCart, PricedCart};
pub use catalogue::{Catalogue, ProductSnapshot, ProductStatus};
pub use events::{
    Attempt, CancelReason, LevelChanged, LineQuantity, OrderCancelled, OrderConfirmed, OrderCreated,
    PaymentActionRequired, PaymentAuthorized, PaymentCaptureFailed, PaymentCaptured, PaymentDeclined, PaymentRefunded,
    PaymentRequested, PaymentVoided, ProductArchived, ProductChanged, Shortage, StockRefused, StockReserved,
    UserRegistered,
};
pub use orders::{OrderFacts, OrderItem, OrderState, Orders, Payable, Settled};
pub use peer::PeerError;
pub use stock::{Availability, Stock, StockStatus};
pub use tokens::{CheckingKey, Guard, Revoked, RevokedTokens, TokenGuard};
pub use users::{Contact, Users};

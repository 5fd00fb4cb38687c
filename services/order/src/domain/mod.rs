//! The rules of an order, pure: what may follow what, and what it costs.

mod process;
mod quote;

pub use process::{Announcement, Canceller, News, NextAction, Stage, Status};
pub(crate) use quote::rate_keys;
pub use quote::{Quote, ShippingOption, quote};

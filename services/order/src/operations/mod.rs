//! What can be done with orders.

mod await_order;
mod cancel_order;
mod expire_orders;
mod place_order;
mod quote_cart;

pub(crate) use await_order::await_order;
pub(crate) use cancel_order::cancel_order;
pub(crate) use expire_orders::expire_orders;
pub(crate) use place_order::{Placing, place_order};
pub(crate) use quote_cart::{Destination, quote_cart};

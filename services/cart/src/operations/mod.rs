//! What can be done with a cart.

mod edit_cart;
mod freeze_cart;
mod settle_freezes;
mod show_cart;

pub(crate) use edit_cart::{Edit, Item, edit_cart};
pub(crate) use freeze_cart::freeze_cart;
pub(crate) use settle_freezes::settle_freezes;
pub(crate) use show_cart::{show, show_cart};

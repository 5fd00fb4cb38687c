//! The rules of a cart, pure.

mod contents;
mod freezing;
mod view;

pub use contents::ContentsRefused;
pub(crate) use contents::line_of;
pub use view::{CartItemView, CartView, Warning, view};

//! What things cost together: totals of carts and orders, shipping, tax. Pure functions, no I/O.
//!
//! Promises that every total is the exact sum of its parts and that nothing is rounded twice.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod shipping;
mod tax;
mod totals;

pub use shipping::{ShippingRate, shipping_price};
pub use tax::{PartsPerMillion, TaxLine, Taxable, tax_lines};
pub use totals::{Goods, OrderTotals, goods_total, order_totals};

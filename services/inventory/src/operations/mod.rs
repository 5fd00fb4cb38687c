//! The verbs of inventory: each reads, decides and returns what to commit.

mod adjust_stock;
mod end_hold;
mod open_level;
mod reserve_stock;
mod shelf;

pub(crate) use adjust_stock::{AdjustStock, Adjustment, adjust_stock};
pub(crate) use end_hold::{Ending, end, end_hold, end_of_order};
pub(crate) use open_level::open_level;
pub(crate) use reserve_stock::{ReserveStock, Reserved, reserve_for_order, reserve_stock};
pub(crate) use shelf::{Shelf, lane_of_lines, lane_of_reservation};

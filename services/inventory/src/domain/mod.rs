//! The nouns of inventory, pure: no I/O, no clock, nothing asynchronous.

mod movement;
mod reservation;
mod stock_level;

pub use movement::{Movement, MovementKind};
pub use reservation::{Line, MadeBy, Reservation, ReservationState, Step};
pub(crate) use reservation::{NotHeld, summed};
pub use stock_level::StockLevel;
pub(crate) use stock_level::{InsufficientStock, Unbalanced};

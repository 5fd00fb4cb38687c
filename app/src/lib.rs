//! Cartwright as a library: a whole shop in one process, and what its operator does with it.

pub mod control;
pub mod neighbours;
pub mod role;
pub mod settings;
pub mod shop;
pub mod up;
pub mod verify;

//! Cartwright as a library: a whole shop in one process, and what its operator does with it.

pub mod callers;
pub mod carrier;
pub mod cluster;
pub mod control;
pub mod edge;
pub mod engine;
pub mod migrate;
pub mod neighbours;
pub mod process;
pub mod role;
pub mod serve;
pub mod settings;
pub mod shop;
pub mod up;
pub mod verify;

//! Real servers for tests: found or installed, on ports and in folders of their own, gone with the value that stands for them.
//!
//! Each test is a process of its own, and starting a server for each would cost more than the tests: [`reuse`] lets all of
//! them use one. Nothing survives its users for more than a few seconds, also where they were killed.

mod debian;
pub mod kafka;
pub mod mongo;
pub mod process;
pub mod rabbitmq;
pub mod redis;
pub mod reuse;

pub use reuse as shared;

//! The shop as processes of their own, on real servers, over mutual TLS: that it sells, and what remains when processes,
//! servers and networks fail.
//!
//! `CARTWRIGHT_LONG=1` takes the faults at the length at which they are promised; without it they are as short as shows them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../calls/mod.rs"]
mod calls;
mod crowd;
mod doors;
mod instances;
mod moving;
mod outages;
mod restarts;
mod selling;
mod town;
mod up;
mod wire;

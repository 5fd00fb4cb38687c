//! The distributed engine on real servers: what it promises while nothing fails, and what it keeps of it when things do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod contract;
mod faults;
mod letters;
mod opening;
mod outages;
mod outbox;
mod rivals;
mod severed;

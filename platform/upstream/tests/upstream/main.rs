//! Calls over real sockets to instances that are fast, slow, leaving, dead or killed in the middle.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod balancing;
mod failing;
mod handing_on;
mod host;
mod streaming;
mod trusting;

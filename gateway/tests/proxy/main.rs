//! A gateway whose services run elsewhere, asked over real sockets.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod client;
mod contract;
mod headers;
mod outcomes;
mod rates;
mod service;

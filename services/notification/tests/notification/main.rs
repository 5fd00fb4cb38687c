//! What notification promises: one mail an occasion, tried until it ends, and routes that only the right people may use.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails by panicking")]

mod desk;
mod events;
mod routes;

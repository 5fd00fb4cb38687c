//! Sentences about inventory, each tried on the whole service over the memory store.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod deliveries;
mod expiring;
mod holding;
mod ledger;
mod routes;
mod warehouse;

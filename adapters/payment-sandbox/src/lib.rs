//! A payment provider of our own, for development and tests: it behaves as its tokens say and keeps its own books.
//!
//! Promises what the port promises: every effect is in its ledger, on disk, before it answers; a key means one charge
//! for ever, also across restarts. It moves no money.

mod book;
mod hosted_page;
mod ledger;
mod sandbox;
mod token;

pub use ledger::{Effect, LEDGER_FILE, LedgerEntry, LedgerError, read_ledger};
pub use sandbox::{Sandbox, Settings};

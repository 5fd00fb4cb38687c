//! What auth promises, each promise a sentence, asked over its routes on the memory store with a clock moved by hand.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod accounts;
mod desk;
mod guessing;
mod profiles;
mod sessions;
mod tokens;

//! The nouns of auth, pure: no I/O, no clock, no randomness of their own.

pub(crate) mod address_book;
pub(crate) mod password;
pub(crate) mod profile;
pub(crate) mod refresh_token;
pub(crate) mod session;
pub(crate) mod user;

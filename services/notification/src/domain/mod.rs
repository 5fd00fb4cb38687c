//! The nouns of telling people: why, what in which words, and how far it got. No I/O, no clock.

pub(crate) mod built_in;
pub(crate) mod datum;
pub(crate) mod notification;
pub(crate) mod occasion;
pub(crate) mod template;
pub(crate) mod words;

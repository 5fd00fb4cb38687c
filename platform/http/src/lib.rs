//! HTTP as every service speaks it: problems, strict JSON, callers, idempotent commands, and the edge that serves it.
//!
//! Promises that whatever is refused is refused with an RFC 9457 problem document that names the error, and that nothing
//! of the inside (paths, SQL, type names, panic texts) leaks through one.

mod caller;
mod command;
mod json;
mod page;
mod problem;
mod version;

pub use caller::{Caller, Role, TokenRefused, Verifier};
pub use command::{Command, IdempotencyKey, answer};
pub use json::Json;
pub use page::{Page, PageQuery};
pub use problem::{InvalidField, Problem};
pub use version::{etag, if_match};

//! HTTP as every service speaks it: problems, strict JSON, callers, idempotent commands, and the edge that serves it.
//!
//! Promises that whatever is refused is refused with an RFC 9457 problem document that names the error, and that nothing
//! of the inside (paths, SQL, type names, panic texts) leaks through one.

mod activity;
mod asked;
mod caller;
mod caller_table;
mod command;
mod cors;
mod edge;
mod forwarded;
mod health;
mod json;
mod limits;
mod page;
mod problem;
mod quota;
mod refusal;
mod serve;
mod tls;
mod version;
mod watched;

pub use asked::Asked;
pub use caller::{Caller, Role, TokenRefused, Verifier};
pub use caller_table::{ANY_PEER, CallerTable, permit};
pub use command::{Command, IdempotencyKey, answer};
pub use edge::{DEADLINE, EdgeSettings, NOT_PROCESSED, REQUEST_ID, layers};
pub use forwarded::{FORWARDED_FOR, Forwarder, trust_forwarded};
pub use health::{DatabaseState, Health, Leaving, health};
pub use json::Json;
pub use limits::Limits;
pub use page::{Page, PageQuery};
pub use problem::{InvalidField, Problem};
pub use quota::{Left, LocalQuota, Quota, Rate, RetryAfter};
pub use serve::{serve, serve_tls};
pub use tls::{PeerIdentity, Tls};
pub use version::{etag, if_match};
pub use watched::BodyTooSlow;

//! Calls to other processes: balanced, bounded, retried only where that is safe.
//!
//! Promises that a request which may have reached an instance is never sent again, unless asking twice is harmless; that an
//! instance which is away or leaving costs no request; and that whoever calls learns whether the call may have had an effect.
//! Bodies are streamed both ways and never held as a whole.

mod balance;
mod body;
mod breaker;
mod budget;
mod connect;
mod error;
mod instance;
mod latency;
mod options;
mod targets;
mod upstream;
mod watch;

pub use error::CallError;
pub use instance::{InstanceState, InstanceView};
pub use options::Options;
pub use targets::{Resolve, SystemResolver, Targets, TargetsError};
pub use upstream::{Repeatable, Upstream};

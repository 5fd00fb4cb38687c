//! Events from the outbox to those who react to them.
//!
//! Promises that each committed event reaches every consumer at least once and takes effect once, and that an event
//! that cannot be applied is set aside with its cause, visible and replayable, without blocking others.

mod backlog;
mod broadcast;
mod broker;
pub mod contract;
mod dead_letter;
mod delivery;
mod in_process;
mod relay;
mod subscription;
mod turns;
mod wire;

pub use backlog::Backlog;
pub use broadcast::{Broadcast, Hints};
pub use broker::{Broker, BrokerError, Interest};
pub use dead_letter::{DeadLetter, ReplayError, replay};
pub use delivery::{AT_ONCE, Consumer, Deliveries, Unapplied};
pub use in_process::InProcessBroker;
pub use relay::Relay;
pub use subscription::{Failure, Subscription};
pub use wire::Wire;

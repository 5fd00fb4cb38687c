//! Events over Redis: a stream for each consumer, synced to disk, acknowledged after the commit.
//!
//! Promises that an event whose publication succeeded is in the stream of each consumer that ever asked for it, and leaves
//! it only when a process of the consumer has applied it. A Redis that is away is waited for. How much of that outlives a
//! crash of Redis itself is Redis's setting: it is looked at when it is opened, and a weak one is warned of.

mod broker;
mod keys;
mod link;
mod quota;
mod reading;
mod stream;
mod wire;

pub use broker::{RedisBroker, Settings};
pub use link::OpenError;
pub use quota::{QuotaError, RedisQuota};
pub use wire::RedisWire;

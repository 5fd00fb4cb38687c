//! Events over RabbitMQ: quorum queues, publisher confirms, acknowledgement after the commit.
//!
//! Promises that an event whose publication succeeded is on disk in the queue of each consumer that was ever declared, and
//! that it stays there until a process of the consumer has applied it. A broker that is away is waited for.

mod broker;
mod consuming;
mod link;
mod names;
mod wire;

pub use broker::{RabbitBroker, Settings};
pub use link::OpenError;
pub use wire::RabbitWire;

//! Events over Kafka, experimental: one topic, a group for each consumer, offsets committed after the commit of the store.
//!
//! Promises that an event whose publication succeeded is with all replicas in sync, and that a consumer's offset does not
//! pass an event before a process of the consumer has applied it. A Kafka that is away is waited for.

mod broker;
mod offsets;
mod reading;
mod topics;
mod wire;

pub use broker::{KafkaBroker, OpenError, Settings};
pub use wire::KafkaWire;

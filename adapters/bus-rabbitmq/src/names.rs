//! What things are called in RabbitMQ, and of what kind they are.

use std::collections::{BTreeMap, BTreeSet};

use cartwright_bus::Interest;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, ExchangeKind};

/// Names under one prefix, so that several shops can use one RabbitMQ.
#[derive(Clone, Debug)]
pub(crate) struct Names(String);

impl Names {
    pub(crate) fn new(prefix: &str) -> Self {
        Self(prefix.to_owned())
    }

    /// The topic exchange to which all events go, under their names.
    pub(crate) fn events(&self) -> ShortString {
        format!("{}.events", self.0).into()
    }

    /// The fanout exchange to which all hints go.
    pub(crate) fn hints(&self) -> ShortString {
        format!("{}.hints", self.0).into()
    }

    /// The queue of a consumer, which all its processes share.
    pub(crate) fn queue(&self, consumer: &str) -> ShortString {
        format!("{}.{consumer}", self.0).into()
    }
}

/// Which consumer wants which events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted(BTreeMap<String, BTreeSet<String>>);

impl Wanted {
    pub(crate) fn add(&mut self, Interest { consumer, event }: Interest) {
        self.0.entry(consumer).or_default().insert(event);
    }

    pub(crate) fn has(&self, event: &str) -> bool {
        self.0.values().any(|events| events.contains(event))
    }

    /// Creates what is missing. What an earlier version wanted stays bound: nobody here knows whether others want it.
    pub(crate) async fn declare(&self, names: &Names, channel: &Channel) -> Result<(), lapin::Error> {
        let exchange = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        channel.exchange_declare(names.events(), ExchangeKind::Topic, exchange, FieldTable::default()).await?;
        channel.exchange_declare(names.hints(), ExchangeKind::Fanout, exchange, FieldTable::default()).await?;
        for (consumer, events) in &self.0 {
            let queue = names.queue(consumer);
            channel.queue_declare(queue.clone(), QueueDeclareOptions::durable(), quorum()).await?;
            for event in events {
                let (exchange, key) = (names.events(), event.as_str().into());
                let options = QueueBindOptions::default();
                channel.queue_bind(queue.clone(), exchange, key, options, FieldTable::default()).await?;
            }
        }
        Ok(())
    }
}

/// A queue that is on the disks of most nodes before a publication is confirmed.
fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments
}

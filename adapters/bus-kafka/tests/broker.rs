//! A second implementation of Kafka's protocol, which creates topics and deals out partitions in its own way.
//!
//! Not the whole contract: in Tansu 0.6 a group whose member stops while it joins is never dealt anything again.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::sync::Arc;

use async_trait::async_trait;
use cartwright_bus::contract::{self, Site};
use cartwright_bus::{Broker, Wire};
use cartwright_bus_kafka::{KafkaBroker, Settings};
use cartwright_runtime::{Clock, Ids, Tasks};
use cartwright_servers::kafka;

/// Topics of its own on a broker that is everybody's.
struct Tansu {
    brokers: String,
    prefix: String,
}

impl Tansu {
    async fn shared() -> Self {
        let prefix = format!("test-{}", Ids::random(Clock::system()).uuid().simple());
        Self { brokers: kafka::shared().await, prefix }
    }

    fn open(&self, tasks: &Tasks) -> KafkaBroker {
        let settings = Settings { brokers: self.brokers.clone(), prefix: self.prefix.clone(), partitions: 4 };
        KafkaBroker::open(settings, Clock::system(), tasks.clone()).unwrap()
    }
}

#[async_trait]
impl Site for Tansu {
    async fn connect(&self, tasks: &Tasks) -> Arc<dyn Broker> {
        Arc::new(self.open(tasks))
    }

    async fn wire(&self, tasks: &Tasks) -> Arc<dyn Wire> {
        Arc::new(self.open(tasks).wire())
    }

    async fn kill(&self) {
        unreachable!("it is everybody's, and keeps nothing")
    }

    async fn start_again(&self) {
        unreachable!("it is everybody's, and keeps nothing")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_consumer_gets_its_events_from_topics_that_were_created_for_them() {
    contract::every_consumer_gets_every_event_it_wants(Tansu::shared().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_are_dealt_partitions_and_share_the_work() {
    contract::two_processes_of_a_consumer_share_its_events(Tansu::shared().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hints_reach_the_other_process() {
    contract::hints_reach_the_other_process(Tansu::shared().await).await;
}

#[test]
fn an_address_that_is_none_is_refused_in_a_sentence() {
    for wrong in ["", "kafka", "kafka:9092,", "kafka:port"] {
        let settings = Settings { brokers: wrong.to_owned(), prefix: "test".to_owned(), partitions: 4 };
        let Err(error) = KafkaBroker::open(settings, Clock::system(), Tasks::new()) else {
            panic!("{wrong} was opened")
        };
        assert!(error.to_string().starts_with("KAFKA_BROKERS must look like host:9092,host:9092"), "{error}");
    }
}

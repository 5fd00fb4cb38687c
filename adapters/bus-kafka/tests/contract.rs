//! Kafka's client signs the contract of brokers against the stand-in that comes with it.
//!
//! The stand-in keeps its data in memory and cannot crash; it can be cut off, which is what the cases of outages do here.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::sync::{Arc, mpsc};

use async_trait::async_trait;
use cartwright_bus::contract::Site;
use cartwright_bus::{Broker, Wire, bus_contract};
use cartwright_bus_kafka::{KafkaBroker, Settings};
use cartwright_runtime::{Clock, Tasks};
use rdkafka::mocking::MockCluster;

/// A cluster of one broker. It must not leave its thread, so that is told what to do.
struct StandIn {
    brokers: String,
    reachable: mpsc::Sender<bool>,
}

impl StandIn {
    fn new() -> Self {
        let ((reachable, orders), (started, brokers)) = (mpsc::channel(), mpsc::channel());
        drop(std::thread::spawn(move || {
            let cluster = MockCluster::new(1).unwrap();
            cluster.create_topic("test.events", 4, 1).unwrap();
            cluster.create_topic("test.hints", 1, 1).unwrap();
            started.send(cluster.bootstrap_servers()).unwrap();
            for reachable in orders {
                let obeyed = if reachable { cluster.broker_up(1) } else { cluster.broker_down(1) };
                obeyed.unwrap();
            }
        }));
        Self { brokers: brokers.recv().unwrap(), reachable }
    }

    fn open(&self, tasks: &Tasks) -> KafkaBroker {
        let settings = Settings { brokers: self.brokers.clone(), prefix: "test".to_owned(), partitions: 4 };
        KafkaBroker::open(settings, Clock::system(), tasks.clone()).unwrap()
    }
}

#[async_trait]
impl Site for StandIn {
    async fn connect(&self, tasks: &Tasks) -> Arc<dyn Broker> {
        Arc::new(self.open(tasks))
    }

    async fn wire(&self, tasks: &Tasks) -> Arc<dyn Wire> {
        Arc::new(self.open(tasks).wire())
    }

    async fn kill(&self) {
        self.reachable.send(false).unwrap();
    }

    async fn start_again(&self) {
        self.reachable.send(true).unwrap();
    }
}

bus_contract!(on_a_stand_in, StandIn::new(), [delivery, processes, hints, outages, cuts]);

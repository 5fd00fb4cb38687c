//! RabbitMQ signs the contract of brokers and wires.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::sync::Arc;

use async_trait::async_trait;
use cartwright_bus::contract::Site;
use cartwright_bus::{Broker, Wire, bus_contract};
use cartwright_bus_rabbitmq::{RabbitBroker, Settings};
use cartwright_runtime::{Clock, Ids, Secret, Tasks};
use cartwright_servers::rabbitmq::{self, RabbitMq};
use tokio::sync::Mutex;

/// Names of its own on a node that is everybody's, or a node of its own.
struct Node {
    url: String,
    prefix: String,
    own: Option<Mutex<RabbitMq>>,
}

impl Node {
    async fn shared() -> Self {
        let prefix = format!("test-{}", Ids::random(Clock::system()).uuid().simple());
        Self { url: rabbitmq::shared().await, prefix, own: None }
    }

    async fn own() -> Self {
        let node = RabbitMq::start().await;
        Self { url: node.url(), prefix: "test".to_owned(), own: Some(Mutex::new(node)) }
    }

    async fn open(&self, tasks: &Tasks) -> RabbitBroker {
        let settings = Settings { url: Secret::new(self.url.clone()), prefix: self.prefix.clone(), authority: None };
        RabbitBroker::open(settings, Clock::system(), tasks.clone()).await.unwrap()
    }
}

#[async_trait]
impl Site for Node {
    async fn connect(&self, tasks: &Tasks) -> Arc<dyn Broker> {
        Arc::new(self.open(tasks).await)
    }

    async fn wire(&self, tasks: &Tasks) -> Arc<dyn Wire> {
        Arc::new(self.open(tasks).await.wire())
    }

    async fn kill(&self) {
        self.own.as_ref().unwrap().lock().await.kill().await;
    }

    async fn start_again(&self) {
        self.own.as_ref().unwrap().lock().await.start_again().await;
    }
}

bus_contract!(on_a_shared_node, Node::shared().await, [delivery, processes, hints]);
bus_contract!(on_its_own_node, Node::own().await, [outages, cuts]);

//! Redis signs the contract of brokers and wires.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cartwright_bus::contract::Site;
use cartwright_bus::{Broker, Wire, bus_contract};
use cartwright_bus_redis::{RedisBroker, Settings};
use cartwright_runtime::{Clock, Ids, Secret, Tasks};
use cartwright_servers::redis::{self, Redis};
use tokio::sync::Mutex;

/// Keys of its own on a server that is everybody's, or a server of its own.
struct Server {
    url: String,
    prefix: String,
    own: Option<Mutex<Redis>>,
}

impl Server {
    async fn shared() -> Self {
        let prefix = format!("test-{}", Ids::random(Clock::system()).uuid().simple());
        Self { url: redis::shared().await, prefix, own: None }
    }

    async fn own() -> Self {
        let server = Redis::start().await;
        Self { url: server.url(), prefix: "test".to_owned(), own: Some(Mutex::new(server)) }
    }

    async fn open(&self, tasks: &Tasks) -> RedisBroker {
        let settings = Settings {
            url: Secret::new(self.url.clone()),
            prefix: self.prefix.clone(),
            authority: None,
            claim_after: Duration::from_secs(2),
        };
        RedisBroker::open(settings, Clock::system(), tasks.clone()).await.unwrap()
    }
}

#[async_trait]
impl Site for Server {
    async fn connect(&self, tasks: &Tasks) -> Arc<dyn Broker> {
        Arc::new(self.open(tasks).await)
    }

    async fn wire(&self, tasks: &Tasks) -> Arc<dyn Wire> {
        Arc::new(self.open(tasks).await.wire())
    }

    async fn kill(&self) {
        self.own.as_ref().unwrap().lock().await.kill();
    }

    async fn start_again(&self) {
        self.own.as_ref().unwrap().lock().await.start_again().await;
    }
}

bus_contract!(on_a_shared_server, Server::shared().await, [delivery, processes, hints]);
bus_contract!(on_its_own_server, Server::own().await, [outages, cuts]);

//! What carries events and hints: this process itself, or the broker that the settings name.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use cartwright_bus::{Broker, InProcessBroker, Wire};
use cartwright_bus_rabbitmq::RabbitBroker;
use cartwright_bus_redis::RedisBroker;
use cartwright_runtime::{Clock, Tasks};

use crate::role::Role;
use crate::settings::{BrokerPlace, Settings};

/// After how long the events of a process that was not heard of go to another one of its service.
const CLAIM_AFTER: Duration = Duration::from_secs(4);

/// Into how many parts the events are cut on Kafka: no more processes of one service can share them.
#[cfg(feature = "kafka")]
const KAFKA_PARTITIONS: i32 = 12;

/// What the names of queues and streams begin with.
const NAMES: &str = "cartwright";

/// What carries events, and hints where there are other processes.
pub struct Carrier {
    /// Events.
    pub broker: Arc<dyn Broker>,
    /// Hints.
    pub wire: Option<Arc<dyn Wire>>,
}

impl Carrier {
    /// The carrier for a process with `roles`.
    ///
    /// # Errors
    /// When there must be a broker and none is named, or it can never work.
    pub async fn open(settings: &Settings, roles: &[Role], clock: &Clock, tasks: &Tasks) -> Result<Self> {
        let Some(place) = &settings.places.broker else {
            if roles.len() < Role::ALL.len() {
                bail!("services in processes of their own need a broker for their events: set AMQP_URL or REDIS_URL");
            }
            return Ok(Self { broker: Arc::new(InProcessBroker::new(tasks.clone())), wire: None });
        };
        let carrier = match place {
            BrokerPlace::RabbitMq(url) => {
                let settings =
                    cartwright_bus_rabbitmq::Settings { url: url.clone(), prefix: NAMES.to_owned(), authority: None };
                let broker = RabbitBroker::open(settings, clock.clone(), tasks.clone()).await?;
                let wire: Arc<dyn Wire> = Arc::new(broker.wire());
                Self { broker: Arc::new(broker), wire: Some(wire) }
            }
            BrokerPlace::Redis(url) => {
                let settings = cartwright_bus_redis::Settings {
                    url: url.clone(),
                    prefix: NAMES.to_owned(),
                    authority: None,
                    claim_after: CLAIM_AFTER,
                };
                let broker = RedisBroker::open(settings, clock.clone(), tasks.clone()).await?;
                let wire: Arc<dyn Wire> = Arc::new(broker.wire());
                Self { broker: Arc::new(broker), wire: Some(wire) }
            }
            BrokerPlace::Kafka(brokers) => kafka(brokers, clock, tasks)?,
        };
        Ok(carrier)
    }

    /// Whether every event was delivered, as far as the broker tells.
    pub async fn nothing_waits(&self) -> bool {
        for role in Role::consumers() {
            match self.broker.lag(role.name()).await {
                Ok(0) => {}
                Ok(_) => return false,
                Err(error) => {
                    tracing::debug!(%role, %error, "the broker does not say what waits");
                    return false;
                }
            }
        }
        true
    }
}

#[cfg(feature = "kafka")]
fn kafka(brokers: &str, clock: &Clock, tasks: &Tasks) -> Result<Carrier> {
    let settings = cartwright_bus_kafka::Settings {
        brokers: brokers.to_owned(),
        prefix: NAMES.to_owned(),
        partitions: KAFKA_PARTITIONS,
    };
    let broker = cartwright_bus_kafka::KafkaBroker::open(settings, clock.clone(), tasks.clone())?;
    let wire: Arc<dyn Wire> = Arc::new(broker.wire());
    Ok(Carrier { broker: Arc::new(broker), wire: Some(wire) })
}

#[cfg(not(feature = "kafka"))]
fn kafka(_: &str, _: &Clock, _: &Tasks) -> Result<Carrier> {
    bail!("KAFKA_BROKERS is set, and this program was built without Kafka: build it with `cargo build --release`")
}

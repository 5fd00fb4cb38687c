//! The broker port on RabbitMQ.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use cartwright_bus::{Broker, BrokerError, Consumer, Interest, Subscription};
use cartwright_runtime::{Clock, Secret, Tasks};
use cartwright_store::Envelope;
use lapin::options::{BasicPublishOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Confirmation};

use crate::consuming::consume;
use crate::link::{Link, Live, OpenError};
use crate::names::Names;
use crate::wire::RabbitWire;

/// On disk before it is confirmed (AMQP 0-9-1, `delivery-mode`).
const PERSISTENT: u8 = 2;

/// Where RabbitMQ is, and what is ours there.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `amqp://user:password@host:5672/%2f`, or `amqps` for TLS.
    pub url: Secret<String>,
    /// What all names start with; shops with different prefixes do not see each other.
    pub prefix: String,
    /// The certificate authority to trust beside the public ones, in PEM.
    pub authority: Option<String>,
}

/// Carries events over RabbitMQ. Cheap to clone.
#[derive(Clone)]
pub struct RabbitBroker {
    link: Link,
    consumers: Arc<Mutex<Vec<Consumer>>>,
}

impl RabbitBroker {
    /// Connects until `tasks` stop; where RabbitMQ is away, later and by itself.
    ///
    /// # Errors
    /// When it can never work: see [`OpenError`].
    pub async fn open(settings: Settings, clock: Clock, tasks: Tasks) -> Result<Self, OpenError> {
        let Settings { url, prefix, authority } = settings;
        let link = Link::open(&url, authority, Names::new(&prefix), clock, tasks).await?;
        Ok(Self { link, consumers: Arc::default() })
    }

    /// The wire for hints over the same connection.
    pub fn wire(&self) -> RabbitWire {
        RabbitWire::new(self.link.clone())
    }

    async fn send(&self, live: &Live, event: &Envelope, body: &[u8]) -> Result<Confirmation, lapin::Error> {
        let properties = BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_content_type("application/cloudevents+json".into())
            .with_message_id(event.id.as_str().into());
        let (exchange, key) = (self.link.names().events(), event.name.as_str().into());
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let sent = async { live.events.basic_publish(exchange, key, options, body, properties).await?.await };
        self.link.patiently(sent).await
    }

    /// Events in this process that are not acknowledged: RabbitMQ does not count them among those that wait.
    fn in_hand(&self, consumer: &str) -> u64 {
        let consumers = self.consumers.lock().unwrap_or_else(PoisonError::into_inner);
        consumers.iter().filter(|it| it.name() == consumer).map(Consumer::in_hand).sum()
    }
}

#[async_trait]
impl Broker for RabbitBroker {
    async fn publish(&self, event: Envelope) -> Result<(), BrokerError> {
        let live = self.link.live()?;
        let body = serde_json::to_vec(&event).map_err(|error| BrokerError(error.to_string()))?;
        match self.send(&live, &event, &body).await {
            Ok(Confirmation::Ack(None)) => Ok(()),
            Ok(Confirmation::Ack(Some(_))) if self.link.is_wanted(&event.name) => {
                live.is_broken();
                Err(BrokerError("a queue is gone; it is declared again".to_owned()))
            }
            Ok(Confirmation::Ack(Some(_))) => {
                // Returned, because no queue is bound to it: neither a consumer nor anybody who expects one asked for it.
                tracing::debug!(event = event.id, name = event.name, "nobody wants this event");
                Ok(())
            }
            Ok(Confirmation::Nack(_)) => Err(BrokerError("RabbitMQ could not store it".to_owned())),
            Ok(Confirmation::NotRequested) => Err(BrokerError("RabbitMQ was not asked to confirm".to_owned())),
            Err(error) => {
                live.is_broken();
                Err(BrokerError(error.to_string()))
            }
        }
    }

    async fn subscribe(&self, subscriptions: Vec<Subscription>) -> Result<(), BrokerError> {
        let consumers = Consumer::group(subscriptions, self.link.tasks());
        self.link.want(consumers.iter().flat_map(Consumer::interests).collect()).await;
        for consumer in consumers {
            self.consumers.lock().unwrap_or_else(PoisonError::into_inner).push(consumer.clone());
            self.link.tasks().spawn(consume(self.link.clone(), consumer));
        }
        Ok(())
    }

    async fn expect(&self, interests: Vec<Interest>) -> Result<(), BrokerError> {
        self.link.want(interests).await;
        Ok(())
    }

    /// What other processes have in hand is not seen; it is [`cartwright_bus::AT_ONCE`] for each at most.
    async fn lag(&self, consumer: &str) -> Result<u64, BrokerError> {
        let live = self.link.live()?;
        let counted = self.link.patiently(async {
            // A queue that is not there ends the channel.
            let channel = live.connection.create_channel().await?;
            let passive = QueueDeclareOptions { passive: true, durable: true, ..QueueDeclareOptions::default() };
            let name = self.link.names().queue(consumer);
            let queue = channel.queue_declare(name, passive, FieldTable::default()).await?;
            channel.close(200, "done".into()).await?;
            Ok(u64::from(queue.message_count()))
        });
        let waiting = counted.await.map_err(|error| BrokerError(error.to_string()))?;
        Ok(waiting + self.in_hand(consumer))
    }
}

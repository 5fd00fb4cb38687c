//! The broker port on Kafka.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use async_trait::async_trait;
use cartwright_bus::{Broker, BrokerError, Consumer, Interest, Subscription};
use cartwright_runtime::{Clock, Tasks};
use cartwright_store::Envelope;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use rdkafka::util::Timeout;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::OnceCell;

use crate::reading::Reader;
use crate::topics::{PATIENCE, Topics};
use crate::wire::KafkaWire;

/// Where Kafka is, and what is ours there.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `host:9092,host:9092`.
    pub brokers: String,
    /// What all names start with; shops with different prefixes do not see each other.
    pub prefix: String,
    /// Into how many parts the topic of events is cut: no more processes of a consumer can share its events.
    pub partitions: i32,
}

/// Why Kafka can never be used as it is described.
#[derive(Debug, thiserror::Error)]
#[error("KAFKA_BROKERS must look like host:9092,host:9092: {0}")]
pub struct OpenError(String);

/// Carries events over Kafka. Cheap to clone.
#[derive(Clone)]
pub struct KafkaBroker(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    prefix: String,
    config: ClientConfig,
    producer: RwLock<FutureProducer>,
    created: OnceCell<()>,
    counting: Mutex<HashMap<String, Arc<BaseConsumer>>>,
    pub(crate) topics: Topics,
    pub(crate) clock: Clock,
    pub(crate) tasks: Tasks,
}

impl KafkaBroker {
    /// Looks for Kafka until `tasks` stop.
    ///
    /// # Errors
    /// When the address is none.
    pub fn open(settings: Settings, clock: Clock, tasks: Tasks) -> Result<Self, OpenError> {
        let Settings { brokers, prefix, partitions } = settings;
        if brokers.split(',').any(|broker| !is_address(broker.trim())) {
            return Err(OpenError(format!("{brokers:?} does not")));
        }
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &brokers).set("client.id", "cartwright");
        config.set("reconnect.backoff.ms", "100").set("reconnect.backoff.max.ms", "2000");
        let producer = RwLock::new(producer(&config).map_err(|error| OpenError(error.to_string()))?);
        let (topics, created, counting) = (Topics::new(&prefix, partitions), OnceCell::new(), Mutex::default());
        Ok(Self(Arc::new(Inner { prefix, config, producer, created, counting, topics, clock, tasks })))
    }

    /// The wire for hints to the same Kafka.
    pub fn wire(&self) -> KafkaWire {
        KafkaWire::new(self.clone())
    }

    /// The group of a consumer, with offsets that are only committed by hand.
    pub(crate) fn group(&self, consumer: &str) -> ClientConfig {
        let mut config = self.0.config.clone();
        config.set("group.id", format!("{}.{consumer}", self.0.prefix));
        config.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
        // What is published before a consumer runs for the first time waits for it.
        config.set("auto.offset.reset", "earliest").set("session.timeout.ms", "6000");
        config.set("heartbeat.interval.ms", "1000").set("partition.assignment.strategy", "range");
        config
    }

    /// Sees to it that the topics are there.
    pub(crate) async fn topics(&self) -> Result<&Topics, KafkaError> {
        self.0.created.get_or_try_init(|| self.0.topics.create(&self.0.config, &self.0.tasks)).await?;
        Ok(&self.0.topics)
    }

    pub(crate) async fn send(&self, topic: &str, key: Option<&str>, body: &[u8]) -> Result<(), KafkaError> {
        let producer = self.0.producer.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut record = FutureRecord::to(topic).payload(body);
        record.key = key;
        let sent = producer.send(record, Timeout::After(std::time::Duration::ZERO)).await;
        sent.map(drop).map_err(|(error, _)| {
            self.replace_if_dead(&producer);
            error
        })
    }

    /// An idempotent producer that lost count refuses everything from then on.
    fn replace_if_dead(&self, dead: &FutureProducer) {
        if dead.client().fatal_error().is_some()
            && let Ok(fresh) = producer(&self.0.config)
        {
            tracing::warn!("the producer of Kafka ended; there is a new one");
            *self.0.producer.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        }
    }

    /// A client that asks how far a consumer is, and takes no part in its work.
    fn counting(&self, consumer: &str) -> Result<Arc<BaseConsumer>, KafkaError> {
        let mut counting = self.0.counting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = counting.get(consumer) {
            return Ok(Arc::clone(known));
        }
        let fresh: Arc<BaseConsumer> = Arc::new(self.group(consumer).create()?);
        drop(counting.insert(consumer.to_owned(), Arc::clone(&fresh)));
        Ok(fresh)
    }
}

#[async_trait]
impl Broker for KafkaBroker {
    async fn publish(&self, event: Envelope) -> Result<(), BrokerError> {
        let body = serde_json::to_vec(&event).map_err(|error| BrokerError(error.to_string()))?;
        let topics = self.topics().await.map_err(failed)?;
        // What happened to one thing goes to one partition, where it stays in order.
        let key = format!("{}/{}", event.source, event.subject);
        self.send(&topics.events, Some(&key), &body).await.map_err(failed)
    }

    async fn subscribe(&self, subscriptions: Vec<Subscription>) -> Result<(), BrokerError> {
        for consumer in Consumer::group(subscriptions, &self.0.tasks) {
            self.0.tasks.spawn(Reader::new(self.clone(), consumer).run());
        }
        Ok(())
    }

    /// The topic keeps all events for everybody, for as long as Kafka's settings say.
    async fn expect(&self, _interests: Vec<Interest>) -> Result<(), BrokerError> {
        Ok(())
    }

    /// Counts all events that the group has not passed, also those that the consumer will not want.
    async fn lag(&self, consumer: &str) -> Result<u64, BrokerError> {
        let topics = self.topics().await.map_err(failed)?.clone();
        let client = self.counting(consumer).map_err(failed)?;
        let counted = self.0.tasks.blocking(move || count(&client, &topics)).await;
        counted.map_err(|error| BrokerError(error.to_string()))?.map_err(failed)
    }
}

fn count(client: &BaseConsumer, topics: &Topics) -> Result<u64, KafkaError> {
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_range(&topics.events, 0, topics.partitions - 1);
    let committed = client.committed_offsets(partitions, PATIENCE)?;
    let mut lag = 0;
    for place in committed.elements() {
        let (first, end) = client.fetch_watermarks(&topics.events, place.partition(), PATIENCE)?;
        let reached = if let Offset::Offset(offset) = place.offset() { offset } else { first };
        lag += u64::try_from(end - reached).unwrap_or(0);
    }
    Ok(lag)
}

/// Confirms when all replicas in sync have it, and never writes twice by itself.
fn producer(config: &ClientConfig) -> Result<FutureProducer, KafkaError> {
    let mut config = config.clone();
    config.set("acks", "all").set("enable.idempotence", "true");
    config.set("message.timeout.ms", PATIENCE.as_millis().to_string()).set("linger.ms", "1");
    config.create()
}

fn is_address(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

pub(crate) fn failed(error: KafkaError) -> BrokerError {
    BrokerError(error.to_string())
}

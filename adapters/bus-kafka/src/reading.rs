//! From the topic to a consumer's reactions; the offset passes an event when its reaction is committed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cartwright_bus::{AT_ONCE, Consumer, Deliveries};
use cartwright_store::Envelope;
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::Notify;

use crate::broker::KafkaBroker;
use crate::offsets::Offsets;

/// The pause after Kafka could not be reached or read.
const PAUSE: Duration = Duration::from_secs(1);
/// How often the client is asked again for messages, whatever it promised: wake-ups were missed in the past.
const LOOK: Duration = Duration::from_millis(500);

/// Reads for one process of a consumer, until the program stops.
pub(crate) struct Reader {
    broker: KafkaBroker,
    consumer: Consumer,
}

/// How far the process has come.
#[derive(Clone, Default)]
struct Applied {
    offsets: Arc<Mutex<Offsets>>,
    news: Arc<Notify>,
}

impl Applied {
    fn offsets(&self) -> MutexGuard<'_, Offsets> {
        self.offsets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A message, cut loose from the client.
struct Found {
    partition: i32,
    offset: i64,
    body: Vec<u8>,
}

impl Reader {
    pub(crate) const fn new(broker: KafkaBroker, consumer: Consumer) -> Self {
        Self { broker, consumer }
    }

    pub(crate) async fn run(self) {
        let (tasks, clock) = (self.broker.0.tasks.clone(), self.broker.0.clock.clone());
        while !tasks.is_stopping() {
            match self.join().await {
                Ok(client) => {
                    let (topic, applied) = (self.broker.0.topics.events.clone(), Applied::default());
                    let ended = self.session(&client, &applied).await;
                    // Both block: the last word, and leaving the group.
                    let leave = move || commit(&client, &topic, &applied, CommitMode::Sync);
                    drop(tasks.blocking(leave).await);
                    match ended {
                        Ok(()) => return,
                        Err(error) => {
                            tracing::warn!(consumer = self.consumer.name(), %error, "reading from Kafka ended")
                        }
                    }
                }
                Err(error) => tracing::debug!(consumer = self.consumer.name(), %error, "Kafka is away"),
            }
            tokio::select! {
                () = tasks.stopped() => return,
                () = clock.pause(PAUSE) => {}
            }
        }
    }

    async fn join(&self) -> Result<StreamConsumer, KafkaError> {
        let topics = self.broker.topics().await?;
        let client: StreamConsumer = self.broker.group(self.consumer.name()).create()?;
        client.subscribe(&[&topics.events])?;
        Ok(client)
    }

    /// Gives `Ok` when the program stops and everything in hand is applied or given up.
    async fn session(&self, client: &StreamConsumer, applied: &Applied) -> Result<(), KafkaError> {
        let deliveries = self.consumer.connected();
        let (tasks, clock) = (&self.broker.0.tasks, &self.broker.0.clock);
        let mut paused = false;
        while !tasks.is_stopping() {
            // Kafka wants to be asked for messages also when there is no room for any: it takes silence for death.
            let full = self.consumer.in_hand() >= u64::from(AT_ONCE);
            if full != paused {
                let partitions = client.assignment()?;
                if full {
                    client.pause(&partitions)?
                } else {
                    client.resume(&partitions)?
                }
                paused = full;
            }
            tokio::select! {
                () = tasks.stopped() => break,
                found = next(client) => match found {
                    Ok(found) => self.take(found, &deliveries, applied).await,
                    Err(error) if passes(&error) => tracing::debug!(%error, "Kafka is away for the moment"),
                    Err(error) => return Err(error),
                },
                () = applied.news.notified() => commit(client, &self.broker.0.topics.events, applied, CommitMode::Async),
                () = clock.pause(LOOK) => {}
            }
        }
        deliveries.settled().await;
        Ok(())
    }

    async fn take(&self, found: Found, deliveries: &Deliveries, applied: &Applied) {
        let Found { partition, offset, body } = found;
        applied.offsets().delivered(partition, offset);
        let progress = applied.clone();
        let confirm = async move {
            progress.offsets().applied(partition, offset);
            progress.news.notify_one();
        };
        match serde_json::from_slice::<Envelope>(&body) {
            Ok(event) if self.consumer.wants(&event.name) => deliveries.take(event, confirm).await,
            // All consumers read all events.
            Ok(_) => confirm.await,
            Err(error) => {
                let text = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
                tracing::error!(consumer = self.consumer.name(), %error, text, "a message that is no event is passed");
                confirm.await;
            }
        }
    }
}

async fn next(client: &StreamConsumer) -> Result<Found, KafkaError> {
    let message = client.recv().await?;
    let body = message.payload().unwrap_or_default().to_vec();
    Ok(Found { partition: message.partition(), offset: message.offset(), body })
}

/// Whether the client goes on by itself after this error.
fn passes(error: &KafkaError) -> bool {
    !matches!(error, KafkaError::MessageConsumptionFatal(_))
}

/// Tells the group how far it is. Not heard, it only makes events come again.
fn commit(client: &StreamConsumer, topic: &str, applied: &Applied, mode: CommitMode) {
    let news = applied.offsets().take_news();
    let mut places = TopicPartitionList::new();
    for (partition, place) in news {
        if let Err(error) = places.add_partition_offset(topic, partition, Offset::Offset(place)) {
            tracing::debug!(%error, "a place in a partition cannot be told");
        }
    }
    if places.count() > 0
        && let Err(error) = client.commit(&places, mode)
    {
        tracing::debug!(%error, "Kafka was not told how far the group is");
    }
}

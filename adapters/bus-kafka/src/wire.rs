//! Hints over Kafka: a topic that each process reads from its end, without a group.

use async_trait::async_trait;
use cartwright_bus::{BrokerError, Wire};
use cartwright_runtime::Ids;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

use crate::broker::{KafkaBroker, failed};

/// Carries hints to the Kafka of a broker.
#[derive(Clone)]
pub struct KafkaWire {
    broker: KafkaBroker,
}

impl KafkaWire {
    pub(crate) const fn new(broker: KafkaBroker) -> Self {
        Self { broker }
    }
}

#[async_trait]
impl Wire for KafkaWire {
    async fn send(&self, text: &str) -> Result<(), BrokerError> {
        let topics = self.broker.topics().await.map_err(failed)?;
        self.broker.send(&topics.hints, None, text.as_bytes()).await.map_err(failed)
    }

    async fn listen(&self) -> Result<BoxStream<'static, String>, BrokerError> {
        let topics = self.broker.topics().await.map_err(failed)?;
        // The client wants a group, though nothing is ever committed to it.
        let alone = Ids::random(self.broker.0.clock.clone()).uuid().to_string();
        let client: StreamConsumer = self.broker.group(&format!("hints-{alone}")).create().map_err(failed)?;
        let mut end = TopicPartitionList::new();
        end.add_partition_offset(&topics.hints, 0, Offset::End).map_err(failed)?;
        client.assign(&end).map_err(failed)?;
        let texts = stream::unfold(client, |client| async move {
            let text = client.recv().await.ok()?.payload().map(|body| String::from_utf8_lossy(body).into_owned());
            Some((text, client))
        });
        Ok(texts.filter_map(std::future::ready).boxed())
    }
}

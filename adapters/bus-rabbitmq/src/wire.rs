//! Hints over RabbitMQ: a fanout exchange, and a queue for each process that ends with its connection.

use async_trait::async_trait;
use cartwright_bus::{BrokerError, Wire};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use lapin::BasicProperties;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};

use crate::link::Link;

/// Hints that wait for a process which does not read them; the oldest are dropped.
const WAITING_MOST: i32 = 4096;

/// Carries hints over the connection of a broker.
#[derive(Clone)]
pub struct RabbitWire {
    link: Link,
}

impl RabbitWire {
    pub(crate) const fn new(link: Link) -> Self {
        Self { link }
    }
}

#[async_trait]
impl Wire for RabbitWire {
    async fn send(&self, text: &str) -> Result<(), BrokerError> {
        let live = self.link.live()?;
        let (exchange, options) = (self.link.names().hints(), BasicPublishOptions::default());
        let sent = live.hints.basic_publish(exchange, "".into(), options, text.as_bytes(), BasicProperties::default());
        self.link.patiently(sent).await.map(drop).map_err(|error| {
            live.is_broken();
            BrokerError(error.to_string())
        })
    }

    async fn listen(&self) -> Result<BoxStream<'static, String>, BrokerError> {
        let live = self.link.live()?;
        let opened = self.link.patiently(async {
            let channel = live.connection.create_channel().await?;
            let own = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
            let mut bound = FieldTable::default();
            bound.insert("x-max-length".into(), AMQPValue::LongInt(WAITING_MOST));
            let queue = channel.queue_declare("".into(), own, bound).await?.name().clone();
            let (exchange, options) = (self.link.names().hints(), QueueBindOptions::default());
            channel.queue_bind(queue.clone(), exchange, "".into(), options, FieldTable::default()).await?;
            let unacknowledged = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
            let messages = channel.basic_consume(queue, "".into(), unacknowledged, FieldTable::default()).await?;
            Ok((channel, messages))
        });
        let (channel, messages) = opened.await.map_err(|error| BrokerError(error.to_string()))?;
        // The channel lives as long as somebody listens; a failure ends the stream.
        let texts = stream::unfold((channel, messages), |(channel, mut messages)| async move {
            let message = messages.next().await?.ok()?;
            Some((String::from_utf8_lossy(&message.data).into_owned(), (channel, messages)))
        });
        Ok(texts.boxed())
    }
}

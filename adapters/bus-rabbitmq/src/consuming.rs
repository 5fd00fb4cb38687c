//! From a consumer's queue to its reactions; acknowledged when they are committed.

use std::sync::Arc;
use std::time::Duration;

use cartwright_bus::{AT_ONCE, Consumer, Deliveries};
use cartwright_store::Envelope;
use futures::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;

use crate::link::{Link, Live};

/// The pause after a queue could not be read over a connection that works otherwise.
const PAUSE: Duration = Duration::from_millis(500);

/// Reads the queue of `consumer` over whatever connection there is, until the program stops.
pub(crate) async fn consume(link: Link, consumer: Consumer) {
    let tasks = link.tasks().clone();
    loop {
        let live = tokio::select! {
            () = tasks.stopped() => return,
            live = link.until_live() => live,
        };
        match read(&link, &live, &consumer).await {
            Ok(()) => return,
            Err(error) => tracing::debug!(consumer = consumer.name(), %error, "reading a queue of RabbitMQ ended"),
        }
        if !live.connection.status().connected() {
            live.is_broken();
        }
        tokio::select! {
            () = tasks.stopped() => return,
            () = link.clock().pause(PAUSE) => {}
        }
    }
}

/// Reads over one connection; gives `Ok` when the program stops and everything in hand is acknowledged or given up.
async fn read(link: &Link, live: &Arc<Live>, consumer: &Consumer) -> Result<(), lapin::Error> {
    let opened = link.patiently(async {
        let channel = live.connection.create_channel().await?;
        channel.basic_qos(AT_ONCE, BasicQosOptions::default()).await?;
        let queue = link.names().queue(consumer.name());
        let options = BasicConsumeOptions::default();
        let messages = channel.basic_consume(queue, "".into(), options, FieldTable::default()).await?;
        Ok((channel, messages))
    });
    let (channel, mut messages) = opened.await?;
    let deliveries = consumer.connected();
    loop {
        let message = tokio::select! {
            () = link.tasks().stopped() => break,
            message = messages.next() => message,
        };
        match message {
            Some(message) => take(&deliveries, consumer, message?).await,
            // The queue was removed, or the channel closed: what is declared again may be read again.
            None => {
                live.is_broken();
                return link.patiently(channel.close(200, "done".into())).await;
            }
        }
    }
    deliveries.settled().await;
    link.patiently(channel.close(200, "stopping".into())).await
}

async fn take(deliveries: &Deliveries, consumer: &Consumer, message: Delivery) {
    let acker = message.acker;
    let acknowledge = async move {
        if let Err(error) = acker.ack(BasicAckOptions::default()).await {
            tracing::debug!(%error, "an event was applied and not acknowledged; it comes again");
        }
    };
    match serde_json::from_slice::<Envelope>(&message.data) {
        Ok(event) => deliveries.take(event, acknowledge).await,
        Err(error) => {
            let text = String::from_utf8_lossy(&message.data[..message.data.len().min(200)]).into_owned();
            tracing::error!(consumer = consumer.name(), %error, text, "a message that is no event is dropped");
            acknowledge.await;
        }
    }
}

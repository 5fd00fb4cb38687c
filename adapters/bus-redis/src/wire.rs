//! Hints over Redis: one channel that all processes listen to.

use async_trait::async_trait;
use cartwright_bus::{BrokerError, Wire};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use redis::cmd;

use crate::link::{Link, failed};

/// Carries hints to the Redis of a broker.
#[derive(Clone)]
pub struct RedisWire {
    link: Link,
}

impl RedisWire {
    pub(crate) const fn new(link: Link) -> Self {
        Self { link }
    }
}

#[async_trait]
impl Wire for RedisWire {
    async fn send(&self, text: &str) -> Result<(), BrokerError> {
        let heard = self.link.run::<i64>(cmd("PUBLISH").arg(self.link.keys().hints()).arg(text)).await;
        heard.map(drop).map_err(failed)
    }

    async fn listen(&self) -> Result<BoxStream<'static, String>, BrokerError> {
        let mut connection = self.link.listening().await.map_err(failed)?;
        connection.subscribe(self.link.keys().hints()).await.map_err(failed)?;
        let texts = connection.into_on_message();
        Ok(texts.map(|message| String::from_utf8_lossy(message.get_payload_bytes()).into_owned()).boxed())
    }
}

//! A stream of server-sent events, read one event at a time as a browser would. Never waits for ever.

use std::time::Duration;

use axum::body::{Body, Bytes};
use cartwright_runtime::Clock;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use serde_json::Value;

/// Real time that an event may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A stream of events, as it is sent.
pub struct EventStream {
    chunks: BoxStream<'static, Bytes>,
    text: String,
}

impl EventStream {
    /// The events of a response's body.
    pub fn new(body: Body) -> Self {
        let chunks = body.into_data_stream().fuse().filter_map(|chunk| async move { chunk.ok() });
        Self { chunks: chunks.boxed(), text: String::new() }
    }

    /// The next event's name and data; `None` where the stream has ended.
    ///
    /// # Panics
    /// When neither comes within ten seconds, or the data is not JSON.
    pub async fn next(&mut self) -> Option<(String, Value)> {
        let clock = Clock::system();
        let event = async {
            loop {
                if let Some(event) = self.buffered() {
                    return Some(event);
                }
                let chunk = self.chunks.next().await?;
                self.text.push_str(std::str::from_utf8(&chunk).expect("events are UTF-8"));
            }
        };
        tokio::select! {
            event = event => event,
            () = clock.pause(PATIENCE) => panic!("no event came, and no end of the stream"),
        }
    }

    /// Takes an event out of what was read; comments are passed over.
    fn buffered(&mut self) -> Option<(String, Value)> {
        while let Some((block, rest)) = self.text.split_once("\n\n") {
            let (block, rest) = (block.to_owned(), rest.to_owned());
            self.text = rest;
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            if let Some(data) = field("data:") {
                let data = serde_json::from_str(data).expect("the data of an event is JSON");
                return Some((field("event:").unwrap_or("message").to_owned(), data));
            }
        }
        None
    }
}

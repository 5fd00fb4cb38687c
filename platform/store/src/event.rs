//! Events: what happened, in the emitter's words, in a CloudEvents 1.0 envelope.

use std::sync::Arc;

use cartwright_runtime::Time;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Something that happened to a document. It says what is so, never what somebody should do.
pub trait Event: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The wire name, `service.noun-participle`.
    const NAME: &'static str;

    /// The id of the document it happened to; events of one subject are delivered in order as far as the broker manages.
    fn subject(&self) -> String;
}

/// An event on its way, in the shape of CloudEvents 1.0 JSON (structured mode).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// Always `1.0`.
    pub specversion: String,
    /// The event's identity: delivered twice, it is the same event.
    pub id: String,
    /// The service that emitted it.
    pub source: String,
    /// The event's name.
    #[serde(rename = "type")]
    pub name: String,
    /// The id of the document it happened to.
    pub subject: String,
    /// When it was committed.
    pub time: Time,
    /// Always `application/json`.
    pub datacontenttype: String,
    /// The event itself.
    pub data: Arc<RawValue>,
    /// The W3C trace it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

impl Envelope {
    /// The event in it.
    ///
    /// # Errors
    /// When the data is not of `E`'s shape.
    pub fn event<E: Event>(&self) -> Result<E, serde_json::Error> {
        serde_json::from_str(self.data.get())
    }
}

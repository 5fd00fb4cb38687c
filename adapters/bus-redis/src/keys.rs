//! What things are called in Redis.

/// Keys under one prefix, so that several shops can use one Redis. The braces put all of them into one slot.
#[derive(Clone, Debug)]
pub(crate) struct Keys(String);

/// The group in each stream: the processes of the consumer.
pub(crate) const GROUP: &str = "processes";

impl Keys {
    pub(crate) fn new(prefix: &str) -> Self {
        Self(format!("{{{prefix}}}"))
    }

    /// The stream of a consumer, which all its processes share.
    pub(crate) fn stream(&self, consumer: &str) -> String {
        format!("{}{consumer}", self.streams())
    }

    /// What the names of all streams start with.
    pub(crate) fn streams(&self) -> String {
        format!("{}:stream:", self.0)
    }

    /// The set of consumers that want an event.
    pub(crate) fn wanted(&self, event: &str) -> String {
        format!("{}:wanted:{event}", self.0)
    }

    /// The channel of hints.
    pub(crate) fn hints(&self) -> String {
        format!("{}:hints", self.0)
    }
}

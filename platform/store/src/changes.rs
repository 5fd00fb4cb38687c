//! A change as a value: everything one decision wants committed, together or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Document, Effect, Event, IndexEntry, StoreError, Stored};

/// Documents to insert, replace or remove, documents relied on, and events to publish.
///
/// Building one does nothing. An error of serialisation is kept and reported by the commit.
#[derive(Clone, Debug, Default)]
#[must_use = "a change does nothing until it is committed"]
pub struct Changes {
    pub(crate) writes: Vec<PlannedWrite>,
    pub(crate) events: Vec<PlannedEvent>,
    pub(crate) error: Option<StoreError>,
}

#[derive(Clone, Debug)]
pub(crate) struct PlannedWrite {
    pub(crate) collection: &'static str,
    pub(crate) key: String,
    pub(crate) expect: Option<u64>,
    pub(crate) effect: Effect,
}

#[derive(Clone, Debug)]
pub(crate) struct PlannedEvent {
    pub(crate) name: &'static str,
    pub(crate) subject: String,
    pub(crate) data: String,
}

/// A version that a decision looked at while it was queued; `broken` is raised when it fails.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub(crate) collection: &'static str,
    pub(crate) key: String,
    pub(crate) revision: Option<u64>,
    pub(crate) broken: Arc<AtomicBool>,
}

impl Read {
    /// Whether the version failed, or nobody knows whether it did.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }
}

impl Changes {
    /// No change.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.events.is_empty() && self.error.is_none()
    }

    /// Adds a document that must not exist yet.
    pub fn insert<D: Document>(self, doc: &D) -> Self {
        self.put(doc, None)
    }

    /// Replaces a document that was read; the commit fails where it changed meanwhile.
    pub fn replace<D: Document>(self, stored: &Stored<D>) -> Self {
        self.put(&stored.doc, Some(stored.revision))
    }

    /// Removes a document that was read; the commit fails where it changed meanwhile.
    pub fn remove<D: Document>(self, stored: &Stored<D>) -> Self {
        self.write(D::COLLECTION, stored.doc.key(), Some(stored.revision), Effect::Remove)
    }

    /// Relies on a document being as it was read; the commit fails where it changed meanwhile.
    pub fn require<D: Document>(self, stored: &Stored<D>) -> Self {
        self.write(D::COLLECTION, stored.doc.key(), Some(stored.revision), Effect::Nothing)
    }

    /// Relies on a document not existing.
    pub fn require_absent<D: Document>(self, key: impl Into<String>) -> Self {
        self.write(D::COLLECTION, key.into(), None, Effect::Nothing)
    }

    /// Inserts the document where it was not read before, replaces it where it was.
    pub fn save<D: Document>(self, doc: &D, revision: Option<u64>) -> Self {
        self.put(doc, revision)
    }

    /// Publishes an event when, and only when, the rest is committed.
    pub fn publish<E: Event>(mut self, event: &E) -> Self {
        match serde_json::to_string(event) {
            Ok(data) => self.events.push(PlannedEvent { name: E::NAME, subject: event.subject(), data }),
            Err(error) => self.error = Some(StoreError::Unusable(error.to_string())),
        }
        self
    }

    /// Everything of both.
    pub fn and(mut self, other: Self) -> Self {
        self.error = self.error.or(other.error);
        self.events.extend(other.events);
        other.writes.into_iter().fold(self, Self::planned)
    }

    fn put<D: Document>(mut self, doc: &D, expect: Option<u64>) -> Self {
        match serde_json::to_vec(doc) {
            Ok(body) => {
                let index: Vec<IndexEntry> = doc.index_entries();
                self.write(D::COLLECTION, doc.key(), expect, Effect::Put { body: Arc::from(body), index })
            }
            Err(error) => {
                self.error = Some(StoreError::Unusable(error.to_string()));
                self
            }
        }
    }

    fn write(self, collection: &'static str, key: String, expect: Option<u64>, effect: Effect) -> Self {
        self.planned(PlannedWrite { collection, key, expect, effect })
    }

    fn planned(mut self, write: PlannedWrite) -> Self {
        if self.names(write.collection, &write.key) {
            let twice = format!("one change names {}/{} twice", write.collection, write.key);
            self.error = self.error.or(Some(StoreError::Unusable(twice)));
        }
        self.writes.push(write);
        self
    }

    fn names(&self, collection: &str, key: &str) -> bool {
        self.writes.iter().any(|write| write.collection == collection && write.key == key)
    }

    /// Relies on what was read on the way to this decision, where the decision does not say anything about it itself.
    pub(crate) fn relying_on(self, reads: &[Read]) -> Self {
        reads.iter().fold(self, |changes, read| {
            if changes.names(read.collection, &read.key) {
                return changes;
            }
            changes.write(read.collection, read.key.clone(), read.revision, Effect::Nothing)
        })
    }
}

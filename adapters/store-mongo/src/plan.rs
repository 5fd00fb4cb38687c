//! One commit as MongoDB will be told it: the documents as they will be stored, with the commit's own mark and its events.

use std::sync::Arc;

use bson::{Bson, Document, doc};
use cartwright_runtime::{Clock, Ids};
use cartwright_store::{Commit, Effect, StoreError, Write};

use crate::codec::own_fields;
use crate::outbox::{Outbox, stored};
use crate::space::{Space, Spaces};

/// MongoDB takes 16 MiB; a document needs room for its events.
const LARGEST: usize = 12 << 20;

/// What a commit does.
pub(crate) struct Plan {
    /// Names the commit in every document that it writes: whoever finds it there knows that it happened. Also the key of the
    /// document that carries its events, where no other does.
    pub(crate) id: String,
    pub(crate) steps: Vec<Step>,
    /// The events as they lie in an outbox.
    pub(crate) events: Vec<Document>,
    pub(crate) event_ids: Vec<String>,
    /// The step whose document carries the events, where one does.
    pub(crate) host: Option<usize>,
    /// Where events go that no document carries; absent where there can be none.
    pub(crate) outbox: Option<Arc<Space>>,
    /// Unsent events that a document may hold.
    pub(crate) most_unsent: usize,
}

/// What happens to one document.
pub(crate) struct Step {
    pub(crate) space: Arc<Space>,
    pub(crate) key: String,
    pub(crate) expect: Option<i64>,
    pub(crate) deed: Deed,
}

/// What is done to it.
pub(crate) enum Deed {
    /// It is this from now on, beside its outbox.
    Put(Document),
    /// It is gone.
    Remove,
    /// It was only relied on.
    Touch,
}

/// What plans need of the engine.
pub(crate) struct Planner<'a> {
    pub(crate) spaces: &'a Spaces,
    pub(crate) outbox: &'a Outbox,
    pub(crate) clock: &'a Clock,
    pub(crate) ids: &'a Ids,
    pub(crate) apart: i64,
    pub(crate) most_unsent: usize,
}

impl Planner<'_> {
    /// The plan of a commit.
    ///
    /// # Errors
    /// When a collection or a place was not declared, or a document cannot be stored.
    pub(crate) fn plan(&self, commit: &Commit) -> Result<Plan, StoreError> {
        let id = self.ids.uuid().simple().to_string();
        let steps = commit.writes.iter().map(|write| self.step(write, &id)).collect::<Result<Vec<_>, _>>()?;
        let events = commit.events.iter().map(|event| stored(event, self.outbox.tick(self.clock, self.apart)));
        let events = events.collect::<Result<Vec<_>, _>>()?;
        // Best the document that they are about, so that all its events lie in one list.
        let puts = || steps.iter().enumerate().filter(|(_, step)| matches!(step.deed, Deed::Put(_)));
        let about = |key: &str| commit.events.iter().any(|event| event.subject == key);
        let host = puts().find(|(_, step)| about(&step.key)).or_else(|| puts().next()).map(|(number, _)| number);
        let outbox = match (commit.events.first(), steps.first()) {
            (_, Some(step)) => step.space.outbox.clone(),
            (Some(event), None) => Some(self.spaces.outbox(&event.source)?),
            (None, None) => None,
        };
        let event_ids = commit.events.iter().map(|event| event.id.clone()).collect();
        Ok(Plan { id, steps, events, event_ids, host, outbox, most_unsent: self.most_unsent })
    }

    fn step(&self, write: &Write, commit: &str) -> Result<Step, StoreError> {
        let space = self.spaces.get(write.collection)?;
        let expect = write.expect.map(|revision| i64::try_from(revision).unwrap_or(i64::MAX));
        let deed = match &write.effect {
            Effect::Put { body, index } => {
                let fields = own_fields(body).map_err(|unfit| {
                    StoreError::Unusable(format!("{}/{} cannot be stored: {unfit}", write.collection, write.key))
                })?;
                if body.len() > LARGEST {
                    let what = format!("{}/{} is larger than {LARGEST} bytes", write.collection, write.key);
                    return Err(StoreError::Unusable(what));
                }
                let mut document = doc! { "_id": &write.key };
                document.extend(fields);
                document.insert("_rev", expect.unwrap_or(0).saturating_add(1));
                document.insert("_commit", commit);
                document.insert("_index", space.places(index)?);
                Deed::Put(document)
            }
            Effect::Remove => Deed::Remove,
            Effect::Nothing => Deed::Touch,
        };
        Ok(Step { space, key: write.key.clone(), expect, deed })
    }
}

impl Plan {
    /// Whether one write says it all.
    pub(crate) fn is_one_write(&self) -> bool {
        match &self.steps[..] {
            [] => true,
            [Step { deed: Deed::Put(_), .. }] => true,
            [Step { deed: Deed::Remove, expect: Some(_), .. }] => self.events.is_empty(),
            [_] | [_, _, ..] => false,
        }
    }

    /// The events that this step's document carries.
    pub(crate) fn carried_by(&self, number: usize) -> &[Document] {
        if self.host == Some(number) { &self.events } else { &[] }
    }

    /// The document that carries events for no other: this commit's, where it has no host, and those that removed documents
    /// left behind.
    pub(crate) fn own_carrier(&self, left_behind: Vec<Bson>) -> Option<Document> {
        let mut events = left_behind;
        if self.host.is_none() {
            events.extend(self.events.iter().cloned().map(Bson::Document));
        }
        (!events.is_empty()).then(|| doc! { "_id": &self.id, "_commit": &self.id, "_outbox": events })
    }

    /// Somebody else changed this step's document.
    pub(crate) fn conflict(&self, number: usize) -> StoreError {
        match self.steps.get(number).or(self.steps.first()) {
            Some(step) => StoreError::Conflict { collection: step.space.collection, key: step.key.clone() },
            None => StoreError::Busy("somebody else writes the same documents".to_owned()),
        }
    }
}

impl Step {
    /// Finds the document as it is expected; only for one that is.
    pub(crate) fn as_expected(&self) -> Document {
        doc! { "_id": &self.key, "_rev": self.expect.unwrap_or(0) }
    }

    /// The document to insert.
    pub(crate) fn new_document(&self, events: &[Document]) -> Document {
        let Deed::Put(document) = &self.deed else { return Document::new() };
        let mut document = document.clone();
        if !events.is_empty() {
            document.insert("_outbox", events);
        }
        document
    }

    /// Finds the document where it has room for `events` more, so that one that nobody can send from stays small.
    pub(crate) fn with_room(&self, events: usize, most: usize) -> Document {
        let mut filter = self.as_expected();
        if events > 0 {
            filter.insert(format!("_outbox.{}", most.saturating_sub(events)), doc! { "$exists": false });
        }
        filter
    }

    /// Replaces the whole document but its outbox, which grows by `events`.
    pub(crate) fn replacement(&self, events: &[Document]) -> Vec<Document> {
        let Deed::Put(document) = &self.deed else { return Vec::new() };
        let outbox = if events.is_empty() {
            Bson::from("$_outbox")
        } else {
            let before = doc! { "$ifNull": ["$_outbox", []] };
            Bson::from(doc! { "$concatArrays": [before, { "$literal": events }] })
        };
        // A literal: a service's text may look like an expression.
        let new = doc! { "$mergeObjects": [{ "$literal": document }, { "_outbox": outbox }] };
        vec![doc! { "$replaceWith": new }]
    }
}

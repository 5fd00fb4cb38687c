//! Events that were committed and are still to be sent.
//!
//! They lie in the `_outbox` of a document of their commit, so that one write commits both; events that no document carries
//! lie in a document of their own in the collection `outbox`. A partial index on the time of each list's first event finds
//! them; a document without events takes no room in it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bson::raw::{RawArray, RawDocument};
use bson::{Bson, Document, RawDocumentBuf, doc};
use cartwright_runtime::Clock;
use cartwright_store::{Bookmark, Collection, Envelope, StoreError};
use futures::stream::{self, StreamExt, TryStreamExt};
use mongodb::options::Hint;

use crate::codec::{json, object};
use crate::failure::of_read;
use crate::space::{FIRST_UNSENT, Space, Spaces, UNSENT_INDEX};

/// Collections that are asked at once.
const AT_ONCE: usize = 8;
/// How long the servers may work on one question.
const LONGEST: Duration = Duration::from_secs(3);
/// Places of events that are remembered, twice.
const REMEMBERED: usize = 50_000;
/// Events of different processes can have one time: so many more are read than are asked for.
const SAME_TIME: usize = 16;

/// A document that carries events.
type Carrier = (Collection, String);

/// Where events are, as far as this process has seen them committed or read them, and what time it is for them.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    last: Mutex<i64>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    recent: HashMap<String, Carrier>,
    older: HashMap<String, Carrier>,
}

/// Documents of one collection, and the events in them that are asked for.
#[derive(Debug, Default)]
struct Carriers {
    keys: Vec<String>,
    events: Vec<String>,
}

impl Outbox {
    /// A time for the next event, later than all that this process gave: millionths of a millisecond of the wall clock,
    /// the least of them as few as they are counted. `apart` keeps processes from giving the same.
    pub(crate) fn tick(&self, clock: &Clock, apart: i64) -> i64 {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock.now().millis().saturating_mul(1_000_000).saturating_add(apart.rem_euclid(1_000_000));
        *last = last.saturating_add(1).max(now);
        *last
    }

    pub(crate) fn remember(&self, ids: impl IntoIterator<Item = String>, collection: Collection, key: &str) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.recent.len() >= REMEMBERED {
            known.older = std::mem::take(&mut known.recent);
        }
        known.recent.extend(ids.into_iter().map(|id| (id, (collection, key.to_owned()))));
    }

    /// The documents that carry these events, and the events whose document is not known.
    fn whereabouts(&self, ids: Vec<String>) -> (HashMap<Collection, Carriers>, Vec<String>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut found, mut unknown) = (HashMap::<Collection, Carriers>::new(), Vec::new());
        for id in ids {
            match known.recent.remove(&id).or_else(|| known.older.remove(&id)) {
                Some((collection, key)) => {
                    let carriers = found.entry(collection).or_default();
                    carriers.keys.push(key);
                    carriers.events.push(id);
                }
                None => unknown.push(id),
            }
        }
        (found, unknown)
    }
}

/// An event as it lies in an outbox.
pub(crate) fn stored(event: &Envelope, seq: i64) -> Result<Document, StoreError> {
    let json = serde_json::to_vec(event).map_err(|error| StoreError::Unusable(error.to_string()))?;
    let mut stored = doc! { "seq": seq };
    stored.extend(object(&json)?);
    Ok(stored)
}

/// A document that carries unsent events.
struct Carried {
    carrier: Carrier,
    first: i64,
    events: Vec<Envelope>,
}

impl Carried {
    fn read(space: &Space, stored: &RawDocument) -> Result<Self, StoreError> {
        let unusable = |what: &dyn std::fmt::Display| {
            StoreError::Unusable(format!("the outbox of {} cannot be read: {what}", space.collection))
        };
        let key = stored.get_str("_id").map_err(|error| unusable(&error))?.to_owned();
        let list = stored.get_array("_outbox").map_err(|error| unusable(&error))?;
        let mut events = Vec::new();
        for item in list {
            let item = item.map_err(|error| unusable(&error))?;
            let event = item.as_document().ok_or_else(|| unusable(&"an event is no document"))?;
            events.push(serde_json::from_slice(&json(event)?).map_err(|error| unusable(&error))?);
        }
        Ok(Self { carrier: (space.collection, key), first: first_of(list), events })
    }

    /// Where its events stand in the outbox: by the time of the first, which stays while more are added.
    fn place(&self) -> String {
        let (collection, key) = &self.carrier;
        format!("{:020}/{collection}/{key}\0", self.first)
    }
}

fn first_of(list: &RawArray) -> i64 {
    list.get_document(0).and_then(|event| event.get_i64("seq")).unwrap_or(0)
}

/// What a bookmark says: the time, and the place of the document and of the event in its list, with its id.
struct Mark<'a> {
    first: i64,
    place: &'a str,
    event: &'a str,
}

impl<'a> Mark<'a> {
    fn of(bookmark: &'a Bookmark) -> Result<Option<Self>, StoreError> {
        if bookmark.0.is_empty() {
            return Ok(None);
        }
        let parts = bookmark.0.rfind('\0').map(|end| bookmark.0.split_at(end + 1));
        let mark = parts.and_then(|(place, rest)| {
            let first = place.split_once('/')?.0.parse().ok()?;
            Some(Self { first, place, event: rest.split_once('/')?.1 })
        });
        let strange = || StoreError::Unusable(format!("{:?} is not a place in this outbox", bookmark.0));
        mark.map(Some).ok_or_else(strange)
    }

    /// What of a document's events comes after it. An event that is not there any more says nothing: all of them.
    fn rest(&self, place: &str, events: &[Envelope]) -> usize {
        if place != self.place {
            return if place < self.place { events.len() } else { 0 };
        }
        events.iter().position(|event| event.id == self.event).map_or(0, |number| number + 1)
    }
}

/// Up to `limit` events after `after`, those of one document together and in their order, documents by their first event.
pub(crate) async fn unsent(
    spaces: &Spaces,
    outbox: &Outbox,
    after: &Bookmark,
    limit: usize,
) -> Result<Vec<(Bookmark, Envelope)>, StoreError> {
    let mark = Mark::of(after)?;
    let from = mark.as_ref().map_or(0, |mark| mark.first);
    let pages = stream::iter(spaces.all()).map(|space| carried(space, from, limit + SAME_TIME));
    let pages: Vec<Vec<Carried>> = pages.buffer_unordered(AT_ONCE).try_collect().await?;
    let mut carried: Vec<(String, Carried)> =
        pages.into_iter().flatten().map(|carried| (carried.place(), carried)).collect();
    carried.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut events = Vec::new();
    for (place, Carried { carrier: (collection, key), events: carried, .. }) in carried {
        let skipped = mark.as_ref().map_or(0, |mark| mark.rest(&place, &carried));
        let room = limit - events.len();
        outbox.remember(carried.iter().skip(skipped).take(room).map(|event| event.id.clone()), collection, &key);
        let places = carried.into_iter().enumerate().skip(skipped).take(room);
        events.extend(places.map(|(number, event)| (Bookmark(format!("{place}{number:06}/{}", event.id)), event)));
        if events.len() == limit {
            break;
        }
    }
    Ok(events)
}

/// One collection's documents with unsent events, from a time on, until they carry enough.
async fn carried(space: Arc<Space>, from: i64, enough: usize) -> Result<Vec<Carried>, StoreError> {
    let find = space.documents.find(doc! { FIRST_UNSENT: { "$gte": from } }).sort(doc! { FIRST_UNSENT: 1 });
    let find = find.hint(Hint::Name(UNSENT_INDEX.to_owned())).projection(doc! { "_outbox": 1 }).max_time(LONGEST);
    let limit = i64::try_from(enough).unwrap_or(i64::MAX);
    let mut cursor = find.limit(limit).await.map_err(of_read)?;
    let (mut found, mut count) = (Vec::new(), 0);
    while count < enough
        && let Some(stored) = cursor.try_next().await.map_err(of_read)?
    {
        let carried = Carried::read(&space, &stored)?;
        count += carried.events.len();
        found.push(carried);
    }
    Ok(found)
}

/// How many events are unsent; no more than `most` are counted.
pub(crate) async fn waiting(spaces: &Spaces, most: usize) -> Result<usize, StoreError> {
    let limit = i64::try_from(most).unwrap_or(i64::MAX).max(1);
    let counts = stream::iter(spaces.all()).map(|space| async move {
        let lists = [
            doc! { "$match": { FIRST_UNSENT: { "$gte": 0_i64 } } },
            doc! { "$limit": limit },
            doc! { "$group": { "_id": Bson::Null, "count": { "$sum": { "$size": "$_outbox" } } } },
        ];
        let ask = space.documents.aggregate(lists).hint(Hint::Name(UNSENT_INDEX.to_owned())).max_time(LONGEST);
        let counted = ask.await.map_err(of_read)?.try_next().await.map_err(of_read)?;
        let count = counted.map_or(0, |counted| counted.get_i32("count").unwrap_or(i32::MAX));
        Ok::<_, StoreError>(usize::try_from(count).unwrap_or(0))
    });
    let counts: Vec<usize> = counts.buffer_unordered(AT_ONCE).try_collect().await?;
    Ok(counts.into_iter().fold(0, usize::saturating_add).min(most))
}

/// Takes events out of the outbox, and waits until most nodes know: the outbox is read as most nodes have it, and would
/// otherwise give them again for a moment.
pub(crate) async fn sent(spaces: &Spaces, outbox: &Outbox, ids: Vec<String>) -> Result<(), StoreError> {
    let (known, unknown) = outbox.whereabouts(ids);
    let mut takings = Vec::new();
    for space in spaces.all() {
        if let Some(Carriers { keys, events }) = known.get(&space.collection) {
            takings.push((Arc::clone(&space), doc! { "_id": { "$in": distinct(keys) } }, events.clone()));
        }
        if !unknown.is_empty() {
            let anywhere = doc! { FIRST_UNSENT: { "$gte": 0_i64 }, "_outbox.id": { "$in": &unknown } };
            takings.push((space, anywhere, unknown.clone()));
        }
    }
    let takings = stream::iter(takings).map(|(space, carriers, ids)| take(space, carriers, ids));
    takings.buffer_unordered(AT_ONCE).try_collect().await
}

fn distinct(keys: &[String]) -> Vec<&str> {
    let keys: HashSet<&str> = keys.iter().map(String::as_str).collect();
    keys.into_iter().collect()
}

async fn take(space: Arc<Space>, carriers: Document, ids: Vec<String>) -> Result<(), StoreError> {
    let others =
        doc! { "$filter": { "input": "$_outbox", "cond": { "$not": { "$in": ["$$this.id", { "$literal": &ids }] } } } };
    let left = doc! {
        "$let": { "vars": { "left": others }, "in": { "$cond": [{ "$eq": ["$$left", []] }, "$$REMOVE", "$$left"] } }
    };
    let with_events = doc! { "$and": [carriers.clone(), { "_outbox": { "$exists": true } }] };
    let update = space.documents.update_many(with_events, vec![doc! { "$set": { "_outbox": left } }]);
    update.await.map_err(of_read)?;
    if space.outbox.is_none() {
        // What carries nothing else goes with its last event; nobody adds to such a document.
        let empty = match carriers.get("_id") {
            Some(keys) => doc! { "_id": keys, "_outbox": { "$exists": false } },
            None => doc! { "_outbox": { "$exists": false } },
        };
        space.documents.delete_many(empty).await.map_err(of_read)?;
    }
    Ok(())
}

/// The events of a document that is about to be removed.
pub(crate) fn left_behind(stored: &RawDocumentBuf) -> Result<Vec<Bson>, StoreError> {
    let Ok(list) = stored.get_array("_outbox") else { return Ok(Vec::new()) };
    let unusable = |error: &dyn std::fmt::Display| StoreError::Unusable(format!("an outbox cannot be read: {error}"));
    list.into_iter()
        .map(|item| Bson::try_from(item.map_err(|error| unusable(&error))?).map_err(|error| unusable(&error)))
        .collect()
}

//! A service's view of the database: typed documents in, `Changes` out.
//!
//! Promises that a service sees its own collections only, and that whoever decides in a lane on a version that is queued
//! but not yet durable is not acknowledged before the sync that covers both.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cartwright_runtime::{Clock, Ids};
use futures::future::BoxFuture;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use crate::changes::Read;
use crate::lanes::Lanes;
use crate::perform::{Acting, Underway};
use crate::{
    Backend, Changes, Collection, CollectionSpec, Commit, Document, Effect, Envelope, Index, IndexEntry, IndexValue,
    Lane, Order, Query, Row, StoreError, Stored, Write,
};

/// An open database, shared by all services of a process.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

struct Inner {
    backend: Arc<dyn Backend>,
    clock: Clock,
    ids: Ids,
    instance: String,
    prepared: Mutex<Vec<(Collection, CollectionSpec)>>,
    lanes: Lanes,
    queued: Mutex<Queued>,
    underway: Underway,
    watchers: Mutex<HashMap<Collection, Vec<Watcher>>>,
    outlet: Mutex<Option<mpsc::Sender<Vec<Envelope>>>>,
}

/// Versions that are queued for commit but not yet durable; only deciders in the lane of a document look here.
#[derive(Default)]
struct Queued {
    next_ticket: u64,
    versions: HashMap<(Collection, String), Version>,
}

/// A queued version. Versions of one document that build on each other share `broken`: when one of them fails, all that
/// come after it will, and nobody should build on them any more.
struct Version {
    ticket: u64,
    row: Option<Row>,
    broken: Arc<AtomicBool>,
}

impl Version {
    fn revision(&self) -> Option<u64> {
        self.row.as_ref().map(|row| row.revision)
    }

    fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }
}

impl Queued {
    /// The first document of `commit` that another version is queued of than it expects, or whose queued version was read
    /// and failed since. Revisions only count: where one failed, the next of that number is another version, and whoever
    /// read the first must not be taken for a reader of the second.
    fn in_vain(&self, commit: &Commit, scope: &'static str, reads: &[Read]) -> Option<StoreError> {
        let failed = reads.iter().find(|read| read.is_broken());
        if let Some(Read { collection, key, .. }) = failed {
            return Some(StoreError::Conflict { collection: Collection { scope, name: collection }, key: key.clone() });
        }
        if self.versions.is_empty() {
            return None;
        }
        let other = |write: &&Write| {
            let version = self.versions.get(&(write.collection, write.key.clone()));
            version.is_some_and(|version| !version.is_broken() && version.revision() != write.expect)
        };
        let outdated = commit.writes.iter().find(other)?;
        Some(StoreError::Conflict { collection: outdated.collection, key: outdated.key.clone() })
    }
}

/// Somebody who is told the keys that are written, and whether it was not told some.
struct Watcher {
    keys: mpsc::Sender<String>,
    missed: Arc<AtomicBool>,
}

/// What a decider sees beyond what is durable, and what of it was looked at.
struct View {
    lane: Lane,
    reads: Mutex<Vec<Read>>,
}

impl Database {
    /// A database on `backend`.
    pub fn new(backend: Arc<dyn Backend>, clock: Clock, ids: Ids) -> Self {
        let instance = ids.uuid().simple().to_string();
        Self {
            inner: Arc::new(Inner {
                backend,
                clock,
                ids,
                instance,
                prepared: Mutex::default(),
                lanes: Lanes::default(),
                queued: Mutex::default(),
                underway: Underway::default(),
                watchers: Mutex::default(),
                outlet: Mutex::default(),
            }),
        }
    }

    /// The part of the database that one service owns. Preparing it creates and verifies its collections.
    ///
    /// # Errors
    /// When the engine cannot prepare the collections; the text says how to mend it.
    pub async fn scoped(&self, scope: &'static str, collections: &[CollectionSpec]) -> Result<Store, StoreError> {
        let mut all = collections.to_vec();
        all.extend(crate::execute::own_collections());
        self.inner.backend.prepare(scope, &all).await?;
        let prepared = all.into_iter().map(|spec| (Collection { scope, name: spec.name }, spec));
        locked(&self.inner.prepared).extend(prepared);
        Ok(Store { inner: Arc::clone(&self.inner), scope, view: None })
    }

    /// The engine below.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.inner.backend
    }

    /// Every collection that was prepared through this database, in that order, for whoever moves all documents.
    pub fn collections(&self) -> Vec<(Collection, CollectionSpec)> {
        locked(&self.inner.prepared).clone()
    }

    /// Where committed events are announced from now on, as a hint: an event that does not fit is found in the outbox.
    pub fn announce_to(&self, outlet: mpsc::Sender<Vec<Envelope>>) {
        *locked(&self.inner.outlet) = Some(outlet);
    }
}

/// One service's documents. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
    scope: &'static str,
    view: Option<Arc<View>>,
}

impl Store {
    /// The document under `key`.
    ///
    /// # Errors
    /// When the store does not answer, or holds something that is not a `D`.
    pub async fn get<D: Document>(&self, key: impl AsRef<str>) -> Result<Option<Stored<D>>, StoreError> {
        let key = key.as_ref();
        let collection = self.collection(D::COLLECTION);
        if let Some(queued) = self.queued(collection, key) {
            return queued.as_ref().map(decode).transpose();
        }
        self.inner.backend.get(collection, key).await?.as_ref().map(decode).transpose()
    }

    /// A page of documents in the order of `index`, whose first parts equal `prefix`.
    pub fn find<D: Document>(&self, index: &'static str, prefix: Vec<IndexValue>) -> Find<D> {
        Find::new(self.clone(), Some(index), prefix)
    }

    /// All documents by key, a page at a time.
    pub fn scan<D: Document>(&self) -> Find<D> {
        Find::new(self.clone(), None, Vec::new())
    }

    /// The clock that this store stamps events with.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// The source of identifiers.
    pub fn ids(&self) -> &Ids {
        &self.inner.ids
    }

    /// The service that this store belongs to.
    pub const fn scope(&self) -> &'static str {
        self.scope
    }

    /// The identity of this process among those that share the database.
    pub fn instance(&self) -> &str {
        &self.inner.instance
    }

    /// Whether no other process can have this store open.
    pub fn exclusive(&self) -> bool {
        self.inner.backend.exclusive()
    }

    /// Whether the store can be written to.
    ///
    /// # Errors
    /// The reason why it cannot.
    pub async fn ready(&self) -> Result<(), StoreError> {
        self.inner.backend.ready().await
    }

    /// The keys of `D` that this process writes from now on, as a hint: what does not fit into the channel is dropped.
    pub fn watch<D: Document>(&self, room: usize) -> mpsc::Receiver<String> {
        self.watch_closely::<D>(room).0
    }

    /// The same, and a flag that is raised when keys may have been missed: the channel was full, or the one who committed
    /// did not wait to learn whether it happened.
    pub(crate) fn watch_closely<D: Document>(&self, room: usize) -> (mpsc::Receiver<String>, Arc<AtomicBool>) {
        let ((keys, receiver), missed) = (mpsc::channel(room), Arc::default());
        let watcher = Watcher { keys, missed: Arc::clone(&missed) };
        let mut watchers = locked(&self.inner.watchers);
        let ours = watchers.entry(self.collection(D::COLLECTION)).or_default();
        ours.retain(|watcher| !watcher.keys.is_closed());
        ours.push(watcher);
        (receiver, missed)
    }

    /// Commits `changes` and waits until they are durable.
    ///
    /// # Errors
    /// See [`StoreError`]; on `Conflict` and `NotUnique` nothing happened.
    pub async fn commit(&self, changes: Changes) -> Result<(), StoreError> {
        self.submit(changes, &[])?.await
    }

    /// Whether the engine keeps the order of commits, so that deciding may go on before they are durable.
    pub(crate) fn ordered(&self) -> bool {
        self.inner.backend.ordered()
    }

    pub(crate) fn backend(&self) -> &Arc<dyn Backend> {
        &self.inner.backend
    }

    pub(crate) fn lanes(&self) -> &Lanes {
        &self.inner.lanes
    }

    /// The right to act on a document, which one task of this process has at a time.
    pub(crate) fn enter<D: Document>(&self, key: &str) -> Option<Acting> {
        self.inner.underway.enter((self.collection(D::COLLECTION), key.to_owned()))
    }

    /// This store as whoever has the turn in `lane` sees it: the lane's documents as they are queued for commit.
    pub(crate) fn deciding(&self, lane: Lane) -> Self {
        let view = View { lane, reads: Mutex::default() };
        Self { inner: Arc::clone(&self.inner), scope: self.scope, view: Some(Arc::new(view)) }
    }

    /// The versions read through this view that may not be durable yet. A decision made on them must rely on them.
    pub(crate) fn queued_reads(&self) -> Vec<Read> {
        self.view.as_ref().map_or_else(Vec::new, |view| locked(&view.reads).clone())
    }

    /// Waits until everything queued so far is durable or has failed.
    pub(crate) async fn barrier(&self) -> Result<(), StoreError> {
        self.inner.backend.commit(Commit::default()).await
    }

    /// Queues `changes`, which were decided on the queued versions `reads`; what it gives resolves when they are durable.
    ///
    /// # Errors
    /// `Conflict` where it is known already that they cannot be committed; nothing was queued then.
    pub(crate) fn submit(
        &self,
        changes: Changes,
        reads: &[Read],
    ) -> Result<BoxFuture<'static, Result<(), StoreError>>, StoreError> {
        let commit = self.plan(changes)?;
        let noted;
        // Queueing and noting the queued versions is one step, so that a lane sees them in the order of the queue.
        let mut queued = locked(&self.inner.queued);
        if let Some(conflict) = queued.in_vain(&commit, self.scope, reads) {
            return Err(conflict);
        }
        let announcement = Announcement::of(&self.inner, &commit);
        noted = self.ordered().then(|| Noted::new(&self.inner, &mut queued, &commit));
        let durable = self.inner.backend.commit(commit);
        drop(queued);
        Ok(Box::pin(async move {
            let result = durable.await;
            if let Some(noted) = noted {
                noted.settle(result.is_ok());
            }
            announcement.settle(result.is_ok());
            result
        }))
    }

    fn collection(&self, name: &'static str) -> Collection {
        Collection { scope: self.scope, name }
    }

    fn queued(&self, collection: Collection, key: &str) -> Option<Option<Row>> {
        let view = self.view.as_ref().filter(|view| view.lane.has(collection.name, key))?;
        let queued = locked(&self.inner.queued);
        let version = queued.versions.get(&(collection, key.to_owned())).filter(|version| !version.is_broken())?;
        let read = Read {
            collection: collection.name,
            key: key.to_owned(),
            revision: version.revision(),
            broken: Arc::clone(&version.broken),
        };
        locked(&view.reads).push(read);
        Some(version.row.clone())
    }

    fn plan(&self, changes: Changes) -> Result<Commit, StoreError> {
        if let Some(error) = changes.error {
            return Err(error);
        }
        let writes = changes.writes.into_iter().map(|planned| Write {
            collection: self.collection(planned.collection),
            key: planned.key,
            expect: planned.expect,
            effect: planned.effect,
        });
        let time = self.inner.clock.now();
        let events = changes.events.into_iter().map(|planned| {
            let data = RawValue::from_string(planned.data).map_err(|error| StoreError::Unusable(error.to_string()))?;
            Ok(Envelope {
                specversion: "1.0".to_owned(),
                id: self.inner.ids.uuid().to_string(),
                source: self.scope.to_owned(),
                name: planned.name.to_owned(),
                subject: planned.subject,
                time,
                datacontenttype: "application/json".to_owned(),
                data: Arc::from(data),
                traceparent: None,
            })
        });
        Ok(Commit { writes: writes.collect(), events: events.collect::<Result<_, StoreError>>()? })
    }
}

fn decode<D: Document>(row: &Row) -> Result<Stored<D>, StoreError> {
    match serde_json::from_slice(&row.body) {
        Ok(doc) => Ok(Stored { doc, revision: row.revision }),
        Err(error) => Err(StoreError::Unusable(format!("{}/{}: {error}", D::COLLECTION, row.key))),
    }
}

/// What of a commit others in the process are told about once it is durable.
struct Announcement {
    inner: Arc<Inner>,
    written: Vec<(Collection, String)>,
    events: Vec<Envelope>,
}

impl Announcement {
    fn of(inner: &Arc<Inner>, commit: &Commit) -> Self {
        let put = commit.writes.iter().filter(|write| matches!(write.effect, Effect::Put { .. }));
        Self {
            inner: Arc::clone(inner),
            written: put.map(|write| (write.collection, write.key.clone())).collect(),
            events: commit.events.clone(),
        }
    }

    fn settle(mut self, durable: bool) {
        let (written, events) = (std::mem::take(&mut self.written), std::mem::take(&mut self.events));
        if !durable {
            return;
        }
        let watchers = locked(&self.inner.watchers);
        for (collection, key) in written {
            for watcher in watchers.get(&collection).into_iter().flatten() {
                if watcher.keys.try_send(key.clone()).is_err() {
                    watcher.missed.store(true, Ordering::Relaxed);
                }
            }
        }
        drop(watchers);
        if events.is_empty() {
            return;
        }
        if let Some(outlet) = &*locked(&self.inner.outlet) {
            // A full channel loses a hint only: the relay also reads the outbox.
            drop(outlet.try_send(events));
        }
    }
}

impl Drop for Announcement {
    /// Nobody waited to learn whether it happened: whoever watches these documents should look.
    fn drop(&mut self) {
        let watchers = locked(&self.inner.watchers);
        for (collection, _) in &self.written {
            for watcher in watchers.get(collection).into_iter().flatten() {
                watcher.missed.store(true, Ordering::Relaxed);
            }
        }
    }
}

/// The queued versions of one commit; forgotten when it is durable, has failed, or nobody waits for it any more.
struct Noted {
    inner: Arc<Inner>,
    ticket: u64,
    keys: Vec<((Collection, String), Arc<AtomicBool>)>,
    durable: bool,
}

impl Noted {
    fn new(inner: &Arc<Inner>, queued: &mut Queued, commit: &Commit) -> Self {
        queued.next_ticket += 1;
        let ticket = queued.next_ticket;
        let mut keys = Vec::with_capacity(commit.writes.len());
        for write in &commit.writes {
            let row = match &write.effect {
                Effect::Put { body, .. } => Some(Row {
                    key: write.key.clone(),
                    revision: write.expect.unwrap_or(0) + 1,
                    body: Arc::clone(body),
                }),
                Effect::Remove => None,
                Effect::Nothing => continue,
            };
            let key = (write.collection, write.key.clone());
            let before =
                queued.versions.get(&key).filter(|version| !version.is_broken() && version.revision() == write.expect);
            let broken = before.map_or_else(Arc::default, |version| Arc::clone(&version.broken));
            drop(queued.versions.insert(key.clone(), Version { ticket, row, broken: Arc::clone(&broken) }));
            keys.push((key, broken));
        }
        Self { inner: Arc::clone(inner), ticket, keys, durable: false }
    }

    fn settle(mut self, durable: bool) {
        self.durable = durable;
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        let mut queued = locked(&self.inner.queued);
        for (key, broken) in self.keys.drain(..) {
            // It failed, or nobody waits to learn whether it did.
            broken.fetch_or(!self.durable, Ordering::Relaxed);
            if queued.versions.get(&key).is_some_and(|version| version.ticket == self.ticket) {
                drop(queued.versions.remove(&key));
            }
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A page being asked for. Always sees durable documents only.
#[must_use = "ends with `page`"]
pub struct Find<D> {
    store: Store,
    index: Option<&'static str>,
    prefix: Vec<IndexValue>,
    from: Option<IndexValue>,
    below: Option<IndexValue>,
    order: Order,
    after: Option<(Vec<IndexValue>, String)>,
    document: PhantomData<fn() -> D>,
}

impl<D: Document> Find<D> {
    fn new(store: Store, index: Option<&'static str>, prefix: Vec<IndexValue>) -> Self {
        let order = Order::Ascending;
        Self { store, index, prefix, from: None, below: None, order, after: None, document: PhantomData }
    }

    /// Only where the part after the prefix is at least `least` (for key order: the key).
    pub fn from(mut self, least: impl Into<IndexValue>) -> Self {
        self.from = Some(least.into());
        self
    }

    /// Only where the part after the prefix is less than `bound` (for key order: the key).
    pub fn below(mut self, bound: impl Into<IndexValue>) -> Self {
        self.below = Some(bound.into());
        self
    }

    /// Greatest first.
    pub fn descending(mut self) -> Self {
        self.order = Order::Descending;
        self
    }

    /// Goes on after `last`, the last document of the page before.
    pub fn after(mut self, last: &D) -> Self {
        let values = self.index.map_or_else(Vec::new, |index| place_in(last, index).unwrap_or_default());
        self.after = Some((values, last.key()));
        self
    }

    /// The page: `limit` documents at most.
    ///
    /// # Errors
    /// When the store does not answer, or holds something that is not a `D`.
    pub async fn page(self, limit: usize) -> Result<Vec<Stored<D>>, StoreError> {
        let query = Query {
            collection: self.store.collection(D::COLLECTION),
            index: self.index,
            prefix: self.prefix,
            from: self.from,
            below: self.below,
            order: self.order,
            after: self.after,
            limit,
        };
        self.store.inner.backend.find(query).await?.iter().map(decode).collect()
    }

    /// Every document, read a page at a time. For jobs and checks, never for a request.
    ///
    /// # Errors
    /// When the store does not answer, or holds something that is not a `D`.
    pub async fn all(self) -> Result<Vec<Stored<D>>, StoreError> {
        const PAGE: usize = 500;
        let mut all: Vec<Stored<D>> = Vec::new();
        loop {
            let next = Self {
                store: self.store.clone(),
                prefix: self.prefix.clone(),
                from: self.from.clone(),
                below: self.below.clone(),
                after: self.after.clone(),
                ..self
            };
            let page = match all.last() {
                Some(last) => next.after(&last.doc).page(PAGE).await?,
                None => next.page(PAGE).await?,
            };
            let ended = page.len() < PAGE;
            all.extend(page);
            if ended {
                return Ok(all);
            }
        }
    }
}

fn place_in<D: Document>(doc: &D, index: &str) -> Option<Vec<IndexValue>> {
    doc.index_entries().into_iter().find(|entry| entry.index == index).map(|entry| entry.values)
}

/// Whether an entry has one value for each part of its index.
pub(crate) fn fits(index: &Index, entry: &IndexEntry) -> bool {
    index.name == entry.index && index.parts.len() == entry.values.len()
}

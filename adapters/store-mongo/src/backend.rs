//! The engine as the port sees it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bson::{RawDocumentBuf, doc};
use cartwright_runtime::{Clock, Ids, Stopwatch, Tasks};
use cartwright_store::{Backend, Bookmark, Collection, CollectionSpec, Commit, Envelope, Query, Row, StoreError};
use futures::future::BoxFuture;
use futures::{FutureExt, TryStreamExt};
use mongodb::options::Hint;

use crate::calls::Calls;
use crate::codec::own_json;
use crate::commit::{PATIENCE, commit};
use crate::failure::of_read;
use crate::open::{Databases, OpenError, Options, Target};
use crate::outbox::{self, Outbox};
use crate::page::Page;
use crate::plan::Planner;
use crate::prepare::prepare;
use crate::space::{Space, Spaces};

/// How long a caller waits for documents.
const READ: Duration = Duration::from_secs(4);
/// How long the servers may work on them.
const LONGEST: Duration = Duration::from_secs(3);
/// How long preparing a service may take: indexes are built meanwhile.
const PREPARATION: Duration = Duration::from_secs(300);
/// How long a look at the servers' health is good.
const HEALTH: Duration = Duration::from_secs(1);
/// How long it may take. Longer than others wait for an answer about it: a busy machine is not taken for a dead one.
const LOOK: Duration = Duration::from_millis(1_500);
/// How long leaving may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// Open databases, shared with other processes. Cheap to clone; clones are one handle.
#[derive(Clone)]
pub struct MongoBackend {
    inner: Arc<Inner>,
}

struct Inner {
    databases: Databases,
    spaces: Spaces,
    outbox: Outbox,
    clock: Clock,
    ids: Ids,
    calls: Calls,
    /// Keeps this process's event times apart from others'.
    apart: i64,
    unsent_events: usize,
    health: Mutex<Option<(Stopwatch, Result<(), StoreError>)>>,
}

impl MongoBackend {
    /// Opens the databases at `target`. Its calls run as `tasks`, so a drain waits for them.
    ///
    /// # Errors
    /// A sentence that says how to mend it: see [`OpenError`].
    pub async fn open(target: Target, clock: Clock, tasks: Tasks, options: Options) -> Result<Self, OpenError> {
        let databases = Databases::open(&target, (&clock, &tasks), &options).await?;
        let ids = Ids::random(clock.clone());
        let [a, b, c, d] = ids.bytes();
        Ok(Self {
            inner: Arc::new(Inner {
                databases,
                spaces: Spaces::default(),
                outbox: Outbox::default(),
                calls: Calls::new(clock.clone(), tasks, options.calls),
                clock,
                ids,
                apart: i64::from(u32::from_be_bytes([a, b, c, d])),
                unsent_events: options.unsent_events.max(1),
                health: Mutex::default(),
            }),
        })
    }

    /// Ends this handle: every later call is refused. What is under way goes on to its end.
    pub fn close(&self) {
        self.inner.calls.close();
    }

    /// Ends this handle and its connections, before the runtime ends: what the driver does by itself after its last handle
    /// is gone would panic in one that does. Gives up after a moment, because servers that are away say no farewell.
    pub async fn leave(&self) {
        self.close();
        let farewells = self.inner.databases.clients.iter().map(|client| client.clone().shutdown().immediate(true));
        let all = futures::future::join_all(farewells.map(std::future::IntoFuture::into_future));
        if self.inner.clock.timeout(FAREWELL, all).await.is_none() {
            tracing::debug!("MongoDB was left without a farewell");
        }
    }

    /// What `call` gives, which works on the engine in a task of its own.
    async fn call<T, F>(&self, limit: Duration, call: impl FnOnce(Arc<Inner>) -> F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        self.inner.calls.run(limit, call(Arc::clone(&self.inner))).await
    }
}

impl Inner {
    async fn commit(&self, planned: &Commit) -> Result<(), StoreError> {
        let planner = Planner {
            spaces: &self.spaces,
            outbox: &self.outbox,
            clock: &self.clock,
            ids: &self.ids,
            apart: self.apart,
            most_unsent: self.unsent_events,
        };
        let plan = planner.plan(planned)?;
        commit(&plan, &self.outbox, &self.clock, &self.ids).await
    }

    async fn get(&self, collection: Collection, key: &str) -> Result<Option<Row>, StoreError> {
        let space = self.spaces.get(collection)?;
        let found = space.documents.find_one(doc! { "_id": key }).projection(doc! { "_outbox": 0, "_index": 0 });
        let found = found.max_time(LONGEST).await.map_err(of_read)?;
        found.as_ref().map(|stored| row(&space, stored)).transpose()
    }

    async fn find(&self, query: &Query) -> Result<Vec<Row>, StoreError> {
        let space = self.spaces.get(query.collection)?;
        let Some(page) = Page::of(&space, query)?.filter(|_| query.limit > 0) else { return Ok(Vec::new()) };
        let mut find = space.documents.find(page.filter).sort(page.sort).projection(doc! { "_outbox": 0, "_index": 0 });
        if let Some((index, least, end)) = page.range {
            find = find.hint(Hint::Name(index)).min(least).max(end);
        }
        find = find.limit(i64::try_from(query.limit).unwrap_or(i64::MAX)).max_time(LONGEST);
        let found: Vec<RawDocumentBuf> = find.await.map_err(of_read)?.try_collect().await.map_err(of_read)?;
        found.iter().map(|stored| row(&space, stored)).collect()
    }

    async fn look(&self) -> Result<(), StoreError> {
        for client in &self.databases.clients {
            let hello = client.database("admin").run_command(doc! { "hello": 1 }).await.map_err(of_read)?;
            if !hello.get_bool("isWritablePrimary").unwrap_or(false) {
                return Err(StoreError::Unavailable("MongoDB has no primary".to_owned()));
            }
        }
        Ok(())
    }

    fn known_health(&self) -> Option<Result<(), StoreError>> {
        let health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        health.as_ref().filter(|(watch, _)| watch.elapsed() < HEALTH).map(|(_, health)| health.clone())
    }
}

fn row(space: &Space, stored: &RawDocumentBuf) -> Result<Row, StoreError> {
    let unusable =
        |what: &dyn std::fmt::Display| StoreError::Unusable(format!("{} cannot be read: {what}", space.collection));
    let key = stored.get_str("_id").map_err(|error| unusable(&error))?.to_owned();
    let revision = stored.get_i64("_rev").map_err(|error| unusable(&format!("{key}: {error}")))?;
    let body = own_json(stored).map_err(|error| unusable(&format!("{key}: {error}")))?;
    Ok(Row { key, revision: revision.unsigned_abs(), body: Arc::from(body) })
}

#[async_trait]
impl Backend for MongoBackend {
    async fn prepare(&self, scope: &'static str, collections: &[CollectionSpec]) -> Result<(), StoreError> {
        let specs = collections.to_vec();
        let prepared = self.call(PREPARATION, |inner| async move {
            let spaces = prepare(inner.databases.of(scope), scope, &specs, &inner.clock, &inner.ids).await?;
            inner.spaces.add(spaces);
            Ok(())
        });
        prepared.await
    }

    async fn get(&self, collection: Collection, key: &str) -> Result<Option<Row>, StoreError> {
        let key = key.to_owned();
        self.call(READ, |inner| async move { inner.get(collection, &key).await }).await
    }

    async fn find(&self, query: Query) -> Result<Vec<Row>, StoreError> {
        self.call(READ, |inner| async move { inner.find(&query).await }).await
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'static, Result<(), StoreError>> {
        let backend = self.clone();
        async move { backend.call(PATIENCE, |inner| async move { inner.commit(&commit).await }).await }.boxed()
    }

    async fn unsent(&self, after: &Bookmark, limit: usize) -> Result<Vec<(Bookmark, Envelope)>, StoreError> {
        let after = after.clone();
        self.call(READ, |inner| async move { outbox::unsent(&inner.spaces, &inner.outbox, &after, limit).await }).await
    }

    async fn waiting(&self, most: usize) -> Result<usize, StoreError> {
        self.call(READ, |inner| async move { outbox::waiting(&inner.spaces, most).await }).await
    }

    async fn sent(&self, ids: Vec<String>) -> Result<(), StoreError> {
        self.call(READ, |inner| async move { outbox::sent(&inner.spaces, &inner.outbox, ids).await }).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        if let Some(known) = self.inner.known_health() {
            return known;
        }
        let health = self.call(LOOK, |inner| async move { inner.look().await }).await;
        let seen = (self.inner.clock.stopwatch(), health.clone());
        *self.inner.health.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        health
    }

    fn ordered(&self) -> bool {
        false
    }

    fn exclusive(&self) -> bool {
        false
    }
}

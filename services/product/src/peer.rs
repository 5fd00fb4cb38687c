//! Product as its peers ask it: snapshots of products, from a cache.
//!
//! Where product runs in this process, a snapshot that it changed is never given again once the change was acknowledged.
//! What another process changed is forgotten at a hint, and given for as long as the settings say at most where the hint is
//! late or lost. The cache holds [`ROOM`] products at most.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cartwright_bus::{Broadcast, Hints};
use cartwright_contracts::{Catalogue, PeerError, ProductSnapshot};
use cartwright_runtime::{Clock, Stopwatch, Tasks};
use cartwright_store::{Store, StoreError};
use cartwright_vocabulary::ProductId;
use futures::{FutureExt as _, future};
use tokio::sync::mpsc;

use crate::domain::Product;

/// How long a snapshot may be given where no other process can have changed the product.
const ALONE: Duration = Duration::from_secs(60);
/// Snapshots kept.
const ROOM: usize = 10_000;
/// Hints of changes that may wait until the next question.
const HINTS: usize = 1024;

/// The topic on which product hints that any product changed.
const ANY_PRODUCT: &str = "any-product";

/// Product in this process, for its peers. Opens its own watch on the store, so one is enough for a process.
pub fn peer(store: Store, fresh_for: Duration) -> Arc<dyn Catalogue> {
    let (clock, changed) = (store.clock().clone(), store.watch::<Product>(HINTS));
    let fresh_for = if store.exclusive() { ALONE } else { fresh_for };
    Arc::new(CachedCatalogue::new(Arc::new(LocalCatalogue(store)), fresh_for, clock, News::Keys(changed)))
}

/// Product in other processes, asked again about a product after `fresh_for`. `broadcast` reaches them.
pub fn cached_peer(
    remote: Arc<dyn Catalogue>,
    fresh_for: Duration,
    clock: Clock,
    broadcast: &Broadcast,
) -> Arc<dyn Catalogue> {
    Arc::new(CachedCatalogue::new(remote, fresh_for, clock, News::Hints(broadcast.listen(ANY_PRODUCT))))
}

/// Hints, each time this process changed products, that some changed, until the program stops.
pub(crate) async fn announce_changes(store: Store, broadcast: Broadcast, tasks: Tasks) {
    let mut changed = store.watch::<Product>(HINTS);
    loop {
        tokio::select! {
            () = tasks.stopped() => return,
            Some(_) = changed.recv() => broadcast.hint(ANY_PRODUCT),
        }
        // A burst is one hint: whoever hears it forgets everything.
        while changed.try_recv().is_ok() {}
    }
}

struct CachedCatalogue {
    source: Arc<dyn Catalogue>,
    clock: Clock,
    cache: Mutex<Cache>,
}

/// How the cache learns that a product changed.
enum News {
    /// The keys that this process wrote.
    Keys(mpsc::Receiver<String>),
    /// That any process wrote one.
    Hints(Hints),
}

struct Cache {
    news: News,
    /// How long a snapshot may be given.
    fresh_for: Duration,
    /// Counts what was invalidated, so that a read that a change overtook is not kept.
    changes: u64,
    snapshots: HashMap<ProductId, (ProductSnapshot, Stopwatch)>,
}

impl Cache {
    /// Forgets what changed. A commit leaves its hint before it is acknowledged, so nothing acknowledged is missed:
    /// unless the channel was full, and then at least [`HINTS`] hints are read here and everything is forgotten.
    fn forget_changed(&mut self) {
        let changed = match &mut self.news {
            News::Keys(changed) => changed,
            News::Hints(hints) => {
                if hints.next().now_or_never().is_some() {
                    self.changes += 1;
                    self.snapshots.clear();
                }
                return;
            }
        };
        let mut read = 0;
        while let Ok(key) = changed.try_recv() {
            read += 1;
            self.changes += 1;
            if let Ok(id) = key.parse() {
                self.snapshots.remove(&id);
            }
        }
        if read >= HINTS {
            self.snapshots.clear();
        }
    }

    fn get(&self, id: ProductId) -> Option<ProductSnapshot> {
        let (snapshot, age) = self.snapshots.get(&id)?;
        (age.elapsed() < self.fresh_for).then(|| snapshot.clone())
    }

    fn keep(&mut self, read: Vec<(ProductSnapshot, Stopwatch)>) {
        if self.snapshots.len() + read.len() > ROOM {
            let fresh_for = self.fresh_for;
            self.snapshots.retain(|_, (_, age)| age.elapsed() < fresh_for);
        }
        if self.snapshots.len() + read.len() > ROOM {
            self.snapshots.clear();
        }
        self.snapshots.extend(read.into_iter().take(ROOM).map(|(snapshot, age)| (snapshot.id, (snapshot, age))));
    }
}

impl CachedCatalogue {
    fn new(source: Arc<dyn Catalogue>, fresh_for: Duration, clock: Clock, news: News) -> Self {
        let cache = Cache { news, fresh_for, changes: 0, snapshots: HashMap::new() };
        Self { source, clock, cache: Mutex::new(cache) }
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read(&self, ids: Vec<ProductId>) -> Result<Vec<(ProductSnapshot, Stopwatch)>, PeerError> {
        let age = self.clock.stopwatch();
        let found = self.source.products(&ids).await?;
        Ok(found.into_iter().map(|snapshot| (snapshot, age)).collect())
    }
}

/// Product's own documents.
struct LocalCatalogue(Store);

#[async_trait]
impl Catalogue for LocalCatalogue {
    async fn products(&self, ids: &[ProductId]) -> Result<Vec<ProductSnapshot>, PeerError> {
        let reads = ids.iter().map(|id| self.0.get::<Product>(id.to_string()));
        let found =
            future::try_join_all(reads).await.map_err(|error: StoreError| PeerError::store("product", &error))?;
        Ok(found.into_iter().flatten().map(|stored| stored.doc.snapshot()).collect())
    }
}

#[async_trait]
impl Catalogue for CachedCatalogue {
    async fn products(&self, ids: &[ProductId]) -> Result<Vec<ProductSnapshot>, PeerError> {
        let mut found = Vec::with_capacity(ids.len());
        let mut missing = Vec::new();
        let before = {
            let mut cache = self.cache();
            cache.forget_changed();
            for id in ids {
                match cache.get(*id) {
                    Some(snapshot) => found.push(snapshot),
                    None => missing.push(*id),
                }
            }
            cache.changes
        };
        if missing.is_empty() {
            return Ok(found);
        }
        let read = self.read(missing).await?;
        found.extend(read.iter().map(|(snapshot, _)| snapshot.clone()));
        let mut cache = self.cache();
        cache.forget_changed();
        if cache.changes == before {
            cache.keep(read);
        }
        Ok(found)
    }
}

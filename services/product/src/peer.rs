//! Product as its peers ask it: snapshots of products, from a cache that is exact in this process.
//!
//! A snapshot that was changed by this process is never given again once the change was acknowledged; one changed by
//! another process is given for [`FRESH`] at most. The cache holds [`ROOM`] products at most.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cartwright_contracts::{Catalogue, PeerError, ProductSnapshot};
use cartwright_runtime::Stopwatch;
use cartwright_store::{Store, StoreError};
use cartwright_vocabulary::ProductId;
use futures::future;
use tokio::sync::mpsc;

use crate::domain::Product;

/// How long a snapshot may be given without asking the store: what bounds news from other processes.
const FRESH: Duration = Duration::from_secs(2);
/// Snapshots kept.
const ROOM: usize = 10_000;
/// Hints of changes that may wait until the next question.
const HINTS: usize = 1024;

/// Product in this process, for its peers. Opens its own watch on the store, so one is enough for a process.
pub fn peer(store: Store) -> Arc<dyn Catalogue> {
    let changed = store.watch::<Product>(HINTS);
    Arc::new(LocalCatalogue { store, cache: Mutex::new(Cache { changed, changes: 0, snapshots: HashMap::new() }) })
}

struct LocalCatalogue {
    store: Store,
    cache: Mutex<Cache>,
}

struct Cache {
    changed: mpsc::Receiver<String>,
    /// Counts what was invalidated, so that a read that a change overtook is not kept.
    changes: u64,
    snapshots: HashMap<ProductId, (ProductSnapshot, Stopwatch)>,
}

impl Cache {
    /// Forgets what changed. A commit leaves its hint before it is acknowledged, so nothing acknowledged is missed:
    /// unless the channel was full, and then at least [`HINTS`] hints are read here and everything is forgotten.
    fn forget_changed(&mut self) {
        let mut read = 0;
        while let Ok(key) = self.changed.try_recv() {
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
        (age.elapsed() < FRESH).then(|| snapshot.clone())
    }

    fn keep(&mut self, read: Vec<(ProductSnapshot, Stopwatch)>) {
        if self.snapshots.len() + read.len() > ROOM {
            self.snapshots.retain(|_, (_, age)| age.elapsed() < FRESH);
        }
        if self.snapshots.len() + read.len() > ROOM {
            self.snapshots.clear();
        }
        self.snapshots.extend(read.into_iter().take(ROOM).map(|(snapshot, age)| (snapshot.id, (snapshot, age))));
    }
}

impl LocalCatalogue {
    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read(&self, ids: Vec<ProductId>) -> Result<Vec<(ProductSnapshot, Stopwatch)>, StoreError> {
        let reads = ids.into_iter().map(|id| async move {
            let age = self.store.clock().stopwatch();
            let stored = self.store.get::<Product>(id.to_string()).await?;
            Ok(stored.map(|stored| (stored.doc.snapshot(), age)))
        });
        Ok(future::try_join_all(reads).await?.into_iter().flatten().collect())
    }
}

#[async_trait]
impl Catalogue for LocalCatalogue {
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
        let read = self.read(missing).await.map_err(|error| PeerError::store("product", &error))?;
        found.extend(read.iter().map(|(snapshot, _)| snapshot.clone()));
        let mut cache = self.cache();
        cache.forget_changed();
        if cache.changes == before {
            cache.keep(read);
        }
        Ok(found)
    }
}

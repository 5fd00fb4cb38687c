//! Keeps the index as the store is.
//!
//! At the start everything in the store is compared with what the index knows, so an index that is missing, or older or
//! newer than the store, mends itself. Then writes of this process are taken over within a moment, and those of other
//! processes when the tail of the changes is next read.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use cartwright_contracts::StockStatus;
use cartwright_runtime::{Tasks, Time};
use cartwright_store::{Store, StoreError, Stored};
use cartwright_vocabulary::ProductId;
use tokio::sync::mpsc;

use super::SearchIndex;
use super::index::{IndexChange, Known};
use crate::documents;
use crate::domain::{Product, Shelf};

/// How often the tail of the changes is read.
const POLL: Duration = Duration::from_secs(1);
/// How far back the tail begins: a change is found although its commit took so long, or its writer's clock is so late.
const OVERLAP: Duration = Duration::from_secs(5);
/// How long writes are gathered, so that a burst of them is one batch.
const GATHER: Duration = Duration::from_millis(50);
/// The pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);
/// Hints that may wait.
const HINTS: usize = 4096;
/// Products of one batch.
const BATCH: usize = 500;

/// Something that keeps the index from being as the store is.
#[derive(Debug, thiserror::Error)]
enum Behind {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Index(#[from] tantivy::TantivyError),
    #[error("a batch was not finished: {0}")]
    Batch(#[from] tokio::task::JoinError),
}

/// Keeps the index up to date until the program stops.
pub(crate) async fn keep_up(store: Store, index: Arc<SearchIndex>, tasks: Tasks) {
    let (products, shelves) = (store.watch::<Product>(HINTS), store.watch::<Shelf>(HINTS));
    let mut indexer = Indexer { store, index, tasks, known: Known::new(), since: Time::from_millis(0) };
    if indexer.start().await {
        indexer.follow(products, shelves).await;
    }
}

struct Indexer {
    store: Store,
    index: Arc<SearchIndex>,
    tasks: Tasks,
    known: Known,
    since: Time,
}

impl Indexer {
    /// Compares everything until it succeeds; false where the program stops first.
    async fn start(&mut self) -> bool {
        while let Err(error) = self.compare_all().await {
            tracing::warn!(%error, "the search index is not up to date; it is compared again");
            tokio::select! {
                () = self.tasks.stopped() => return false,
                () = self.store.clock().pause(PAUSE) => {}
            }
        }
        true
    }

    async fn follow(&mut self, mut products: mpsc::Receiver<String>, mut shelves: mpsc::Receiver<String>) {
        let (tasks, clock) = (self.tasks.clone(), self.store.clock().clone());
        let mut poll = Box::pin(clock.sleep(POLL));
        loop {
            let mut written = HashSet::new();
            let mut tail = false;
            tokio::select! {
                () = tasks.stopped() => return,
                Some(key) = products.recv() => { written.insert(key); }
                Some(key) = shelves.recv() => { written.insert(key); }
                () = &mut poll => {
                    tail = true;
                    poll.set(clock.sleep(POLL));
                }
            }
            if !written.is_empty() {
                clock.pause(GATHER).await;
            }
            written.extend(std::iter::from_fn(|| products.try_recv().ok()).take(HINTS));
            written.extend(std::iter::from_fn(|| shelves.try_recv().ok()).take(HINTS));
            // What a failure leaves undone is found again: by the tail, or by comparing everything.
            let done = match self.take_over(written).await {
                Ok(()) if tail => self.read_tail().await,
                result => result,
            };
            if let Err(error) = done {
                tracing::warn!(%error, "the search index fell behind; it is compared with the store");
                if !self.start().await {
                    return;
                }
            }
        }
    }

    /// Takes over the products with these keys, as they and their shelves are now.
    async fn take_over(&mut self, keys: HashSet<String>) -> Result<(), Behind> {
        let mut changes = Vec::new();
        for id in keys.iter().filter_map(|key| key.parse::<ProductId>().ok()) {
            if let Some(product) = self.store.get::<Product>(id.to_string()).await? {
                let stock = documents::shelf(&self.store, id).await?.status();
                self.note(product.doc, stock, &mut changes);
            }
        }
        self.apply(changes).await
    }

    /// Takes over what any process changed since the tail was last read.
    async fn read_tail(&mut self) -> Result<(), Behind> {
        let now = self.store.clock().now();
        let products = documents::changed_since(&self.store, self.since).await?;
        let shelves = documents::flipped_since(&self.store, self.since).await?;
        let flipped = shelves.iter().filter(|stored| {
            let shelf = &stored.doc;
            self.known.get(&shelf.product).is_some_and(|(_, stock)| *stock != shelf.status())
        });
        let fresh = products
            .iter()
            .filter(|stored| self.known.get(&stored.doc.id).is_none_or(|(version, _)| *version != stored.doc.version));
        let keys = flipped.map(|it| it.doc.product.to_string()).chain(fresh.map(|it| it.doc.id.to_string()));
        self.take_over(keys.collect()).await?;
        self.since = now.minus(OVERLAP);
        Ok(())
    }

    /// Compares the whole store with what the index holds.
    async fn compare_all(&mut self) -> Result<(), Behind> {
        let started = self.store.clock().now();
        let index = Arc::clone(&self.index);
        self.known = self.tasks.blocking(move || index.known()).await??;
        let mut gone: HashSet<ProductId> = self.known.keys().copied().collect();
        let mut last: Option<Stored<Product>> = None;
        loop {
            let scan = self.store.scan::<Product>();
            let page = match &last {
                Some(last) => scan.after(&last.doc).page(BATCH).await?,
                None => scan.page(BATCH).await?,
            };
            let shelves = self.shelves_of(&page).await?;
            let mut changes = Vec::new();
            for Stored { doc, .. } in page.iter().cloned() {
                gone.remove(&doc.id);
                let stock = shelves.get(&doc.id).copied().unwrap_or(StockStatus::OutOfStock);
                self.note(doc, stock, &mut changes);
            }
            self.apply(changes).await?;
            let ended = page.len() < BATCH;
            last = page.into_iter().next_back();
            if ended {
                break;
            }
        }
        self.known.retain(|id, _| !gone.contains(id));
        self.apply(gone.into_iter().map(IndexChange::Remove).collect()).await?;
        self.since = started.minus(OVERLAP);
        Ok(())
    }

    /// The words for the availability of a page of products, which stand in the order of their keys.
    async fn shelves_of(&self, page: &[Stored<Product>]) -> Result<HashMap<ProductId, StockStatus>, StoreError> {
        let (Some(first), Some(last)) = (page.first(), page.last()) else { return Ok(HashMap::new()) };
        let scan = self.store.scan::<Shelf>().from(first.doc.id.to_string()).below(format!("{}~", last.doc.id));
        let shelves = scan.all().await?;
        Ok(shelves.into_iter().map(|stored| (stored.doc.product, stored.doc.status())).collect())
    }

    /// Adds what the index does not know yet to `changes`.
    fn note(&mut self, product: Product, stock: StockStatus, changes: &mut Vec<IndexChange>) {
        let now = (product.version, stock);
        if self.known.insert(product.id, now) != Some(now) {
            changes.push(IndexChange::Put(Box::new(product), stock));
        }
    }

    async fn apply(&self, changes: Vec<IndexChange>) -> Result<(), Behind> {
        if changes.is_empty() {
            return Ok(());
        }
        let index = Arc::clone(&self.index);
        Ok(self.tasks.blocking(move || index.apply(changes)).await??)
    }
}

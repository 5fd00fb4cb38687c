//! Faults: a store and a provider that fail once, at a chosen interaction, before or after it took effect.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use cartwright_payment::{PaymentProvider, ProviderError, Standing};
use cartwright_store::{Backend, Bookmark, Collection, CollectionSpec, Commit, Envelope, Query, Row, StoreError};
use cartwright_vocabulary::{Money, PaymentId, RefundId};
use futures::FutureExt as _;
use futures::future::{self, BoxFuture};

/// Where one fault strikes: at the `place`th interaction after it was armed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which interaction, from 0.
    pub place: u64,
    /// What happens to it.
    pub strike: Strike,
}

/// What a fault does to the interaction that it strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strike {
    /// It does not happen.
    Before,
    /// It happens, and only the answer is lost.
    After,
    /// It happens, and the process ends before anybody learns of it: nothing that follows happens.
    Crash,
}

impl Strike {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Before, Self::After, Self::Crash];
}

/// When the next fault strikes.
#[derive(Clone, Default)]
struct Trap(Arc<Mutex<Option<Fault>>>);

impl Trap {
    fn arm(&self, fault: Fault) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
    }

    fn is_armed(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Counts one interaction; the strike where the fault strikes this one.
    fn step(&self) -> Option<Strike> {
        let mut armed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = armed.as_mut()?;
        match fault.place.checked_sub(1) {
            Some(left) => {
                fault.place = left;
                None
            }
            None => armed.take().map(|fault| fault.strike),
        }
    }
}

/// A store that counts its commits and loses one of them, or the answer to it, when told to.
#[derive(Clone)]
pub struct FaultyBackend {
    inner: Arc<dyn Backend>,
    commits: Arc<AtomicU64>,
    trap: Trap,
    dead: Arc<AtomicBool>,
}

impl FaultyBackend {
    /// Wraps a working store.
    pub fn new(inner: Arc<dyn Backend>) -> Self {
        Self { inner, commits: Arc::default(), trap: Trap::default(), dead: Arc::default() }
    }

    /// Another handle on the same documents: both count, fail and end together.
    #[must_use]
    pub fn beside(&self, inner: Arc<dyn Backend>) -> Self {
        Self { inner, ..self.clone() }
    }

    /// Arms one fault, counted from now on.
    pub fn arm(&self, fault: Fault) {
        self.trap.arm(fault);
    }

    /// Whether the fault has not struck yet.
    pub fn is_armed(&self) -> bool {
        self.trap.is_armed()
    }

    /// Whether the process is to be thought of as gone.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// Commits so far.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::SeqCst)
    }
}

fn lost() -> StoreError {
    StoreError::Unavailable("the connection was cut (a fault of the test)".to_owned())
}

#[async_trait]
impl Backend for FaultyBackend {
    async fn prepare(&self, scope: &'static str, collections: &[CollectionSpec]) -> Result<(), StoreError> {
        self.inner.prepare(scope, collections).await
    }

    async fn get(&self, collection: Collection, key: &str) -> Result<Option<Row>, StoreError> {
        self.inner.get(collection, key).await
    }

    async fn find(&self, query: Query) -> Result<Vec<Row>, StoreError> {
        self.inner.find(query).await
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'static, Result<(), StoreError>> {
        if commit.writes.is_empty() && commit.events.is_empty() {
            return self.inner.commit(commit);
        }
        if self.is_dead() {
            return future::ready(Err(lost())).boxed();
        }
        self.commits.fetch_add(1, Ordering::SeqCst);
        let strike = self.trap.step();
        if strike == Some(Strike::Crash) {
            self.dead.store(true, Ordering::SeqCst);
        }
        match strike {
            None => self.inner.commit(commit),
            Some(Strike::Before) => future::ready(Err(lost())).boxed(),
            Some(Strike::After | Strike::Crash) => {
                self.inner.commit(commit).map(|result| result.and_then(|()| Err(lost()))).boxed()
            }
        }
    }

    async fn unsent(&self, after: &Bookmark, limit: usize) -> Result<Vec<(Bookmark, Envelope)>, StoreError> {
        self.inner.unsent(after, limit).await
    }

    async fn waiting(&self, most: usize) -> Result<usize, StoreError> {
        self.inner.waiting(most).await
    }

    async fn sent(&self, ids: Vec<String>) -> Result<(), StoreError> {
        self.inner.sent(ids).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.inner.ready().await
    }

    fn ordered(&self) -> bool {
        self.inner.ordered()
    }

    fn exclusive(&self) -> bool {
        self.inner.exclusive()
    }
}

/// A provider that loses one call, or the answer to it, when told to.
#[derive(Clone)]
pub struct FaultyProvider {
    inner: Arc<dyn PaymentProvider>,
    trap: Trap,
    dead: Arc<AtomicBool>,
}

impl FaultyProvider {
    /// Wraps a working provider; it is called no more once the process that stands on `backend` is gone.
    pub fn new(inner: Arc<dyn PaymentProvider>, backend: &FaultyBackend) -> Self {
        Self { inner, trap: Trap::default(), dead: Arc::clone(&backend.dead) }
    }

    /// Arms one fault, counted from now on.
    pub fn arm(&self, fault: Fault) {
        self.trap.arm(fault);
    }

    /// Whether the fault has not struck yet.
    pub fn is_armed(&self) -> bool {
        self.trap.is_armed()
    }

    async fn call<T>(&self, call: impl Future<Output = Result<T, ProviderError>> + Send) -> Result<T, ProviderError> {
        let lost = || Err(ProviderError::Unknown("the connection was cut (a fault of the test)".to_owned()));
        if self.dead.load(Ordering::SeqCst) {
            return lost();
        }
        let strike = self.trap.step();
        if strike == Some(Strike::Before) {
            return lost();
        }
        let result = call.await;
        match strike {
            None => result,
            Some(Strike::Before | Strike::After) => lost(),
            Some(Strike::Crash) => {
                self.dead.store(true, Ordering::SeqCst);
                lost()
            }
        }
    }
}

#[async_trait]
impl PaymentProvider for FaultyProvider {
    async fn authorise(&self, key: PaymentId, amount: Money, method: &str) -> Result<Standing, ProviderError> {
        self.call(self.inner.authorise(key, amount, method)).await
    }

    async fn ask(&self, key: PaymentId) -> Result<Option<Standing>, ProviderError> {
        self.call(self.inner.ask(key)).await
    }

    async fn capture(&self, key: PaymentId, amount: Money) -> Result<Standing, ProviderError> {
        self.call(self.inner.capture(key, amount)).await
    }

    async fn void(&self, key: PaymentId) -> Result<Standing, ProviderError> {
        self.call(self.inner.void(key)).await
    }

    async fn refund(&self, key: PaymentId, refund: RefundId, amount: Money) -> Result<(), ProviderError> {
        self.call(self.inner.refund(key, refund, amount)).await
    }
}

//! Acting on the world, written once: find a due document, claim it, act under its key, commit what came of it.
//!
//! An [`Intent`] is a document that says what is to be done. The claim is a lease with a fence: an actor that was thought
//! dead cannot record over its successor. The act must be safe to repeat under the document's own stable key.

use std::collections::HashMap;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cartwright_runtime::{Tasks, Time};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::{Changes, Collection, Decision, Document, Lane, Store, StoreError, Stored, change};

/// How long a claim lasts: longer than any outside call may take (10 s), with room to record its result.
const LEASE: Duration = Duration::from_secs(30);
/// How many acts of one kind run at once in a process.
const AT_ONCE: usize = 64;
/// How often due documents are looked for; wake-ups make it a matter of recovery only.
const POLL: Duration = Duration::from_millis(500);
/// The same while there are more of them than one look finds.
const POLL_BEHIND: Duration = Duration::from_millis(20);

/// Something to be done that is due at a time and claimed by one actor at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lease {
    /// When it is due: to be done, or to be taken over from a holder that was not heard of.
    pub due: Time,
    /// The process that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// Raised by each claim.
    pub fence: u64,
    /// How often the act failed so far.
    pub failures: u32,
}

impl Lease {
    /// Due at `due`, held by nobody.
    pub const fn due(due: Time) -> Self {
        Self { due, holder: None, fence: 0, failures: 0 }
    }

    /// Held by this process from the start, which saves the commit that would claim it.
    pub fn held_by(store: &Store) -> Self {
        let due = store.clock().now().plus(LEASE);
        Self { due, holder: Some(store.instance().to_owned()), fence: 1, failures: 0 }
    }

    /// To be tried again: `first` later, and twice as long after each failure, an hour at most.
    #[must_use]
    pub fn again(&self, now: Time, first: Duration) -> Self {
        let factor = 1_u32.checked_shl(self.failures.min(20)).unwrap_or(u32::MAX);
        let wait = first.saturating_mul(factor).min(Duration::from_secs(3600));
        Self { due: now.plus(wait), holder: None, fence: self.fence, failures: self.failures.saturating_add(1) }
    }

    /// Due at `due` as the next thing to do, held by nobody, after this one was done.
    #[must_use]
    pub const fn next(&self, due: Time) -> Self {
        Self { due, holder: None, fence: self.fence, failures: 0 }
    }

    /// This process's claim on what comes next, so that it goes on without another commit.
    #[must_use]
    pub fn next_held(&self, store: &Store) -> Self {
        Self { fence: self.fence + 1, ..Self::held_by(store) }
    }
}

/// A document that may hold something to be done.
pub trait Intent: Document {
    /// The index on (`due`) that lists it while something is to be done: `entries` must name [`Lease::due`].
    const DUE: &'static str;

    /// What is to be done, if anything.
    fn lease(&self) -> Option<&Lease>;

    /// The same, to be claimed.
    fn lease_mut(&mut self) -> Option<&mut Lease>;
}

/// Runs the acts of one kind of document.
pub struct Performer<D> {
    store: Store,
    room: Arc<Semaphore>,
    document: PhantomData<fn() -> D>,
}

impl<D> Clone for Performer<D> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), room: Arc::clone(&self.room), document: PhantomData }
    }
}

impl<D: Intent> Performer<D> {
    /// A performer of the documents in `store`.
    pub fn new(store: Store) -> Self {
        Self { store, room: Arc::new(Semaphore::new(AT_ONCE)), document: PhantomData }
    }

    /// Acts on what becomes due until the program stops.
    ///
    /// `act` makes the outside call and gives what came of it; `settle` takes the document as it is then and gives what
    /// to commit. `settle` is not asked where another process took the document over.
    pub async fn run<O, A, AF, S, SF, E>(self, tasks: Tasks, act: A, settle: S)
    where
        O: Clone + Send + Sync + 'static,
        A: Fn(D) -> AF + Clone + Send + Sync + 'static,
        AF: Future<Output = O> + Send + 'static,
        S: Fn(Store, Stored<D>, O) -> SF + Clone + Send + Sync + 'static,
        SF: Future<Output = Result<Changes, E>> + Send + 'static,
        E: From<StoreError> + std::fmt::Display + Send + 'static,
    {
        let (mut written, missed) = self.store.watch_closely::<D>(1024);
        let mut found = self.claimed().await;
        let mut poll = Box::pin(self.store.clock().sleep(POLL));
        loop {
            for key in found {
                let Ok(room) = Arc::clone(&self.room).acquire_owned().await else { return };
                if tasks.is_stopping() {
                    return;
                }
                let (performer, act, settle) = (self.clone(), act.clone(), settle.clone());
                tasks.spawn(async move {
                    if let Err(error) = performer.perform(&key, act, settle).await {
                        tracing::warn!(collection = D::COLLECTION, key, %error, "an act was not recorded; it will be repeated");
                    }
                    drop(room);
                });
            }
            found = tokio::select! {
                () = tasks.stopped() => return,
                key = written.recv() => key.into_iter().collect(),
                () = &mut poll => {
                    let mut due = self.due().await;
                    poll.set(self.store.clock().sleep(if due.len() < AT_ONCE { POLL } else { POLL_BEHIND }));
                    if missed.swap(false, Ordering::Relaxed) {
                        due.extend(self.claimed().await);
                    }
                    due
                }
            };
        }
    }

    async fn due(&self) -> Vec<String> {
        let later = self.store.clock().now().plus(Duration::from_millis(1));
        self.keys(self.store.find::<D>(D::DUE, Vec::new()).below(later).page(AT_ONCE).await)
    }

    /// What this process, or an earlier one that had the store for itself, has claimed: nobody else works on it now, and
    /// it does not become due before the lease ends.
    async fn claimed(&self) -> Vec<String> {
        let all = self.store.find::<D>(D::DUE, Vec::new()).page(10_000).await;
        let claimed = all.map(|page| {
            page.into_iter().filter(|stored| stored.doc.lease().is_some_and(|lease| self.mine(lease))).collect()
        });
        self.keys(claimed)
    }

    fn keys(&self, page: Result<Vec<Stored<D>>, StoreError>) -> Vec<String> {
        match page {
            Ok(page) => page.iter().map(|stored| stored.doc.key()).collect(),
            Err(error) => {
                tracing::warn!(collection = D::COLLECTION, %error, "cannot look for what is due");
                Vec::new()
            }
        }
    }

    fn mine(&self, lease: &Lease) -> bool {
        lease.holder.as_ref().is_some_and(|holder| holder == self.store.instance() || self.store.exclusive())
    }

    /// Acts on one document for as long as something of it is due.
    async fn perform<O, AF, SF, E>(
        &self,
        key: &str,
        act: impl Fn(D) -> AF,
        settle: impl Fn(Store, Stored<D>, O) -> SF,
    ) -> Result<(), E>
    where
        O: Clone,
        AF: Future<Output = O>,
        SF: Future<Output = Result<Changes, E>>,
        E: From<StoreError>,
    {
        let Some(mut acting) = self.store.enter::<D>(key) else { return Ok(()) };
        loop {
            self.step(key, &act, &settle).await?;
            // Whoever came meanwhile was turned away: what it came for may have been written after this step looked.
            match acting.leave() {
                Some(again) => acting = again,
                None => return Ok(()),
            }
        }
    }

    /// Claims, acts and records once; true when the result was recorded.
    async fn step<O, AF, SF, E>(
        &self,
        key: &str,
        act: &impl Fn(D) -> AF,
        settle: &impl Fn(Store, Stored<D>, O) -> SF,
    ) -> Result<bool, E>
    where
        O: Clone,
        AF: Future<Output = O>,
        SF: Future<Output = Result<Changes, E>>,
        E: From<StoreError>,
    {
        let Some(claimed) = self.claim(key).await? else { return Ok(false) };
        let Some(fence) = claimed.lease().map(|lease| lease.fence) else { return Ok(false) };
        let outcome = act(claimed).await;
        change(&self.store, Lane::of::<D>(key), |view| {
            let outcome = outcome.clone();
            async move {
                let Some(stored) = view.get::<D>(key).await? else { return Ok(Decision::unchanged(false)) };
                if stored.doc.lease().map(|lease| lease.fence) != Some(fence) {
                    return Ok(Decision::unchanged(false));
                }
                settle(view, stored, outcome).await.map(|changes| Decision::new(changes, true))
            }
        })
        .await
    }

    /// The document under this process's claim, or `None` where it is not due or somebody else holds it.
    async fn claim(&self, key: &str) -> Result<Option<D>, StoreError> {
        let Some(stored) = self.store.get::<D>(key).await? else { return Ok(None) };
        let now = self.store.clock().now();
        let Some(lease) = stored.doc.lease() else { return Ok(None) };
        if lease.holder.as_deref() == Some(self.store.instance()) && lease.due > now {
            return Ok(Some(stored.doc));
        }
        if lease.due > now && !self.mine(lease) {
            return Ok(None);
        }
        let mut claimed = stored;
        if let Some(lease) = claimed.doc.lease_mut() {
            *lease = Lease { failures: lease.failures, fence: lease.fence + 1, ..Lease::held_by(&self.store) };
        }
        match self.store.commit(Changes::new().replace(&claimed)).await {
            Ok(()) => Ok(Some(claimed.doc)),
            // Somebody else was faster: it is theirs now, or it changed and will be found again.
            Err(StoreError::Conflict { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

type Place = (Collection, String);

/// The documents that tasks of this process act on now, each with whether somebody else came for it meanwhile.
#[derive(Clone, Default)]
pub(crate) struct Underway(Arc<Mutex<HashMap<Place, bool>>>);

impl Underway {
    /// The right to act at `place`, or `None` where another task has it: that task is told to look again.
    pub(crate) fn enter(&self, place: Place) -> Option<Acting> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(came) = all.get_mut(&place) {
            *came = true;
            return None;
        }
        all.insert(place.clone(), false);
        Some(Acting { underway: self.clone(), place: Some(place) })
    }
}

/// The right of one task to act on one document; ends with its drop.
pub(crate) struct Acting {
    underway: Underway,
    place: Option<Place>,
}

impl Acting {
    /// Ends it, unless somebody else came meanwhile: then there may be more to do.
    fn leave(mut self) -> Option<Self> {
        let underway = self.underway.clone();
        let mut all = underway.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = self.place.take()?;
        if all.get_mut(&place).is_some_and(std::mem::take) {
            self.place = Some(place);
            return Some(self);
        }
        all.remove(&place);
        None
    }
}

impl Drop for Acting {
    fn drop(&mut self) {
        // After `leave` the place may be another task's.
        if let Some(place) = self.place.take() {
            self.underway.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&place);
        }
    }
}

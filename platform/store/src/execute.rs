//! Deciding and committing, written once.
//!
//! [`execute`] runs a request, [`consume`] an event, [`change`] a step of a job. Each reads, decides, and commits what was
//! decided together with its own mark; a conflict is read and decided again, invisibly, until the deadline.

use std::future::Future;
use std::time::Duration;

use cartwright_runtime::Time;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::{Changes, CollectionSpec, Document, Index, IndexEntry, Lane, Store, StoreError, turns};

/// How long conflicts are decided again before the caller is told.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a place of a unique index that somebody else took is decided again: whoever took it is durable by then, so a
/// decision that looks sees it the next time.
const DISPLACED_MOST: u32 = 3;
/// The longest pause between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// How long the answer to a keyed request is repeated.
const RECEIPTS_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long a redelivered event is recognised.
const MARKS_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// How many of each one commit forgets.
const FORGOTTEN_AT_ONCE: usize = 200;

/// What was decided: the changes to commit and the answer to give once they are durable.
#[derive(Clone, Debug)]
pub struct Decision<R> {
    /// What to commit; empty where nothing needs to change.
    pub changes: Changes,
    /// What to answer.
    pub reply: R,
}

impl<R> Decision<R> {
    /// Commit `changes`, then answer `reply`.
    pub const fn new(changes: Changes, reply: R) -> Self {
        Self { changes, reply }
    }

    /// Answer `reply`; nothing needs to change.
    pub fn unchanged(reply: R) -> Self {
        Self { changes: Changes::new(), reply }
    }
}

/// The identity of a request, for idempotency (IETF draft `idempotency-key-header`).
#[derive(Clone, Debug, Default)]
pub struct Request {
    receipt: Option<(String, String)>,
}

impl Request {
    /// A request without a key: each time it is sent, it is a new one.
    pub const fn unkeyed() -> Self {
        Self { receipt: None }
    }

    /// A request that `principal` made on `route` under `key`; `fingerprint` tells what was asked.
    pub fn keyed(principal: &str, route: &str, key: &str, fingerprint: &[u8]) -> Self {
        let mut name = Sha256::new();
        for part in [principal, route, key] {
            name.update(part.len().to_be_bytes());
            name.update(part);
        }
        Self { receipt: Some((hex(&name.finalize()), hex(&Sha256::digest(fingerprint)))) }
    }

    /// The name under which its receipt is kept and the fingerprint of what was asked, where it has a key.
    pub fn receipt(&self) -> Option<(&str, &str)> {
        self.receipt.as_ref().map(|(name, fingerprint)| (name.as_str(), fingerprint.as_str()))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<R> {
    /// What was answered, now or the first time.
    pub reply: R,
    /// Whether this is the answer of an earlier request with the same key.
    pub replayed: bool,
}

/// The key was used before, for another request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this Idempotency-Key was used before with another request")]
pub struct KeyReused;

/// The record of an answered request: the same key gets the same answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Receipt {
    name: String,
    fingerprint: String,
    reply: Box<RawValue>,
    at: Time,
}

impl Document for Receipt {
    const COLLECTION: &'static str = "receipts";
    const INDEXES: &'static [Index] = &[Index::many("by-age", &["at"])];

    fn key(&self) -> String {
        self.name.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry> {
        vec![IndexEntry::new("by-age", [self.at.into()])]
    }
}

/// The mark that a consumer has applied an event.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Applied {
    consumer: String,
    event: String,
    at: Time,
}

impl Applied {
    fn name(consumer: &str, event: &str) -> String {
        format!("{consumer}:{event}")
    }
}

impl Document for Applied {
    const COLLECTION: &'static str = "inbox";
    const INDEXES: &'static [Index] = &[Index::many("by-age", &["at"])];

    fn key(&self) -> String {
        Self::name(&self.consumer, &self.event)
    }

    fn index_entries(&self) -> Vec<IndexEntry> {
        vec![IndexEntry::new("by-age", [self.at.into()])]
    }
}

/// The collections that the store itself keeps in every service.
pub(crate) fn own_collections() -> [CollectionSpec; 3] {
    [Receipt::spec(), Applied::spec(), turns::collection()]
}

/// Decides, commits, and answers; a repeat of the same keyed request gets the first answer.
///
/// `decide` must read through the store it is given and must not act on the world: it runs again on a conflict.
/// Refusals are not remembered: they changed nothing, so a later repeat is decided anew. The receipt and the work are one
/// commit, so of two racing repeats one wins and the other answers with the winner's receipt.
///
/// # Errors
/// Whatever `decide` returns, [`KeyReused`], or the store's own error.
pub async fn execute<R, E, F>(
    store: &Store,
    request: &Request,
    lane: Lane,
    decide: impl Fn(Store) -> F,
) -> Result<Answer<R>, E>
where
    F: Future<Output = Result<Decision<R>, E>>,
    R: Serialize + DeserializeOwned,
    E: From<StoreError> + From<KeyReused>,
{
    let Some((name, fingerprint)) = request.receipt() else {
        return change(store, lane, decide).await.map(|reply| Answer { reply, replayed: false });
    };
    let decide = &decide;
    let lane = lane.with::<Receipt>(name);
    run(store, lane, |view| async move {
        if let Some(receipt) = view.get::<Receipt>(name).await? {
            if receipt.doc.fingerprint != fingerprint {
                return Err(KeyReused.into());
            }
            let reply = serde_json::from_str(receipt.doc.reply.get()).map_err(unusable)?;
            return Ok(Decision::unchanged(Answer { reply, replayed: true }));
        }
        let Decision { changes, reply } = decide(view.clone()).await?;
        let receipt = Receipt {
            name: name.to_owned(),
            fingerprint: fingerprint.to_owned(),
            reply: serde_json::value::to_raw_value(&reply).map_err(unusable)?,
            at: view.clock().now(),
        };
        Ok(Decision::new(changes.insert(&receipt), Answer { reply, replayed: false }))
    })
    .await
}

/// Runs `react` and commits what it returns together with the mark that `consumer` has applied the event.
///
/// A redelivered event finds the mark and does nothing.
///
/// # Errors
/// Whatever `react` returns, or the store's own error.
pub async fn consume<E, F>(
    store: &Store,
    consumer: &str,
    event: &str,
    lane: Lane,
    react: impl Fn(Store) -> F,
) -> Result<(), E>
where
    F: Future<Output = Result<Changes, E>>,
    E: From<StoreError>,
{
    let react = &react;
    let lane = lane.with::<Applied>(Applied::name(consumer, event));
    run(store, lane, |view| async move {
        if view.get::<Applied>(Applied::name(consumer, event)).await?.is_some() {
            return Ok(Decision::unchanged(()));
        }
        let applied = Applied { consumer: consumer.to_owned(), event: event.to_owned(), at: view.clock().now() };
        Ok(Decision::new(react(view).await?.insert(&applied), ()))
    })
    .await
}

/// Decides and commits a change that has a natural key of its own, so that it needs no receipt.
///
/// # Errors
/// Whatever `decide` returns, or the store's own error.
pub async fn change<R, E, F>(store: &Store, lane: Lane, decide: impl Fn(Store) -> F) -> Result<R, E>
where
    F: Future<Output = Result<Decision<R>, E>>,
    E: From<StoreError>,
{
    run(store, lane, decide).await
}

/// Forgets answers that were given a week ago and marks of events that were applied 30 days ago, 200 of each at most.
///
/// Gives how many it forgot; a job calls it again soon while there are any, and every few minutes otherwise.
///
/// # Errors
/// The store's own error.
pub async fn forget_old(store: &Store) -> Result<usize, StoreError> {
    let now = store.clock().now();
    let receipts = store.find::<Receipt>("by-age", Vec::new()).below(now.minus(RECEIPTS_KEPT)).page(FORGOTTEN_AT_ONCE);
    let marks = store.find::<Applied>("by-age", Vec::new()).below(now.minus(MARKS_KEPT)).page(FORGOTTEN_AT_ONCE);
    let (receipts, marks) = (receipts.await?, marks.await?);
    let changes = receipts.iter().fold(Changes::new(), Changes::remove);
    let changes = marks.iter().fold(changes, Changes::remove);
    if !changes.is_empty() {
        store.commit(changes).await?;
    }
    Ok(receipts.len() + marks.len())
}

/// The one loop: take the lane, decide, queue, let the next in, wait until durable.
async fn run<R, E, F>(store: &Store, lane: Lane, decide: impl Fn(Store) -> F) -> Result<R, E>
where
    F: Future<Output = Result<Decision<R>, E>>,
    E: From<StoreError>,
{
    let watch = store.clock().stopwatch();
    let mut displaced = 0;
    loop {
        let turn = store.lanes().enter(store.scope(), lane.clone()).await;
        let view = store.deciding(lane.clone());
        let mut decided = decide(view.clone()).await;
        let mut queued = view.queued_reads();
        if changes_nothing(&decided) && !queued.is_empty() {
            // What was read may still fail. Wait for it and decide on what is durable.
            store.barrier().await?;
            decided = decide(store.clone()).await;
            queued.clear();
        }
        let Decision { changes, reply } = decided?;
        if changes.is_empty() {
            return Ok(reply);
        }
        let result = match store.submit(changes.relying_on(&queued), &queued) {
            Ok(durable) => {
                // An engine that keeps the order lets the next in now; another one must show what came of it first.
                let turn = (!store.ordered()).then_some(turn);
                let result = durable.await;
                drop(turn);
                result
            }
            Err(error) => {
                drop(turn);
                Err(error)
            }
        };
        match result {
            Ok(()) => return Ok(reply),
            Err(StoreError::Conflict { .. }) if watch.elapsed() < PATIENCE => {}
            Err(StoreError::NotUnique { .. }) if displaced < DISPLACED_MOST => displaced += 1,
            Err(error) => return Err(error.into()),
        }
        store.clock().pause(store.ids().jitter(PAUSE)).await;
    }
}

fn changes_nothing<R, E>(decided: &Result<Decision<R>, E>) -> bool {
    decided.as_ref().map_or(true, |decision| decision.changes.is_empty())
}

fn unusable(error: serde_json::Error) -> StoreError {
    StoreError::Unusable(error.to_string())
}

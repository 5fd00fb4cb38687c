//! Turns: work that any process may do and one does at a time.
//!
//! A turn saves work and is no lock: one that was thought dead may still be working. What keeps the two apart is what keeps
//! any two writers apart, the revisions that their commits check.

use std::time::Duration;

use cartwright_runtime::Time;
use serde::{Deserialize, Serialize};

use crate::{Changes, CollectionSpec, Document, Store, StoreError, Stored};

/// Who does a piece of work now.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Turn {
    work: String,
    holder: String,
    until: Time,
}

impl Document for Turn {
    const COLLECTION: &'static str = "turns";

    fn key(&self) -> String {
        self.work.clone()
    }
}

pub(crate) fn collection() -> CollectionSpec {
    Turn::spec()
}

/// The turn of whoever is at work at all.
const PRESENCE: &str = "be at work";
/// How long a process is thought to be at work after it last said so.
const PRESENT_FOR: Duration = Duration::from_secs(9);

/// Says that a process that shares `store` is at work. Good for nine seconds, so it has to be said every three.
///
/// # Errors
/// When the store does not answer.
pub async fn be_at_work(store: &Store) -> Result<(), StoreError> {
    take_turn(store, PRESENCE, PRESENT_FOR).await.map(drop)
}

/// Whether any process that shares `store` is at work: then one runs, or did a moment ago.
///
/// # Errors
/// When the store does not answer.
pub async fn is_anybody_at_work(store: &Store) -> Result<bool, StoreError> {
    let now = store.clock().now();
    Ok(store.get::<Turn>(PRESENCE).await?.is_some_and(|turn| turn.doc.until > now))
}

/// Whether it is this process's turn to do `work`, for at least half of `length` from now on.
///
/// Where no other process can have the store open, it always is. Otherwise whoever asks first has it, keeps it by asking
/// again, and loses it when it was not heard of for `length`.
///
/// # Errors
/// When the store does not answer; then nobody knows whose turn it is.
pub async fn take_turn(store: &Store, work: &str, length: Duration) -> Result<bool, StoreError> {
    if store.exclusive() {
        return Ok(true);
    }
    let now = store.clock().now();
    let turn = Turn { work: work.to_owned(), holder: store.instance().to_owned(), until: now.plus(length) };
    let changes = match store.get::<Turn>(work).await? {
        None => Changes::new().insert(&turn),
        Some(Stored { doc, .. }) if doc.holder != turn.holder && doc.until > now => return Ok(false),
        Some(Stored { doc, .. }) if doc.holder == turn.holder && doc.until > now.plus(length / 2) => return Ok(true),
        Some(Stored { revision, .. }) => Changes::new().replace(&Stored { doc: turn, revision }),
    };
    match store.commit(changes).await {
        Ok(()) => Ok(true),
        Err(StoreError::Conflict { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

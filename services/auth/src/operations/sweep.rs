//! Removes sessions and revocations that nobody can use any more.

use cartwright_store::{Changes, Store, StoreError};

use crate::documents::Revocation;
use crate::domain::session::Session;

/// Documents removed in one commit.
const BATCH: usize = 200;
/// Commits of one sweep; what is left then waits for the next.
const BATCHES: usize = 50;

/// Removes what has ended.
///
/// # Errors
/// The store's own.
pub(crate) async fn sweep(store: &Store) -> Result<(), StoreError> {
    let now = store.clock().now();
    for _ in 0..BATCHES {
        let sessions = store.find::<Session>("by-end", Vec::new()).below(now).page(BATCH).await?;
        let revocations = store.find::<Revocation>("by-end", Vec::new()).below(now).page(BATCH).await?;
        if sessions.is_empty() && revocations.is_empty() {
            return Ok(());
        }
        let changes = sessions.iter().fold(Changes::new(), |changes, session| changes.remove(session));
        store.commit(revocations.iter().fold(changes, |changes, ended| changes.remove(ended))).await?;
    }
    Ok(())
}

//! What product does when something happened elsewhere.

use std::sync::Arc;

use cartwright_bus::{Failure, Subscription};
use cartwright_contracts::LevelChanged;
use cartwright_store::{Changes, Lane, Store};

use crate::domain::Shelf;

/// All of product's subscriptions.
pub(crate) fn subscriptions(store: &Store) -> Vec<Subscription> {
    let shelf_of = |event: &LevelChanged| Lane::of::<Shelf>(event.product.to_string());
    vec![Subscription::new(store, shelf_of, on_level_changed)]
}

/// Keeps what lists say about the stock. Older news changes nothing, whenever it arrives.
async fn on_level_changed(store: Store, event: Arc<LevelChanged>) -> Result<Changes, Failure> {
    let stored = store.get::<Shelf>(event.product.to_string()).await?;
    let revision = stored.as_ref().map(|stored| stored.revision);
    let shelf = stored.map_or_else(|| Shelf::unknown(event.product), |stored| stored.doc);
    Ok(match shelf.after(&event, store.clock().now()) {
        Some(next) => Changes::new().save(&next, revision),
        None => Changes::new(),
    })
}

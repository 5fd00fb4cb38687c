//! Creates the level of a product that is new in the catalogue.

use cartwright_contracts::ProductChanged;
use cartwright_store::{Changes, Store, StoreError};

use crate::documents::{Movement, MovementKind, StockLevel};
use crate::operations::shelf::level_changes;

/// The level that `event`'s product gets, with its opening stock; nothing where it has both already.
///
/// # Errors
/// When the store does not answer, or the opening stock is more than a level counts.
pub(crate) async fn open_level(store: &Store, event: &ProductChanged) -> Result<Changes, StoreError> {
    let stored = store.get::<StockLevel>(event.product.to_string()).await?;
    let revision = stored.as_ref().map(|stored| stored.revision);
    let mut level = stored.map_or_else(|| StockLevel::empty(event.product), |stored| stored.doc);
    let before = level.available();
    let opened = match event.opening_stock {
        Some(units) => level.open(units)?.then_some(units),
        None => None,
    };
    match opened {
        None if revision.is_some() => Ok(Changes::new()),
        None | Some(0) => Ok(level_changes(&level, revision, before)),
        Some(units) => Ok(level_changes(&level, revision, before).insert(&Movement {
            id: store.ids().uuid().simple().to_string(),
            product: event.product,
            delta: i64::from(units),
            kind: MovementKind::Opening,
            reason: None,
            order: None,
            at: store.clock().now(),
        })),
    }
}

//! Receives stock, writes it off, or sets it to what was counted.

use cartwright_contracts::Availability;
use cartwright_store::{Decision, Store};
use cartwright_vocabulary::ProductId;

use crate::InventoryError;
use crate::documents::{Movement, MovementKind, StockLevel};
use crate::operations::shelf::level_changes;

/// What an admin wants to be so.
#[derive(Clone, Debug)]
pub(crate) struct AdjustStock {
    /// The product.
    pub(crate) product: ProductId,
    /// By or to how many units.
    pub(crate) adjustment: Adjustment,
    /// Why, for the ledger.
    pub(crate) reason: Option<String>,
}

/// By or to how many units.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Adjustment {
    /// So many more, or fewer where negative.
    By(i64),
    /// So many were counted on the shelf, held ones included.
    To(u32),
}

/// Adjusts the level and writes the ledger. An adjustment to what is there already changes nothing.
///
/// # Errors
/// Where inventory does not know the product, where fewer would be left than are held, or more than a level counts.
pub(crate) async fn adjust_stock(
    store: &Store,
    command: &AdjustStock,
) -> Result<Decision<Availability>, InventoryError> {
    let unknown = || InventoryError::ProductUnknown(vec![command.product.to_string()]);
    let mut level = store.get::<StockLevel>(command.product.to_string()).await?.ok_or_else(unknown)?;
    let before = level.doc.available();
    let delta = match command.adjustment {
        Adjustment::By(delta) => delta,
        Adjustment::To(counted) => i64::from(counted) - i64::from(level.doc.on_hand()),
    };
    let units = u32::try_from(delta.unsigned_abs()).map_err(|_| InventoryError::TooMany)?;
    let kind = if delta >= 0 { MovementKind::Received } else { MovementKind::WrittenOff };
    if delta >= 0 {
        level.doc.receive(units).map_err(|_| InventoryError::TooMany)?;
    } else {
        level.doc.write_off(units)?;
    }
    let reply = level.doc.availability();
    if delta == 0 {
        return Ok(Decision::unchanged(reply));
    }
    let movement = Movement {
        id: store.ids().uuid().simple().to_string(),
        product: command.product,
        delta,
        kind,
        reason: command.reason.clone(),
        order: None,
        at: store.clock().now(),
    };
    Ok(Decision::new(level_changes(&level.doc, Some(level.revision), before).insert(&movement), reply))
}

//! Holds every line of an order, or none.

use std::time::Duration;

use cartwright_contracts::{OrderCreated, Shortage, StockRefused, StockReserved};
use cartwright_runtime::Time;
use cartwright_store::{Changes, Decision, Store, StoreError, Stored};
use serde::{Deserialize, Serialize};

use crate::InventoryError;
use crate::documents::{Line, MadeBy, Reservation, ReservationState};
use crate::domain::summed;
use crate::operations::Shelf;

/// A reservation made by name, by a service or an admin.
#[derive(Clone, Debug)]
pub(crate) struct ReserveStock {
    /// What it is for; any text.
    pub(crate) order: String,
    /// What is wanted, one line a product.
    pub(crate) lines: Vec<Line>,
    /// How long it is held at most.
    pub(crate) ttl: Duration,
}

/// The stock is held.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Reserved {
    /// What it is for.
    pub(crate) order: String,
    /// Until when.
    pub(crate) expires_at: Time,
}

/// Holds all lines for the time asked for. Asked for a second time, it answers with what is held.
///
/// # Errors
/// What is missing or unknown, or that `order` has another reservation or had one.
pub(crate) async fn reserve_stock(store: &Store, command: &ReserveStock) -> Result<Decision<Reserved>, InventoryError> {
    let ReserveStock { order, lines, ttl } = command;
    if let Some(before) = store.get::<Reservation>(order).await? {
        return again(&before.doc, lines).map(Decision::unchanged);
    }
    let mut shelf = Shelf::read(store, lines).await?;
    let unknown = shelf.unknown();
    if !unknown.is_empty() {
        return Err(InventoryError::ProductUnknown(unknown.iter().map(ToString::to_string).collect()));
    }
    shelf.hold().map_err(InventoryError::OutOfStock)?;
    let now = store.clock().now();
    let reservation = Reservation::held(order, MadeBy::Direct, lines.clone(), now.plus(*ttl), now);
    let reply = Reserved { order: order.clone(), expires_at: reservation.expires_at() };
    Ok(Decision::new(shelf.changes().insert(&reservation), reply))
}

fn again(before: &Reservation, lines: &[Line]) -> Result<Reserved, InventoryError> {
    match before.state() {
        ReservationState::Held if before.lines() == lines => {
            Ok(Reserved { order: before.order().to_owned(), expires_at: before.expires_at() })
        }
        ReservationState::Held => Err(InventoryError::ReservedDifferently),
        ended @ (ReservationState::Committed
        | ReservationState::Released
        | ReservationState::Expired
        | ReservationState::Refused
        | ReservationState::CancelledAhead
        | ReservationState::ConfirmedAhead) => Err(InventoryError::ReservationEnded(ended)),
    }
}

/// Holds all lines of an order that was placed, and tells; or tells what is missing. What was decided once stays so.
///
/// # Errors
/// When the store does not answer, or its levels contradict each other.
pub(crate) async fn reserve_for_order(
    store: &Store,
    event: &OrderCreated,
    hold_ttl: Duration,
) -> Result<Changes, StoreError> {
    let lines = event.items.iter().map(|item| Line { product: item.product, quantity: item.quantity.get() });
    let wanted = Wanted { event, lines: summed(lines), hold_ttl };
    match store.get::<Reservation>(event.order.to_string()).await? {
        None => wanted.hold(store, None).await,
        Some(before) => wanted.follow(store, before).await,
    }
}

/// What an order wants held.
struct Wanted<'a> {
    event: &'a OrderCreated,
    lines: Vec<Line>,
    hold_ttl: Duration,
}

impl Wanted<'_> {
    async fn follow(self, store: &Store, mut before: Stored<Reservation>) -> Result<Changes, StoreError> {
        match (before.doc.made_by(), before.doc.state()) {
            (MadeBy::Order, ReservationState::ConfirmedAhead) => self.hold(store, Some(before.revision)).await,
            (MadeBy::Order, _) => Ok(Changes::new()),
            // Somebody reserved under the id of this order: the same lines become the order's own, others cannot.
            (MadeBy::Direct, _) if before.doc.covers(&self.lines) => {
                before.doc.hand_over_to_order(store.clock().now().plus(self.hold_ttl));
                Ok(Changes::new().replace(&before).publish(&StockReserved { order: self.event.order }))
            }
            (MadeBy::Direct, _) => {
                let missing = self.lines.iter().map(|line| Shortage {
                    product: line.product,
                    wanted: line.quantity,
                    available: 0,
                });
                Ok(Changes::new().publish(&StockRefused { order: self.event.order, missing: missing.collect() }))
            }
        }
    }

    /// Holds the lines; and sells them at once where `tombstone`, the revision of one, says that they are confirmed.
    async fn hold(self, store: &Store, tombstone: Option<u64>) -> Result<Changes, StoreError> {
        let order = self.event.order.to_string();
        let now = store.clock().now();
        let mut shelf = Shelf::read(store, &self.lines).await?;
        if let Err(missing) = shelf.hold() {
            let refused = Reservation::refused(&order, self.lines, missing.clone(), now);
            let event = StockRefused { order: self.event.order, missing };
            return Ok(Changes::new().save(&refused, tombstone).publish(&event));
        }
        let mut held = Reservation::held(&order, MadeBy::Order, self.lines, now.plus(self.hold_ttl), now);
        if tombstone.is_some() {
            shelf.sell(store, &order)?;
            held.commit(now)?;
        }
        Ok(shelf.changes().save(&held, tombstone).publish(&StockReserved { order: self.event.order }))
    }
}

//! Ends a hold: sells what is held, or gives it back.

use cartwright_store::{Changes, Decision, Store, StoreError, Stored};

use crate::InventoryError;
use crate::documents::{MadeBy, Reservation, ReservationState};
use crate::operations::Shelf;

/// How a hold ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Its units leave with the order.
    Sold,
    /// Its units are available again.
    GivenBack,
    /// The same, because its time was over.
    Expired,
}

/// Ends the reservation that was made directly for `order`. An end that was made before is made again by doing nothing.
///
/// # Errors
/// Where there is no such reservation, an order decides about it, or it ended otherwise.
pub(crate) async fn end_hold(
    store: &Store,
    order: &str,
    ending: Ending,
) -> Result<Decision<ReservationState>, InventoryError> {
    let unknown = || InventoryError::ReservationUnknown;
    let reservation = store.get::<Reservation>(order).await?.ok_or_else(unknown)?;
    match (reservation.doc.made_by(), reservation.doc.state()) {
        (MadeBy::Order, _) => Err(InventoryError::OrderDecides),
        (MadeBy::Direct, ReservationState::Held) => {
            let (changes, state) = end(store, reservation, ending).await?;
            Ok(Decision::new(changes, state))
        }
        (MadeBy::Direct, state) if is_end(state, ending) => Ok(Decision::unchanged(state)),
        (MadeBy::Direct, state) => Err(InventoryError::ReservationEnded(state)),
    }
}

const fn is_end(state: ReservationState, ending: Ending) -> bool {
    match ending {
        Ending::Sold => matches!(state, ReservationState::Committed),
        Ending::GivenBack | Ending::Expired => matches!(state, ReservationState::Released | ReservationState::Expired),
    }
}

/// What the end of an order does to its reservation, in whatever order the events come.
///
/// Confirmed: a hold is sold. Cancelled: a hold is given back, what was sold is restocked. An order not heard of yet gets a
/// tombstone. A reservation that was made directly under the same id, and never became the order's, is left alone.
///
/// # Errors
/// When the store does not answer, or its levels contradict each other.
pub(crate) async fn end_of_order(store: &Store, order: &str, ending: Ending) -> Result<Changes, StoreError> {
    let now = store.clock().now();
    let Some(mut reservation) = store.get::<Reservation>(order).await? else {
        return Ok(Changes::new().insert(&match ending {
            Ending::Sold => Reservation::confirmed_ahead(order, now),
            Ending::GivenBack | Ending::Expired => Reservation::cancelled_ahead(order, now),
        }));
    };
    if reservation.doc.made_by() == MadeBy::Direct {
        return Ok(Changes::new());
    }
    match (reservation.doc.state(), ending) {
        (ReservationState::Held, _) => end(store, reservation, ending).await.map(|(changes, _)| changes),
        (ReservationState::Committed, Ending::GivenBack | Ending::Expired) => restock(store, reservation).await,
        (ReservationState::ConfirmedAhead, Ending::GivenBack | Ending::Expired) => {
            reservation.doc.cancel_ahead(now);
            Ok(Changes::new().replace(&reservation))
        }
        (
            ReservationState::Committed
            | ReservationState::Released
            | ReservationState::Expired
            | ReservationState::Refused
            | ReservationState::CancelledAhead
            | ReservationState::ConfirmedAhead,
            _,
        ) => Ok(Changes::new()),
    }
}

/// Ends a hold and gives the state that it is in then.
///
/// # Errors
/// When the store does not answer, the reservation is not held, or the levels contradict it.
pub(crate) async fn end(
    store: &Store,
    mut reservation: Stored<Reservation>,
    ending: Ending,
) -> Result<(Changes, ReservationState), StoreError> {
    let now = store.clock().now();
    let mut shelf = Shelf::read(store, reservation.doc.lines()).await?;
    match ending {
        Ending::Sold => {
            reservation.doc.commit(now)?;
            shelf.sell(store, reservation.doc.order())?;
        }
        Ending::GivenBack => {
            reservation.doc.release(now)?;
            shelf.release()?;
        }
        Ending::Expired => {
            reservation.doc.expire(now)?;
            shelf.release()?;
        }
    }
    Ok((shelf.changes().replace(&reservation), reservation.doc.state()))
}

async fn restock(store: &Store, mut reservation: Stored<Reservation>) -> Result<Changes, StoreError> {
    if reservation.doc.restocked_at().is_some() {
        return Ok(Changes::new());
    }
    let mut shelf = Shelf::read(store, reservation.doc.lines()).await?;
    shelf.take_back(store, reservation.doc.order())?;
    reservation.doc.restock(store.clock().now());
    Ok(shelf.changes().replace(&reservation))
}

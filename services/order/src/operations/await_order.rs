//! Waits for an order to end, or to need its shopper, whichever instance brings that about.

use std::time::Duration;

use cartwright_vocabulary::OrderId;

use crate::documents::{Order, order};
use crate::{Desk, OrderError};

/// How often the order is looked at where no hint comes: another instance may have finished it.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The order, as soon as it ended or needs its shopper, or as it is after `limit`.
pub(crate) async fn await_order(desk: &Desk, id: OrderId, limit: Duration) -> Result<Order, OrderError> {
    let mut hints = desk.broadcast.listen(id.to_string());
    let watch = desk.store.clock().stopwatch();
    loop {
        let order = order(&desk.store, id).await?.ok_or(OrderError::Unknown)?.doc;
        let left = limit.saturating_sub(watch.elapsed());
        if order.stage.is_worth_telling() || left.is_zero() {
            return Ok(order);
        }
        tokio::select! {
            () = hints.next() => {}
            () = desk.store.clock().pause(left.min(LOOK_AGAIN)) => {}
        }
    }
}

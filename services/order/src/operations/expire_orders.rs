//! Cancels orders that were not paid in time. Any instance may do it.

use cartwright_store::{Decision, Lane, change};

use crate::documents::{Order, order, past_deadline};
use crate::domain::News;
use crate::reactions::hear;
use crate::{Desk, OrderError};

/// Cancels each order past its deadline. One that cannot be cancelled waits for the next time and keeps no other waiting.
///
/// # Errors
/// What kept the last one of those.
pub(crate) async fn expire_orders(desk: &Desk) -> Result<(), OrderError> {
    let mut kept = Ok(());
    for late in past_deadline(&desk.store, desk.store.clock().now(), 200).await? {
        let id = late.doc.id;
        let cancelled = change(&desk.store, Lane::of::<Order>(id.to_string()), |view| async move {
            let Some(mut stored) = order(&view, id).await? else { return Ok(Decision::unchanged(())) };
            let now = view.clock().now();
            if stored.doc.deadline.is_none_or(|deadline| deadline > now) {
                return Ok(Decision::unchanged(()));
            }
            Ok::<_, OrderError>(Decision::new(hear(&view, &mut stored, &News::DeadlinePassed), ()))
        })
        .await;
        kept = cancelled.and(kept);
    }
    kept
}

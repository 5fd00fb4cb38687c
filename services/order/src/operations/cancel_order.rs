//! Cancels an order: stock and money go back.

use cartwright_http::Caller;
use cartwright_store::{Answer, Decision, Lane, Request, execute};
use cartwright_vocabulary::OrderId;

use crate::documents::{Order, order};
use crate::domain::{Canceller, News};
use crate::reactions::hear;
use crate::{Desk, OrderError};

/// Cancels an order that its owner or an admin asks to be cancelled; cancelled already, nothing changes.
///
/// # Errors
/// [`OrderError::Unknown`] where it is somebody else's.
pub(crate) async fn cancel_order(
    desk: &Desk,
    request: &Request,
    id: OrderId,
    caller: &Caller,
) -> Result<Answer<OrderId>, OrderError> {
    execute(&desk.store, request, Lane::of::<Order>(id.to_string()), |view| async move {
        let mut stored = order(&view, id).await?.ok_or(OrderError::Unknown)?;
        caller.may_act_for(&stored.doc.user_id.to_string()).map_err(|_| OrderError::Unknown)?;
        let owner = caller.id == stored.doc.user_id.to_string();
        let news = News::Cancelled(if owner { Canceller::Customer } else { Canceller::Admin });
        Ok(Decision::new(hear(&view, &mut stored, &news), id))
    })
    .await
}

//! Gives up an attempt that waits for its shopper, or lets go of the money of a cancelled order.

use cartwright_contracts::OrderState;
use cartwright_http::Caller;
use cartwright_store::{Changes, Decision, Store, change};
use cartwright_vocabulary::{OrderId, PaymentId, RefundId};

use crate::documents::{AttemptState, Payment, payment_for};
use crate::domain::payment::{CannotPay, Step};
use crate::error::PaymentError;
use crate::performing::wake;
use crate::till::{Till, lane};
use crate::views::PaymentView;

/// Voids, and waits for what comes of it, for as long as the settings say. Again, it answers how it stands.
///
/// Money that an open or confirmed order stands on is never let go of: cancel the order.
pub(crate) async fn void_payment(
    till: &Till,
    caller: &Caller,
    id: PaymentId,
) -> Result<Option<PaymentView>, PaymentError> {
    let order = till.located(caller, id).await?.doc.order;
    change(&till.store, lane(order), |view| give_up(till, view, order, id)).await?;
    let payment = till.outcome(order, |payment| payment.next_step() != Some(Step::Void(id))).await?;
    Ok(PaymentView::of(&payment, id))
}

async fn give_up(till: &Till, view: Store, order: OrderId, id: PaymentId) -> Result<Decision<()>, PaymentError> {
    let mut stored = payment_for(&view, order).await?.ok_or(PaymentError::UnknownPayment)?;
    let Payment { closed, .. } = stored.doc;
    let attempt = stored.doc.attempt_mut(id).ok_or(PaymentError::UnknownPayment)?;
    match attempt.state {
        AttemptState::Voided | AttemptState::Failed => return Ok(Decision::unchanged(())),
        AttemptState::RequiresAction => attempt.given_up = true,
        AttemptState::Processing => return Err(CannotPay::InProgress.into()),
        AttemptState::Authorized if closed => return Ok(Decision::unchanged(())),
        AttemptState::Authorized if till.orders.state(order).await? == Some(OrderState::Cancelled) => {
            stored.doc.close(RefundId::new(view.ids().uuid()), view.clock().now());
        }
        AttemptState::Authorized | AttemptState::Captured => return Err(PaymentError::NotVoidable),
    }
    wake(&mut stored.doc, &view);
    Ok(Decision::new(Changes::new().replace(&stored), ()))
}

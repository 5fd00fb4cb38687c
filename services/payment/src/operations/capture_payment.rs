//! Takes the money of a confirmed order, also where that failed before.

use cartwright_contracts::OrderState;
use cartwright_http::Caller;
use cartwright_store::{Changes, Decision, Store, change};
use cartwright_vocabulary::{OrderId, PaymentId};

use crate::documents::{AttemptState, Payment, payment_for};
use crate::domain::payment::Step;
use crate::error::PaymentError;
use crate::performing::wake;
use crate::till::{Till, lane};
use crate::views::PaymentView;

/// Captures, and waits for what comes of it, for as long as the settings say. Again, it answers how it stands.
pub(crate) async fn capture_payment(
    till: &Till,
    caller: &Caller,
    id: PaymentId,
) -> Result<Option<PaymentView>, PaymentError> {
    let order = till.located(caller, id).await?.doc.order;
    change(&till.store, lane(order), |view| demand(till, view, order, id)).await?;
    let payment = till.outcome(order, |payment| payment.next_step() != Some(Step::Capture(id))).await?;
    Ok(PaymentView::of(&payment, id))
}

async fn demand(till: &Till, view: Store, order: OrderId, id: PaymentId) -> Result<Decision<()>, PaymentError> {
    let mut stored = payment_for(&view, order).await?.ok_or(PaymentError::UnknownPayment)?;
    let sold = stored.doc.sold || till.orders.state(order).await? == Some(OrderState::Confirmed);
    let Payment { closed, .. } = stored.doc;
    let attempt = stored.doc.attempt_mut(id).ok_or(PaymentError::UnknownPayment)?;
    match attempt.state {
        AttemptState::Captured => return Ok(Decision::unchanged(())),
        AttemptState::Authorized if sold && !closed => {
            attempt.capture_failed = false;
            attempt.capture_failing_since = None;
        }
        AttemptState::Processing
        | AttemptState::RequiresAction
        | AttemptState::Authorized
        | AttemptState::Voided
        | AttemptState::Failed => return Err(PaymentError::NotCapturable),
    }
    stored.doc.sold = true;
    wake(&mut stored.doc, &view);
    Ok(Decision::new(Changes::new().replace(&stored), ()))
}

//! Pays an order that waits for it, again or with another method.

use cartwright_http::Command;
use cartwright_store::{Answer, Changes, Decision, Store, execute};
use cartwright_vocabulary::{OrderId, PaymentId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::documents::{AttemptPlace, AttemptState, Payment, payment_for};
use crate::domain::payment::CannotPay;
use crate::error::PaymentError;
use crate::performing::wake;
use crate::till::{Till, lane, may_see};
use crate::views::PaymentView;

/// What is asked for. Amount and currency come from the order.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProcessPayment {
    /// The order to pay.
    #[schema(value_type = OrderId)]
    pub(crate) order_id: String,
    /// The provider's token for how it is paid; never a card number.
    #[schema(example = "pm_card_visa", min_length = 1, max_length = 255)]
    pub(crate) payment_method: String,
}

/// Begins an attempt and waits for what comes of it, for as long as the settings say.
pub(crate) async fn process_payment(
    till: &Till,
    command: Command<ProcessPayment>,
) -> Result<Answer<Option<PaymentView>>, PaymentError> {
    let wanted = &command.body;
    if !(1..=255).contains(&wanted.payment_method.len()) {
        return Err(PaymentError::invalid("/paymentMethod", "1 to 255 characters"));
    }
    // Ids are opaque to callers: a text that cannot be one names no order.
    let order: OrderId = wanted.order_id.parse().map_err(|_| PaymentError::UnknownOrder)?;
    let begun: Answer<PaymentId> =
        execute(&till.store, &command.request, lane(order), |view| begin(till, &command, order, view)).await?;
    let payment = till.outcome(order, |payment| !is_processing(payment, begun.reply)).await?;
    Ok(Answer { reply: PaymentView::of(&payment, begun.reply), replayed: begun.replayed })
}

async fn begin(
    till: &Till,
    command: &Command<ProcessPayment>,
    order: OrderId,
    view: Store,
) -> Result<Decision<PaymentId>, PaymentError> {
    let payable = till.orders.payable(order).await?.filter(|payable| may_see(&command.caller, payable.user));
    let payable = payable.ok_or(PaymentError::UnknownOrder)?;
    let (mut payment, revision) = match payment_for(&view, order).await? {
        Some(stored) => (stored.doc, Some(stored.revision)),
        None => (Payment::new(order, payable.user, view.clock().now()), None),
    };
    let (id, now) = (PaymentId::new(view.ids().uuid()), view.clock().now());
    payment.begin(id, payable.amount, command.body.payment_method.clone(), now)?;
    if !payable.awaiting_payment {
        return Err(CannotPay::NotWanted.into());
    }
    wake(&mut payment, &view);
    let place = AttemptPlace { payment: id, order };
    Ok(Decision::new(Changes::new().save(&payment, revision).insert(&place), id))
}

fn is_processing(payment: &Payment, id: PaymentId) -> bool {
    payment.attempt(id).is_some_and(|attempt| attempt.state == AttemptState::Processing)
}

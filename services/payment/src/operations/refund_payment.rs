//! Gives captured money back, some or all of it.

use cartwright_http::Command;
use cartwright_store::{Answer, Changes, Decision, Store, execute};
use cartwright_vocabulary::{DecimalText, Money, OrderId, PaymentId, RefundId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::documents::{Payment, Refund, RefundState, payment_for};
use crate::error::PaymentError;
use crate::performing::wake;
use crate::till::{Till, lane};
use crate::views::RefundView;

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RefundPayment {
    /// The attempt whose money was taken.
    #[schema(value_type = PaymentId)]
    pub(crate) payment_id: String,
    /// How much goes back, in the payment's currency; all that is left where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) amount: Option<DecimalText>,
    /// Why.
    #[schema(min_length = 1, max_length = 500)]
    pub(crate) reason: String,
}

/// Writes the refund down and waits for what comes of it, for as long as the settings say.
pub(crate) async fn refund_payment(
    till: &Till,
    command: Command<RefundPayment>,
) -> Result<Answer<Option<RefundView>>, PaymentError> {
    let wanted = &command.body;
    if !(1..=500).contains(&wanted.reason.chars().count()) {
        return Err(PaymentError::invalid("/reason", "1 to 500 characters"));
    }
    // Ids are opaque to callers: a text that cannot be one names no payment.
    let payment: PaymentId = wanted.payment_id.parse().map_err(|_| PaymentError::UnknownPayment)?;
    let order = till.located(&command.caller, payment).await?.doc.order;
    let begun: Answer<RefundId> =
        execute(&till.store, &command.request, lane(order), |view| begin(view, order, payment, wanted)).await?;
    let is_pending = |refund: &Refund| refund.state == RefundState::Pending;
    let payment = till.outcome(order, |payment| !payment.refund(begun.reply).is_some_and(is_pending)).await?;
    Ok(Answer { reply: payment.refund(begun.reply).map(RefundView::from), replayed: begun.replayed })
}

async fn begin(
    view: Store,
    order: OrderId,
    payment: PaymentId,
    wanted: &RefundPayment,
) -> Result<Decision<RefundId>, PaymentError> {
    let mut stored = payment_for(&view, order).await?.ok_or(PaymentError::UnknownPayment)?;
    let amount = amount(&stored.doc, payment, wanted)?;
    let (id, now) = (RefundId::new(view.ids().uuid()), view.clock().now());
    stored.doc.refunds.push(Refund {
        id,
        amount,
        reason: wanted.reason.clone(),
        state: RefundState::Pending,
        undoes_sale: false,
        started_at: now,
        changed_at: now,
    });
    wake(&mut stored.doc, &view);
    Ok(Decision::new(Changes::new().replace(&stored), id))
}

/// What goes back: what was asked for, where that much is left.
fn amount(payment: &Payment, id: PaymentId, wanted: &RefundPayment) -> Result<Money, PaymentError> {
    let is_the_one = payment.funded().is_some_and(|attempt| attempt.payment == id);
    let left = payment.refundable().filter(|_| is_the_one).ok_or(PaymentError::NothingCaptured)?;
    let asked = match &wanted.amount {
        Some(text) => text.in_currency(left.currency()).map_err(|error| PaymentError::invalid("/amount", error))?,
        None => left,
    };
    if wanted.amount.is_some() && asked.minor() <= 0 {
        return Err(PaymentError::invalid("/amount", "more than nothing"));
    }
    if asked.minor() > left.minor() || left.minor() == 0 {
        return Err(PaymentError::RefundTooLarge(left));
    }
    Ok(asked)
}

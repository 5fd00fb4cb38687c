//! Asks the provider where an attempt stands, now, and records the answer.

use cartwright_http::Caller;
use cartwright_store::{Decision, Stored, change};
use cartwright_vocabulary::PaymentId;

use crate::documents::{Payment, payment_for};
use crate::domain::payment::{Reply, Step};
use crate::error::PaymentError;
use crate::performing::{record_asked, within};
use crate::provider::Standing;
use crate::till::{Till, lane};
use crate::views::PaymentView;

/// The attempt as the provider sees it.
pub(crate) async fn validate_payment(
    till: &Till,
    caller: &Caller,
    id: PaymentId,
) -> Result<Option<PaymentView>, PaymentError> {
    let before = till.located(caller, id).await?;
    let answer = within(till.store.clock(), till.provider.ask(id)).await?;
    // That it has not heard of the attempt yet is for the performer to judge: the attempt may be on its way.
    let payment = match answer {
        Some(standing) => record(till, &before, id, standing).await?,
        None => before.doc,
    };
    Ok(PaymentView::of(&payment, id))
}

/// Records the answer, unless the attempt moved meanwhile: then the answer is older than what is known.
async fn record(
    till: &Till,
    before: &Stored<Payment>,
    id: PaymentId,
    standing: Standing,
) -> Result<Payment, PaymentError> {
    let order = before.doc.order;
    change(&till.store, lane(order), |view| {
        let standing = standing.clone();
        async move {
            let stored = payment_for(&view, order).await?.ok_or(PaymentError::UnknownPayment)?;
            if stored.doc.attempt(id) != before.doc.attempt(id) {
                return Ok(Decision::unchanged(stored.doc));
            }
            Ok(record_asked(&view, stored, Step::Ask(id), Reply::Stands(standing)))
        }
    })
    .await
}

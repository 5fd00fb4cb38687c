//! Acting on the provider: one step of one payment at a time, and recording what came of it together with its news.
//!
//! Promises that an answer that never came is asked for, and that money moved is in the journal by the same commit.

use std::sync::Arc;
use std::time::Duration;

use cartwright_contracts::{
    PaymentActionRequired, PaymentAuthorized, PaymentCaptureFailed, PaymentCaptured, PaymentDeclined, PaymentRefunded,
    PaymentVoided,
};
use cartwright_runtime::{Clock, Tasks, Time};
use cartwright_store::{Changes, Decision, Lease, Performer, Store, StoreError, Stored};
use cartwright_vocabulary::{PaymentId, RefundId};

use crate::documents::{Attempt, JournalEntry, Payment};
use crate::domain::payment::{Changed, News, Pace, Reply, Step};
use crate::provider::{PaymentProvider, ProviderError};

/// How long the provider has for an answer (R-L 3).
const PROVIDER_ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// What was tried, and what came of it.
type Outcome = Option<(Step, Result<Reply, ProviderError>)>;

/// Performs what is due on payments until the program stops.
pub(crate) async fn perform(store: Store, provider: Arc<dyn PaymentProvider>, ask_first_after: Duration, tasks: Tasks) {
    let clock = store.clock().clone();
    let act = move |payment: Payment| act(Arc::clone(&provider), clock.clone(), payment);
    let settle = move |store: Store, stored: Stored<Payment>, outcome: Outcome| async move {
        Ok::<_, StoreError>(settle(&store, stored, outcome, ask_first_after))
    };
    Performer::<Payment>::new(store).run(tasks, act, settle).await;
}

async fn act(provider: Arc<dyn PaymentProvider>, clock: Clock, payment: Payment) -> Outcome {
    let step = payment.next_step()?;
    let call = call(&*provider, &payment, step);
    Some((step, within(&clock, call).await))
}

/// What `call` gives, bounded in time: what takes longer may or may not have happened.
pub(crate) async fn within<T>(
    clock: &Clock,
    call: impl Future<Output = Result<T, ProviderError>>,
) -> Result<T, ProviderError> {
    let late = || Err(ProviderError::Unknown("no answer in time".to_owned()));
    clock.timeout(PROVIDER_ANSWERS_WITHIN, call).await.unwrap_or_else(late)
}

async fn call(provider: &dyn PaymentProvider, payment: &Payment, step: Step) -> Result<Reply, ProviderError> {
    let missing = || ProviderError::Refused("the document does not say what it needs".to_owned());
    let key = step.payment();
    match step {
        Step::Authorise(_) => {
            let attempt = payment.attempt(key).ok_or_else(missing)?;
            let amount = payment.amount.ok_or_else(missing)?;
            provider.authorise(key, amount, &attempt.method).await.map(Reply::Stands)
        }
        Step::Ask(_) => provider.ask(key).await.map(|answer| answer.map_or(Reply::NeverHeard, Reply::Stands)),
        Step::Void(_) => provider.void(key).await.map(Reply::Stands),
        Step::Capture(_) => {
            let amount = payment.amount.ok_or_else(missing)?;
            provider.capture(key, amount).await.map(Reply::Stands)
        }
        Step::Refund(_, id) => {
            let refund = payment.refund(id).ok_or_else(missing)?;
            provider.refund(key, id, refund.amount).await.map(|()| Reply::Refunded)
        }
    }
}

fn settle(store: &Store, mut stored: Stored<Payment>, outcome: Outcome, ask_first_after: Duration) -> Changes {
    let Some((step, reply)) = outcome else { return Changes::new() };
    let now = store.clock().now();
    if let Err(error) = &reply {
        tracing::info!(order = %stored.doc.order, ?step, %error, "the provider will be asked again");
    }
    let (news, changed) = stored.doc.record(step, reply, RefundId::new(store.ids().uuid()), now);
    let lease = match stored.doc.pace(changed, ask_first_after) {
        None => stored.doc.lease.next(now),
        Some(Pace::Now) => stored.doc.lease.next_held(store),
        Some(Pace::Later { first, most, anew }) => later(&stored.doc.lease, now, first, most, anew),
    };
    stored.doc.put_under(lease);
    announce(Changes::new().replace(&stored), &stored.doc, &news, now)
}

fn later(lease: &Lease, now: Time, first: Duration, most: Duration, anew: bool) -> Lease {
    let failures = if anew { 0 } else { lease.failures };
    let again = Lease { failures, ..lease.clone() }.again(now, first);
    Lease { due: again.due.min(now.plus(most)), ..again }
}

/// Lets this process go on with what is to be done, unless somebody is at it: they look at the document when they record.
pub(crate) fn wake(payment: &mut Payment, store: &Store) {
    if payment.next_step().is_some() && payment.lease.holder.is_none() {
        let lease = payment.lease.next_held(store);
        payment.put_under(lease);
    }
}

/// Records what the provider said to somebody who asked beside the performer; answers with the payment as it is then.
pub(crate) fn record_asked(store: &Store, mut stored: Stored<Payment>, step: Step, reply: Reply) -> Decision<Payment> {
    let now = store.clock().now();
    let (news, changed) = stored.doc.record(step, Ok(reply), RefundId::new(store.ids().uuid()), now);
    if changed == Changed::No {
        return Decision::new(announce(Changes::new(), &stored.doc, &news, now), stored.doc);
    }
    if stored.doc.next_step().is_none() {
        stored.doc.put_under(stored.doc.lease.next(now));
    }
    wake(&mut stored.doc, store);
    let changes = announce(Changes::new().replace(&stored), &stored.doc, &news, now);
    Decision::new(changes, stored.doc)
}

/// The events that tell `news`, and the journal's entries of what it moved.
fn announce(changes: Changes, payment: &Payment, news: &[News], now: Time) -> Changes {
    news.iter().fold(changes, |changes, news| match news {
        News::Captured(id) => captured(changes, payment, *id, now),
        News::Refunded(id, refund) => refunded(changes, payment, (*id, *refund), now),
        News::Authorized(id) | News::Declined(id) | News::ActionRequired(id) => attempted(changes, payment, news, *id),
        News::CaptureFailed(id, cause) => {
            tracing::error!(order = %payment.order, payment = %id, cause, "the money of a confirmed order could not be taken");
            changes.publish(&PaymentCaptureFailed { order: payment.order, payment: *id, cause: cause.clone() })
        }
        News::Voided(id) => changes.publish(&PaymentVoided { order: payment.order, payment: *id }),
        News::RefundFailed(refund) => {
            tracing::error!(order = %payment.order, %refund, "a refund was given up; somebody has to look at it");
            changes
        }
        News::Contradiction(id) => {
            tracing::error!(order = %payment.order, payment = %id, "the provider contradicts what was recorded; somebody has to look at it");
            changes
        }
    })
}

fn attempted(changes: Changes, payment: &Payment, news: &News, id: PaymentId) -> Changes {
    let (Some(it), Some(amount)) = (payment.attempt(id), payment.amount) else { return changes };
    let Attempt { number: attempt, decline_code, url, .. } = it;
    let (order, attempt) = (payment.order, *attempt);
    if matches!(news, News::Authorized(_)) {
        changes.publish(&PaymentAuthorized { order, payment: id, attempt, amount })
    } else if matches!(news, News::Declined(_)) {
        let decline_code = decline_code.clone().unwrap_or_default();
        changes.publish(&PaymentDeclined { order, payment: id, attempt, decline_code })
    } else {
        changes.publish(&PaymentActionRequired { order, payment: id, attempt, url: url.clone().unwrap_or_default() })
    }
}

fn captured(changes: Changes, payment: &Payment, id: PaymentId, at: Time) -> Changes {
    let (order, Some(amount)) = (payment.order, payment.captured) else { return changes };
    let entry = JournalEntry::capture(order, id, amount, at);
    changes.insert(&entry).publish(&PaymentCaptured { order, payment: id, amount, at })
}

fn refunded(changes: Changes, payment: &Payment, (id, refund): (PaymentId, RefundId), at: Time) -> Changes {
    let (order, Some(amount)) = (payment.order, payment.refund(refund).map(|it| it.amount)) else { return changes };
    let entry = JournalEntry::refund(order, id, refund, amount, at);
    changes.insert(&entry).publish(&PaymentRefunded { order, payment: id, refund, amount })
}

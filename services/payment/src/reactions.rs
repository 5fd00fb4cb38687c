//! What orders mean for their payments. Right in any order of arrival: an end that comes first leaves a tombstone.

use cartwright_bus::{Failure, Subscription};
use cartwright_contracts::{OrderCancelled, OrderConfirmed, PaymentRequested};
use cartwright_store::{Changes, Lane, Store, StoreError};
use cartwright_vocabulary::{OrderId, PaymentId, RefundId, UserId};

use crate::documents::{AttemptPlace, Payment, payment_for};
use crate::performing::wake;

/// Everything the service reacts to.
pub(crate) fn subscriptions(store: &Store) -> Vec<Subscription> {
    vec![
        Subscription::new(
            store,
            |event: &PaymentRequested| lane(event.order),
            |store, event| async move { on_payment_requested(&store, &event).await.map_err(Failure::from) },
        ),
        Subscription::new(
            store,
            |event: &OrderConfirmed| lane(event.order),
            |store, event| async move { on_order_confirmed(&store, &event).await.map_err(Failure::from) },
        ),
        Subscription::new(
            store,
            |event: &OrderCancelled| lane(event.order),
            |store, event| async move { on_order_cancelled(&store, &event).await.map_err(Failure::from) },
        ),
    ]
}

/// The first attempt is written down; where there is one, or the order is over, nothing is to be done.
async fn on_payment_requested(store: &Store, event: &PaymentRequested) -> Result<Changes, StoreError> {
    let (mut payment, revision) = load(store, event.order, event.user).await?;
    if !payment.attempts.is_empty() {
        return Ok(Changes::new());
    }
    let (id, now) = (PaymentId::new(store.ids().uuid()), store.clock().now());
    if payment.begin(id, event.amount, event.payment_method.clone(), now).is_err() {
        return Ok(Changes::new());
    }
    wake(&mut payment, store);
    let place = AttemptPlace { payment: id, order: event.order };
    Ok(Changes::new().save(&payment, revision).insert(&place))
}

/// A confirmed order's money is due, also where nobody knows of it yet.
async fn on_order_confirmed(store: &Store, event: &OrderConfirmed) -> Result<Changes, StoreError> {
    let (mut payment, revision) = load(store, event.order, event.user).await?;
    payment.sold = true;
    wake(&mut payment, store);
    Ok(Changes::new().save(&payment, revision))
}

/// A cancelled order's money is let go of or given back, and none is ever held for it again.
async fn on_order_cancelled(store: &Store, event: &OrderCancelled) -> Result<Changes, StoreError> {
    let (mut payment, revision) = load(store, event.order, event.user).await?;
    payment.close(RefundId::new(store.ids().uuid()), store.clock().now());
    wake(&mut payment, store);
    Ok(Changes::new().save(&payment, revision))
}

async fn load(store: &Store, order: OrderId, user: UserId) -> Result<(Payment, Option<u64>), StoreError> {
    Ok(match payment_for(store, order).await? {
        Some(stored) => (stored.doc, Some(stored.revision)),
        None => (Payment::new(order, user, store.clock().now()), None),
    })
}

fn lane(order: OrderId) -> Lane {
    Lane::of::<Payment>(order.to_string())
}

//! What an order makes of the news that stock and payment send.

use std::sync::Arc;
use std::time::Duration;

use cartwright_bus::Failure;
use cartwright_contracts::{
    OrderCancelled, OrderConfirmed, PaymentActionRequired, PaymentAuthorized, PaymentDeclined, PaymentRequested,
    StockRefused, StockReserved,
};
use cartwright_store::{Changes, Store, Stored};
use cartwright_vocabulary::OrderId;

use crate::documents::{Order, order};
use crate::domain::{Announcement, News, NextAction};

/// Its stock is held: its money is wanted.
pub(crate) async fn on_stock_reserved(store: Store, event: Arc<StockReserved>) -> Result<Changes, Failure> {
    tell(&store, event.order, |_| News::StockReserved).await
}

/// Something was missing: it is cancelled.
pub(crate) async fn on_stock_refused(store: Store, event: Arc<StockRefused>) -> Result<Changes, Failure> {
    tell(&store, event.order, |_| News::StockRefused).await
}

/// Its money is held: it is sold.
pub(crate) async fn on_payment_authorized(store: Store, event: Arc<PaymentAuthorized>) -> Result<Changes, Failure> {
    tell(&store, event.order, |_| News::Authorized(event.attempt)).await
}

/// It was declined: its shopper may choose another method until the deadline, `patience` from the first time on.
pub(crate) async fn on_payment_declined(
    store: Store,
    event: Arc<PaymentDeclined>,
    patience: Duration,
) -> Result<Changes, Failure> {
    let decline_code = event.decline_code.clone();
    await_shopper(&store, event.order, patience, |expires_at| {
        let next_action = NextAction::ChoosePaymentMethod { decline_code, expires_at };
        News::Declined { attempt: event.attempt, next_action }
    })
    .await
}

/// Its shopper has to take a step at the provider until the deadline, `patience` from the first time on.
pub(crate) async fn on_payment_action_required(
    store: Store,
    event: Arc<PaymentActionRequired>,
    patience: Duration,
) -> Result<Changes, Failure> {
    let url = event.url.clone();
    await_shopper(&store, event.order, patience, |expires_at| {
        let next_action = NextAction::Authenticate { url, expires_at };
        News::ActionRequired { attempt: event.attempt, next_action }
    })
    .await
}

async fn await_shopper(
    store: &Store,
    id: OrderId,
    patience: Duration,
    news: impl FnOnce(cartwright_runtime::Time) -> News,
) -> Result<Changes, Failure> {
    let now = store.clock().now();
    tell(store, id, |order| {
        let waits_already = order.stage.next_action().is_some();
        let expires_at = order.deadline.filter(|_| waits_already).unwrap_or_else(|| now.plus(patience));
        if order.stage.is_open() {
            order.deadline = Some(expires_at);
        }
        news(expires_at)
    })
    .await
}

async fn tell(store: &Store, id: OrderId, news: impl FnOnce(&mut Order) -> News) -> Result<Changes, Failure> {
    let mut stored = order(store, id).await?.ok_or_else(|| Failure::Refused(format!("there is no order {id}")))?;
    let news = news(&mut stored.doc);
    Ok(hear(store, &mut stored, &news))
}

/// Takes the news into account: the order as it is then, and what the others are told about it; nothing for old news.
pub(crate) fn hear(store: &Store, stored: &mut Stored<Order>, news: &News) -> Changes {
    if !stored.doc.hear(news, store.clock().now()) {
        return Changes::new();
    }
    let changes = Changes::new().replace(stored);
    let Order { id: order, user_id: user, cart_id: cart, .. } = stored.doc;
    match stored.doc.stage.announcement() {
        None => changes,
        Some(Announcement::PaymentRequested) => changes.publish(&PaymentRequested {
            order,
            user,
            amount: stored.doc.totals.total,
            payment_method: stored.doc.payment_method.clone(),
        }),
        Some(Announcement::Confirmed) => changes.publish(&OrderConfirmed { order, user, cart }),
        Some(Announcement::Cancelled(reason)) => changes.publish(&OrderCancelled { order, user, cart, reason }),
    }
}

//! What inventory does when orders begin and end and products appear. Each is right in any order, and once.

use std::time::Duration;

use cartwright_bus::Subscription;
use cartwright_contracts::{OrderCancelled, OrderConfirmed, OrderCreated, ProductChanged};
use cartwright_store::{Lane, Store};

use crate::documents::StockLevel;
use crate::operations::{Ending, end_of_order, lane_of_lines, lane_of_reservation, open_level, reserve_for_order};

/// Everything that inventory reacts to. A hold made for an order is looked at again after `hold_ttl`.
pub(crate) fn subscriptions(store: &Store, hold_ttl: Duration) -> Vec<Subscription> {
    vec![order_created(store, hold_ttl), order_confirmed(store), order_cancelled(store), product_changed(store)]
}

fn order_created(store: &Store, hold_ttl: Duration) -> Subscription {
    Subscription::new(
        store,
        |event: &OrderCreated| lane_of_lines(&event.order.to_string(), event.items.iter().map(|item| item.product)),
        move |store, event| async move { Ok(reserve_for_order(&store, &event, hold_ttl).await?) },
    )
}

fn order_confirmed(store: &Store) -> Subscription {
    Subscription::looking(
        store,
        |store, event: std::sync::Arc<OrderConfirmed>| async move {
            lane_of_reservation(&store, &event.order.to_string()).await
        },
        |store, event| async move { Ok(end_of_order(&store, &event.order.to_string(), Ending::Sold).await?) },
    )
}

fn order_cancelled(store: &Store) -> Subscription {
    Subscription::looking(
        store,
        |store, event: std::sync::Arc<OrderCancelled>| async move {
            lane_of_reservation(&store, &event.order.to_string()).await
        },
        |store, event| async move { Ok(end_of_order(&store, &event.order.to_string(), Ending::GivenBack).await?) },
    )
}

fn product_changed(store: &Store) -> Subscription {
    Subscription::new(
        store,
        |event: &ProductChanged| Lane::of::<StockLevel>(event.product.to_string()),
        |store, event| async move { Ok(open_level(&store, &event).await?) },
    )
}

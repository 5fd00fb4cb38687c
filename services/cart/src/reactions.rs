//! What happens to a cart when its order ends. Right in any order: only the freeze of this very order is ended.

use std::sync::Arc;

use cartwright_bus::Failure;
use cartwright_contracts::{OrderCancelled, OrderConfirmed};
use cartwright_store::{Changes, Store};

use crate::documents::cart_of;

/// The cart is empty and remembers its order.
pub(crate) async fn on_order_confirmed(store: Store, event: Arc<OrderConfirmed>) -> Result<Changes, Failure> {
    match cart_of(&store, event.user).await? {
        Some(mut stored) if stored.doc.is_frozen_for(event.order) => {
            stored.doc.close(event.order, store.clock().now());
            Ok(Changes::new().replace(&stored))
        }
        Some(_) | None => Ok(Changes::new()),
    }
}

/// The shopper goes on with what was in the cart.
pub(crate) async fn on_order_cancelled(store: Store, event: Arc<OrderCancelled>) -> Result<Changes, Failure> {
    match cart_of(&store, event.user).await? {
        Some(mut stored) if stored.doc.is_frozen_for(event.order) => {
            stored.doc.thaw(store.clock().now());
            Ok(Changes::new().replace(&stored))
        }
        Some(_) | None => Ok(Changes::new()),
    }
}

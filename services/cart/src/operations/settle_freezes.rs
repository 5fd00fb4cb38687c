//! Settles freezes of whose order nothing was heard: a crash between freeze and order, or a lost wake-up.

use cartwright_contracts::{OrderState, Settled};
use cartwright_store::{Changes, StoreError, Stored};

use crate::documents::{Cart, long_frozen};
use crate::{CartError, Shop};

/// Asks order about each long frozen cart, and thaws, closes or leaves it accordingly.
pub(crate) async fn settle_freezes(shop: &Shop) -> Result<(), CartError> {
    for stored in long_frozen(&shop.store, shop.store.clock().now(), 100).await? {
        match settle(shop, stored).await {
            // Somebody changed the cart meanwhile, who has asked order too.
            Ok(()) | Err(CartError::Store(StoreError::Conflict { .. })) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn settle(shop: &Shop, mut stored: Stored<Cart>) -> Result<(), CartError> {
    let now = shop.store.clock().now();
    let cart = &mut stored.doc;
    match shop.peers.orders.settle(cart.id, cart.version).await? {
        Settled::Abandoned | Settled::Order { state: OrderState::Cancelled, .. } => cart.thaw(now),
        Settled::Order { order, state: OrderState::Confirmed } => cart.close(order, now),
        Settled::Order { state: OrderState::Open, .. } => cart.ask_later(now),
    }
    Ok(shop.store.commit(Changes::new().replace(&stored)).await?)
}

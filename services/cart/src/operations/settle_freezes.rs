//! Settles freezes of whose order nothing was heard: a crash between freeze and order, or a lost wake-up.

use cartwright_contracts::{OrderState, Settled};
use cartwright_store::{Changes, Decision, Lane, Store, change};
use cartwright_vocabulary::{OrderId, UserId};

use crate::documents::{Cart, cart_of, long_frozen};
use crate::{CartError, Shop};

/// Asks order about each long frozen cart, and thaws, closes or leaves it accordingly. One that cannot be settled waits for
/// the next time and keeps no other waiting.
pub(crate) async fn settle_freezes(shop: &Shop) -> Result<(), CartError> {
    for stored in long_frozen(&shop.store, shop.store.clock().now(), 100).await? {
        let Some(frozen) = &stored.doc.frozen else { continue };
        let (user, order) = (stored.doc.user_id, frozen.order);
        let lane = Lane::of::<Cart>(user.to_string());
        if let Err(error) = change(&shop.store, lane, |view| settle(shop, view, user, order)).await {
            tracing::warn!(cart = %stored.doc.id, %order, %error, "a freeze could not be settled; it is tried again");
        }
    }
    Ok(())
}

/// Settles the freeze for `order`, unless it ended or was settled meanwhile.
async fn settle(shop: &Shop, view: Store, user: UserId, order: OrderId) -> Result<Decision<()>, CartError> {
    let now = view.clock().now();
    let Some(mut stored) = cart_of(&view, user).await? else { return Ok(Decision::unchanged(())) };
    let cart = &mut stored.doc;
    if !cart.frozen.as_ref().is_some_and(|frozen| frozen.order == order && frozen.ask_at < now) {
        return Ok(Decision::unchanged(()));
    }
    match shop.peers.orders.settle(cart.id, cart.version).await? {
        Settled::Abandoned | Settled::Order { state: OrderState::Cancelled, .. } => cart.thaw(now),
        Settled::Order { order, state: OrderState::Confirmed } => cart.close(order, now),
        Settled::Order { state: OrderState::Open, .. } => cart.ask_later(now),
    }
    Ok(Decision::new(Changes::new().replace(&stored), ()))
}

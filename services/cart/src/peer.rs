//! Cart as order asks it, in one process.

use async_trait::async_trait;
use cartwright_contracts::{Carts, Freeze, FreezeRefused, FrozenCart, PeerError, PricedCart, ProductStatus};
use cartwright_vocabulary::UserId;

use crate::documents::{Cart, cart_of};
use crate::operations::freeze_cart;
use crate::{CartError, Shop};

/// Answers from the cart's own store.
pub(crate) struct LocalCarts(Shop);

impl LocalCarts {
    pub(crate) const fn new(shop: Shop) -> Self {
        Self(shop)
    }

    async fn price(&self, user: UserId) -> Result<PricedCart, CartError> {
        let now = self.0.store.clock().now();
        let stored = cart_of(&self.0.store, user).await?;
        let mut cart = stored.map_or_else(|| Cart::empty(user, self.0.currency, now), |stored| stored.doc);
        let ids: Vec<_> = cart.lines.iter().map(|line| line.product).collect();
        let products = self.0.products(&ids).await?;
        cart.take_prices(&products);
        let last_order = cart.answers_order(now);
        let on_sale = |id| products.iter().any(|it| it.id == id && it.status == ProductStatus::Active);
        let (lines, gone): (Vec<_>, Vec<_>) = cart.lines.into_iter().partition(|line| on_sale(line.product));
        Ok(PricedCart {
            id: cart.id,
            version: cart.version,
            currency: cart.currency,
            lines,
            unavailable: gone.into_iter().map(|line| line.product).collect(),
            frozen_for: cart.frozen.map(|frozen| frozen.order),
            last_order,
        })
    }
}

#[async_trait]
impl Carts for LocalCarts {
    async fn priced(&self, user: UserId) -> Result<PricedCart, PeerError> {
        self.price(user).await.map_err(|error| PeerError { peer: "cart", cause: error.to_string() })
    }

    async fn freeze(&self, freeze: Freeze) -> Result<FrozenCart, FreezeRefused> {
        freeze_cart(&self.0, &freeze).await
    }
}

//! Shows a cart at today's prices.

use cartwright_contracts::ProductSnapshot;
use cartwright_vocabulary::{ProductId, UserId};

use crate::documents::{Cart, cart_of};
use crate::domain::{CartView, view};
use crate::{CartError, Shop};

/// The shopper's cart; an empty one if there is none yet.
pub(crate) async fn show_cart(shop: &Shop, user: UserId) -> Result<CartView, CartError> {
    let cart = match cart_of(&shop.store, user).await? {
        Some(stored) => stored.doc,
        None => Cart::empty(user, shop.currency, shop.store.clock().now()),
    };
    let ids: Vec<ProductId> = cart.lines.iter().map(|line| line.product).collect();
    let products = shop.products(&ids).await?;
    show(shop, &cart, &products).await
}

/// This cart with these products, as it is shown.
pub(crate) async fn show(shop: &Shop, cart: &Cart, products: &[ProductSnapshot]) -> Result<CartView, CartError> {
    let ids: Vec<ProductId> = cart.lines.iter().map(|line| line.product).collect();
    let stock = if ids.is_empty() { Vec::new() } else { shop.peers.stock.availability(&ids).await? };
    Ok(view(cart, products, &stock)?)
}

impl Shop {
    /// The products among `ids` that exist.
    pub(crate) async fn products(&self, ids: &[ProductId]) -> Result<Vec<ProductSnapshot>, CartError> {
        if ids.is_empty() { Ok(Vec::new()) } else { Ok(self.peers.catalogue.products(ids).await?) }
    }
}

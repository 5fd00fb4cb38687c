//! Freezes a cart for an order: from then on its contents are promised at the quoted prices.

use cartwright_contracts::{CartLine, Freeze, FreezeRefused, FrozenCart, ProductStatus};
use cartwright_store::{Changes, Decision, Lane, Store, StoreError, change};

use crate::documents::{Cart, cart_of};
use crate::domain::line_of;
use crate::{CartError, Shop};

enum NotFrozen {
    Refused(FreezeRefused),
    Store(StoreError),
}

impl From<StoreError> for NotFrozen {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<FreezeRefused> for NotFrozen {
    fn from(refused: FreezeRefused) -> Self {
        Self::Refused(refused)
    }
}

/// Re-prices the cart and freezes it; frozen before at this version, the first freeze is the answer.
///
/// # Errors
/// [`FreezeRefused`]; nothing changed then.
pub(crate) async fn freeze_cart(shop: &Shop, freeze: &Freeze) -> Result<FrozenCart, FreezeRefused> {
    let lane = Lane::of::<Cart>(freeze.user.to_string());
    change(&shop.store, lane, |view| async move { decide(shop, &view, freeze).await }).await.map_err(|not| match not {
        NotFrozen::Refused(refused) => refused,
        NotFrozen::Store(error) => FreezeRefused::Unavailable(error.to_string()),
    })
}

async fn decide(shop: &Shop, view: &Store, freeze: &Freeze) -> Result<Decision<FrozenCart>, NotFrozen> {
    let mut stored = cart_of(view, freeze.user).await?.ok_or(FreezeRefused::Empty)?;
    let cart = &mut stored.doc;
    if cart.version != freeze.version {
        return Err(FreezeRefused::Changed { present: cart.version }.into());
    }
    if let Some(frozen) = cart.frozen_cart() {
        return Ok(Decision::unchanged(frozen));
    }
    if cart.lines.is_empty() {
        return Err(FreezeRefused::Empty.into());
    }
    let lines = todays_lines(shop, cart).await.map_err(|error| FreezeRefused::Unavailable(error.to_string()))?;
    if lines.as_ref() != Some(&freeze.lines) {
        return Err(FreezeRefused::PriceChanged.into());
    }
    cart.freeze(freeze.order, freeze.lines.clone(), view.clock().now());
    let frozen = FrozenCart { order: freeze.order, id: cart.id, version: cart.version, lines: freeze.lines.clone() };
    Ok(Decision::new(Changes::new().replace(&stored), frozen))
}

/// The lines at today's prices, or `None` where something is not sold any more.
async fn todays_lines(shop: &Shop, cart: &Cart) -> Result<Option<Vec<CartLine>>, CartError> {
    let ids: Vec<_> = cart.lines.iter().map(|line| line.product).collect();
    let products = shop.products(&ids).await?;
    let today = |line: &CartLine| {
        let product = products.iter().find(|product| product.id == line.product)?;
        (product.status == ProductStatus::Active).then(|| line_of(product, line.quantity))
    };
    Ok(cart.lines.iter().map(today).collect())
}

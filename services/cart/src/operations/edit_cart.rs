//! Changes what is in a cart: one way through for every kind of change.

use std::sync::Arc;

use cartwright_contracts::{OrderState, ProductSnapshot, ProductStatus, Settled};
use cartwright_store::{Answer, Changes, Decision, Lane, Request, Store, execute};
use cartwright_vocabulary::{DecimalText, ProductId, Quantity, UserId};
use serde_json::value::RawValue;

use super::show;
use crate::documents::{Cart, cart_of};
use crate::domain::{CartView, ContentsRefused, Warning};
use crate::{CartError, Shop};

/// One product to add.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// The id as it was sent.
    pub(crate) product: String,
    /// How many.
    pub(crate) quantity: Quantity,
    /// The price that the client believes in; it only ever causes a warning.
    pub(crate) believed_price: Option<DecimalText>,
    /// Where the item stands in the request, as a JSON pointer.
    pub(crate) pointer: String,
}

/// A change of a cart's contents.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    /// Adds items, all or none.
    Add(Vec<Item>),
    /// Sets how many of a product there are; none removes it.
    Set { product: String, quantity: Option<Quantity> },
    /// Takes a product out.
    Remove { product: String },
    /// Takes everything out.
    Clear,
}

/// Applies `edit` to the shopper's cart; `words` makes the answer of the cart as it is shown then.
///
/// # Errors
/// See [`CartError`]; the cart is as before then.
pub(crate) async fn edit_cart(
    shop: &Shop,
    user: UserId,
    request: &Request,
    if_match: Option<u64>,
    edit: Edit,
    words: fn(CartView) -> Result<Box<RawValue>, serde_json::Error>,
) -> Result<Answer<Box<RawValue>>, CartError> {
    let edit = Arc::new(edit);
    execute(&shop.store, request, Lane::of::<Cart>(user.to_string()), |view| {
        let edit = Arc::clone(&edit);
        async move {
            let (shown, changes) = decide(shop, &view, user, if_match, &edit).await?;
            let reply = words(shown).map_err(|error| cartwright_store::StoreError::Unusable(error.to_string()))?;
            Ok(Decision::new(changes, reply))
        }
    })
    .await
}

async fn decide(
    shop: &Shop,
    view: &Store,
    user: UserId,
    if_match: Option<u64>,
    edit: &Edit,
) -> Result<(CartView, Changes), CartError> {
    let now = view.clock().now();
    let stored = cart_of(view, user).await?;
    let revision = stored.as_ref().map(|stored| stored.revision);
    let mut cart = stored.map_or_else(|| Cart::empty(user, shop.currency, now), |stored| stored.doc);
    if let Some(present) = if_match.and(Some(cart.version)).filter(|present| Some(*present) != if_match) {
        return Err(CartError::VersionChanged { present });
    }
    let thawed = end_freeze(shop, &mut cart).await?;
    let products = shop.products(&ids_in(&cart, edit)).await?;
    if matches!(edit, Edit::Clear) && cart.lines.is_empty() && !thawed {
        return Ok((show(shop, &cart, &products).await?, Changes::new()));
    }
    let surprises = apply(&mut cart, edit, &products)?;
    let before = cart.clone();
    cart.take_prices(&products);
    cart.touch(now);
    let mut shown = show(shop, &Cart { version: cart.version, updated_at: now, ..before }, &products).await?;
    surprises.into_iter().for_each(|warning| {
        if !shown.warnings.contains(&warning) {
            shown.warnings.push(warning)
        }
    });
    Ok((shown, Changes::new().save(&cart, revision)))
}

/// Asks once what became of the order that the cart is frozen for, and ends the freeze if the order has ended; true then.
async fn end_freeze(shop: &Shop, cart: &mut Cart) -> Result<bool, CartError> {
    let Some(frozen) = &cart.frozen else { return Ok(false) };
    let (order, now) = (frozen.order, shop.store.clock().now());
    let state = match shop.peers.orders.state(order).await? {
        Some(state) => state,
        // The order may be on its way. Once it has had its time, order decides that it will never be.
        None if frozen.ask_at <= now => match shop.peers.orders.settle(cart.id, cart.version).await? {
            Settled::Order { state, .. } => state,
            Settled::Abandoned => OrderState::Cancelled,
        },
        None => OrderState::Open,
    };
    match state {
        OrderState::Open => return Err(CartError::Frozen { order }),
        OrderState::Confirmed => cart.close(order, now),
        OrderState::Cancelled => cart.thaw(now),
    }
    Ok(true)
}

fn ids_in(cart: &Cart, edit: &Edit) -> Vec<ProductId> {
    let added: &[Item] = if let Edit::Add(items) = edit { items } else { &[] };
    let mut ids: Vec<ProductId> = cart.lines.iter().map(|line| line.product).collect();
    ids.extend(added.iter().filter_map(|item| item.product.parse::<ProductId>().ok()));
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Changes the contents; gives what the client believed wrongly.
fn apply(cart: &mut Cart, edit: &Edit, products: &[ProductSnapshot]) -> Result<Vec<Warning>, CartError> {
    match edit {
        Edit::Add(items) => {
            let mut surprises = Vec::new();
            for item in items {
                surprises.extend(add(cart, item, products)?);
            }
            return Ok(surprises);
        }
        Edit::Set { product, quantity } => {
            in_cart(product, |id| cart.set_quantity(id, *quantity))?;
        }
        Edit::Remove { product } => in_cart(product, |id| cart.set_quantity(id, None))?,
        Edit::Clear => cart.lines.clear(),
    }
    Ok(Vec::new())
}

fn add(cart: &mut Cart, item: &Item, products: &[ProductSnapshot]) -> Result<Option<Warning>, CartError> {
    let on_sale = |product: &&ProductSnapshot| {
        product.id.to_string() == item.product
            && product.status == ProductStatus::Active
            && product.price.currency() == cart.currency
    };
    let product = products.iter().find(on_sale).ok_or_else(|| CartError::UnknownProduct {
        product: item.product.clone(),
        pointer: format!("{}/productId", item.pointer),
    })?;
    let pointer = format!("{}/quantity", item.pointer);
    cart.add(product, item.quantity).map_err(|refused| CartError::Contents { refused, pointer })?;
    let wrong = item.believed_price.as_ref().is_some_and(|price| price.in_currency(cart.currency) != Ok(product.price));
    Ok(wrong.then(|| Warning::PriceChanged { product_id: product.id, price: product.price.into() }))
}

fn in_cart(product: &str, change: impl FnOnce(ProductId) -> Result<(), ContentsRefused>) -> Result<(), CartError> {
    let id = product.parse::<ProductId>().map_err(|_| ContentsRefused::NotInCart);
    id.and_then(change).map_err(|refused| CartError::Contents { refused, pointer: "/productId".to_owned() })
}

//! What a cart costs when it is sent somewhere. Changes nothing.

use cartwright_contracts::{CartLine, PricedCart};
use cartwright_vocabulary::{Address, Currency};

use crate::documents::{ShippingMethod, TaxRate, shipping_methods};
use crate::domain::{Quote, quote, rate_keys};
use crate::{Desk, OrderError};

/// Where a cart is sent and how.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    /// Where.
    pub(crate) address: Address,
    /// How: a shipping method's id.
    pub(crate) method: String,
}

/// What these lines cost there.
///
/// # Errors
/// [`OrderError::Invalid`] where the shop has no such shipping method.
pub(crate) async fn quote_lines(
    desk: &Desk,
    currency: Currency,
    lines: &[CartLine],
    destination: &Destination,
) -> Result<Quote, OrderError> {
    let methods = shipping_methods(&desk.store).await?;
    let method = methods.iter().find(|method| method.id == destination.method);
    let method = method.ok_or_else(|| OrderError::invalid("/shippingMethod", known(&methods)))?;
    let mut rates = Vec::new();
    for key in rate_keys(lines, &destination.address) {
        rates.extend(desk.store.get::<TaxRate>(key).await?.map(|stored| stored.doc));
    }
    Ok(quote(currency, lines, method, &methods, &rates)?)
}

/// What the caller's cart costs there.
///
/// # Errors
/// [`OrderError::CartEmpty`], [`OrderError::Unavailable`], or an unusable destination.
pub(crate) async fn quote_cart(desk: &Desk, cart: &PricedCart, destination: &Destination) -> Result<Quote, OrderError> {
    if !cart.unavailable.is_empty() {
        return Err(OrderError::Unavailable { products: cart.unavailable.clone() });
    }
    if cart.lines.is_empty() {
        return Err(OrderError::CartEmpty);
    }
    quote_lines(desk, cart.currency, &cart.lines, destination).await
}

fn known(methods: &[ShippingMethod]) -> String {
    let ids: Vec<&str> = methods.iter().map(|method| method.id.as_str()).collect();
    format!("one of: {}", ids.join(", "))
}

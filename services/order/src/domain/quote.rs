//! What a cart costs when it is sent somewhere.

use cartwright_contracts::{CartLine, OrderItem};
use cartwright_pricing::{Goods, OrderTotals, ShippingRate, Taxable, goods_total, order_totals, shipping_price};
use cartwright_vocabulary::{Address, Currency, Money, MoneyError};
use serde::{Deserialize, Serialize};

use crate::documents::{ShippingMethod, TaxRate};

/// What a cart costs, and what else it could cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quote {
    /// The currency of all amounts.
    pub currency: Currency,
    /// What would be bought.
    pub items: Vec<OrderItem>,
    /// What it costs.
    pub totals: OrderTotals,
    /// How it can be sent.
    pub shipping_options: Vec<ShippingOption>,
}

/// A way to send it and what that costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShippingOption {
    /// Its name for programs.
    pub id: String,
    /// Its name for people.
    pub title: String,
    /// What it costs.
    pub price: Money,
}

/// What `lines` cost when they are sent by `method` to where `rates` apply.
///
/// # Errors
/// When the total is more than may be charged.
pub fn quote(
    currency: Currency,
    lines: &[CartLine],
    method: &ShippingMethod,
    methods: &[ShippingMethod],
    rates: &[TaxRate],
) -> Result<Quote, MoneyError> {
    let items = lines.iter().map(item).collect::<Result<Vec<_>, _>>()?;
    let subtotal = goods_total(currency, lines.iter().map(goods))?;
    let taxed = lines.iter().zip(&items).filter_map(|(line, item)| taxable(line, item, rates));
    let totals = order_totals(subtotal, price_of(method, subtotal)?, &taxed.collect::<Vec<_>>())?;
    let option = |method: &ShippingMethod| {
        Ok(ShippingOption { id: method.id.clone(), title: method.title.clone(), price: price_of(method, subtotal)? })
    };
    let shipping_options = methods.iter().map(option).collect::<Result<_, MoneyError>>()?;
    Ok(Quote { currency, items, totals, shipping_options })
}

/// The keys under which the rates of `lines` sent to `address` may be found, the more exact ones first.
pub(crate) fn rate_keys(lines: &[CartLine], address: &Address) -> Vec<String> {
    let mut categories: Vec<&str> = lines.iter().map(|line| line.tax_category.as_str()).collect();
    categories.sort_unstable();
    categories.dedup();
    let regions = [address.region.as_deref(), None];
    let keys = categories
        .iter()
        .flat_map(|category| regions.iter().map(move |region| TaxRate::key_of(&address.country, *region, category)));
    keys.collect()
}

fn goods(line: &CartLine) -> Goods {
    Goods { unit_price: line.unit_price, quantity: line.quantity }
}

fn item(line: &CartLine) -> Result<OrderItem, MoneyError> {
    Ok(OrderItem {
        product: line.product,
        name: line.name.clone(),
        image: line.image.clone(),
        quantity: line.quantity,
        unit_price: line.unit_price,
        price_version: line.price_version,
        line_total: goods(line).total()?,
    })
}

fn taxable(line: &CartLine, item: &OrderItem, rates: &[TaxRate]) -> Option<Taxable> {
    let rate = rates.iter().find(|rate| rate.category == line.tax_category)?;
    Some(Taxable { title: rate.title.clone(), rate_ppm: rate.rate_ppm, net: item.line_total })
}

fn price_of(method: &ShippingMethod, subtotal: Money) -> Result<Money, MoneyError> {
    shipping_price(ShippingRate { price: method.price, free_from: method.free_from }, subtotal)
}

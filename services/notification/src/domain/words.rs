//! What a template is told: facts put into words, amounts with their currency, reasons as sentences.
//!
//! Every letter is told `shop {name, url}` and `name` (which may be none); the rest depends on the occasion.

use std::collections::BTreeMap;

use cartwright_contracts::{CancelReason, OrderFacts, OrderItem};
use cartwright_vocabulary::{Address, Money};
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Serialize;

use crate::domain::built_in::BuiltIn;
use crate::domain::datum::Datum;

/// The shop as it speaks of itself.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Shop<'a> {
    pub(crate) name: &'a str,
    pub(crate) url: &'a str,
}

/// An order in words.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OrderWords<'a> {
    number: &'a str,
    items: Vec<ItemWords<'a>>,
    subtotal: String,
    /// Absent where nothing was taken off.
    discount: Option<String>,
    shipping: String,
    tax: String,
    total: String,
    /// Line by line.
    address: Vec<String>,
}

/// A line of an order in words.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ItemWords<'a> {
    name: &'a str,
    quantity: u32,
    unit_price: String,
    line_total: String,
}

impl Shop<'_> {
    /// For a letter to somebody who registered.
    pub(crate) fn welcome(self, name: Option<&str>) -> Value {
        context! { shop => Serde(self), name }
    }

    /// For a letter about a confirmed order.
    pub(crate) fn confirmed(self, order: &OrderFacts) -> Value {
        self.about(&OrderWords::from(order), context! {})
    }

    /// For a letter about a cancelled order.
    pub(crate) fn cancelled(self, order: &OrderFacts, reason: CancelReason) -> Value {
        self.about(&OrderWords::from(order), context! { reason => sentence(reason) })
    }

    /// For a letter about money that went back.
    pub(crate) fn refunded(self, order: &OrderFacts, amount: Money) -> Value {
        self.about(&OrderWords::from(order), context! { amount => amount_text(amount) })
    }

    /// For a letter that somebody asked for: what they gave, and who the shop is.
    pub(crate) fn asked(self, name: Option<&str>, data: &BTreeMap<String, Datum>) -> Value {
        let mut told = BTreeMap::from([("name", Value::from(name))]);
        told.extend(data.iter().map(|(key, datum)| (key.as_str(), Value::from(Serde(datum)))));
        told.insert("shop", Value::from(Serde(self)));
        Value::from(told)
    }

    /// What a letter from this template could be told, to try the template with.
    pub(crate) fn sample(self, template: BuiltIn) -> Value {
        match template {
            BuiltIn::Welcome => self.welcome(Some("Ada")),
            BuiltIn::OrderConfirmed => self.about(&OrderWords::sample(), context! {}),
            BuiltIn::OrderCancelled => {
                self.about(&OrderWords::sample(), context! { reason => sentence(CancelReason::ByCustomer) })
            }
            BuiltIn::Refund => self.about(&OrderWords::sample(), context! { amount => "14.96 EUR" }),
        }
    }

    fn about(self, order: &OrderWords<'_>, more: Value) -> Value {
        context! { shop => Serde(self), name => (), order => Serde(order), ..more }
    }
}

/// Why an order was cancelled, as a sentence to whoever ordered.
const fn sentence(reason: CancelReason) -> &'static str {
    match reason {
        CancelReason::OutOfStock => "Something in it is no longer in stock in the number you wanted.",
        CancelReason::PaymentDeclined => "The payment was declined.",
        CancelReason::PaymentExpired => "It was not paid in time.",
        CancelReason::ByCustomer => "You asked us to cancel it.",
        CancelReason::ByAdmin => "We had to cancel it.",
    }
}

fn amount_text(money: Money) -> String {
    format!("{money} {}", money.currency())
}

impl OrderWords<'_> {
    /// An order that nobody made, with everything that an order can have.
    fn sample() -> Self {
        let text = |text: &str| text.to_owned();
        let tea = ItemWords { name: "Tea", quantity: 2, unit_price: text("4.50 EUR"), line_total: text("9.00 EUR") };
        Self {
            number: "1001",
            items: vec![tea],
            subtotal: text("9.00 EUR"),
            discount: Some(text("1.00 EUR")),
            shipping: text("4.90 EUR"),
            tax: text("2.06 EUR"),
            total: text("14.96 EUR"),
            address: vec![text("Ada"), text("1 Main Street"), text("10115 Berlin"), text("DE")],
        }
    }
}

impl<'a> From<&'a OrderFacts> for OrderWords<'a> {
    fn from(order: &'a OrderFacts) -> Self {
        Self {
            number: &order.number,
            items: order.items.iter().map(ItemWords::from).collect(),
            subtotal: amount_text(order.subtotal),
            discount: (order.discount_total.minor() != 0).then(|| amount_text(order.discount_total)),
            shipping: amount_text(order.shipping),
            tax: amount_text(order.tax),
            total: amount_text(order.total),
            address: address_lines(&order.shipping_address),
        }
    }
}

impl<'a> From<&'a OrderItem> for ItemWords<'a> {
    fn from(item: &'a OrderItem) -> Self {
        Self {
            name: &item.name,
            quantity: item.quantity.get(),
            unit_price: amount_text(item.unit_price),
            line_total: amount_text(item.line_total),
        }
    }
}

fn address_lines(address: &Address) -> Vec<String> {
    let Address { name, line1, line2, city, region, postal_code, country, phone: _ } = address;
    let city = format!("{postal_code} {city}");
    let place = region.as_ref().map_or_else(|| country.clone(), |region| format!("{region}, {country}"));
    [Some(name), Some(line1), line2.as_ref(), Some(&city), Some(&place)].into_iter().flatten().cloned().collect()
}

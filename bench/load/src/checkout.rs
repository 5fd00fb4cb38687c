//! A whole purchase: three adds, a quote, an order that must be confirmed at the quoted total.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use crate::{
    cart::{Door, LINES, LineView, add_request, check_line, shown},
    clock,
    decimal::Hundredths,
    http::{Connection, Request},
    peer::{Account, Peer, Product},
};

/// A shopper who buys the same three products again and again.
pub(crate) struct Buyer {
    account: Account,
    products: [Arc<Product>; LINES],
    adds: [Vec<u8>; LINES],
    quote: Vec<u8>,
}

#[derive(Deserialize)]
struct Quote<'a> {
    #[serde(borrow)]
    subtotal: &'a RawValue,
    #[serde(borrow)]
    total: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Order<'a> {
    status: &'a str,
    #[serde(borrow)]
    items: Vec<LineView<'a>>,
    #[serde(borrow)]
    subtotal: &'a RawValue,
    #[serde(borrow)]
    discount_total: &'a RawValue,
    #[serde(borrow)]
    shipping: &'a RawValue,
    #[serde(borrow)]
    tax: &'a RawValue,
    #[serde(borrow)]
    total: &'a RawValue,
}

impl Buyer {
    pub(crate) fn new(account: Account, products: [Arc<Product>; LINES], connection: &Connection) -> Self {
        let address = connection.address();
        let door = Door::of_shop(address);
        let adds = products.each_ref().map(|product| add_request(Peer::Cartwright, &account, product, door));
        let quote = order_request("/order/quote", &account, None).to_bytes(address);
        Self { account, products, adds, quote }
    }

    /// Buys, and says how long create-order alone took.
    ///
    /// # Errors
    /// The connection broke, the order is not confirmed, or an amount is wrong.
    pub(crate) async fn buy(&self, connection: &mut Connection) -> Result<Duration> {
        for add in &self.adds {
            connection.exchange(add).await?.expect(200).context("add before checkout")?;
        }
        let total = self.ask_quote(connection).await?;
        let create = order_request("/order/create-order", &self.account, Some(total)).to_bytes(connection.address());
        let began = clock::now();
        let answer = connection.exchange(&create).await?;
        let took = began.elapsed();
        let body = answer.expect(201).context("create-order")?;
        self.check_order(body, total).with_context(|| shown(body))?;
        Ok(took)
    }

    async fn ask_quote(&self, connection: &mut Connection) -> Result<Hundredths> {
        let answer = connection.exchange(&self.quote).await?;
        let body = answer.expect(200).context("quote")?;
        let quote: Quote<'_> = serde_json::from_slice(body).with_context(|| shown(body))?;
        let subtotal = Hundredths::of(quote.subtotal)?;
        ensure!(subtotal == self.goods(), "the quote's subtotal is {subtotal}, the goods cost {}", self.goods());
        Hundredths::of(quote.total)
    }

    fn check_order(&self, body: &[u8], quoted: Hundredths) -> Result<()> {
        let order: Order<'_> = serde_json::from_slice(body)?;
        ensure!(order.status == "confirmed", "the order is {}", order.status);
        ensure!(order.items.len() == LINES, "the order has {} lines", order.items.len());
        for product in &self.products {
            ensure!(
                order.items.iter().any(|item| check_line(item, product, 1).is_ok()),
                "the order does not hold one unit of {} at {}",
                product.id,
                product.price
            );
        }
        let [subtotal, discount, shipping, tax, total] =
            [order.subtotal, order.discount_total, order.shipping, order.tax, order.total].map(Hundredths::of);
        let (subtotal, total) = (subtotal?, total?);
        ensure!(subtotal == self.goods(), "the subtotal is {subtotal}, the goods cost {}", self.goods());
        ensure!(total.0 == subtotal.0 - discount?.0 + shipping?.0 + tax?.0, "the total {total} is not the sum");
        ensure!(total == quoted, "the total is {total}, the quote said {quoted}");
        Ok(())
    }

    fn goods(&self) -> Hundredths {
        self.products.iter().map(|product| product.price).sum()
    }
}

fn order_request<'a>(path: &'a str, account: &'a Account, total: Option<Hundredths>) -> Request<'a> {
    let mut body = json!({
        "email": account.email,
        "shippingAddress": {
            "name": "Ada Shopper", "line1": "1 Long Street", "city": "Portland", "region": "OR",
            "postalCode": "97201", "country": "US",
        },
        "shippingMethod": "standard",
        "paymentMethod": "pm_card_visa",
    })
    .to_string();
    if let Some(total) = total {
        // Written as text: a float must not come between the quote and the order.
        body.truncate(body.len() - 1);
        body.push_str(&format!(",\"expectedTotal\":{total}}}"));
    }
    Request { method: "POST", path, token: Some(&account.token), body: Some(body) }
}

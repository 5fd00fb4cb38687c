//! A shopper's cart as it must be, and the check of every answer against it.
//!
//! A cart belongs to one connection at a time, so its content is known exactly: three lines, each with its price
//! and quantity, and their sum.

use std::{borrow::Cow, net::SocketAddr, sync::Arc};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use crate::{
    decimal::Hundredths,
    http::{Connection, Request},
    peer::{Account, Peer, Product},
};

pub(crate) const LINES: usize = 3;

/// A line may hold 999 units. One that came above this is set back between two windows.
const HIGH: u32 = 100;
const FULL: u32 = 999;

/// Where carts are asked, and how their paths begin there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    prefix: &'static str,
}

impl Door {
    /// The address that all services share.
    pub(crate) const fn of_shop(address: SocketAddr) -> Self {
        Self { address, prefix: "/cart" }
    }

    /// The cart's own, where paths need not say whose they are.
    pub(crate) const fn of_cart(address: SocketAddr) -> Self {
        Self { address, prefix: "" }
    }

    fn path(self, rest: &str) -> String {
        format!("{}{rest}", self.prefix)
    }
}

pub(crate) struct Cart {
    account: Account,
    door: Door,
    lines: [Line; LINES],
    get: Vec<u8>,
}

struct Line {
    product: Arc<Product>,
    quantity: u32,
    add: Vec<u8>,
}

#[derive(Deserialize)]
struct Changed<'a> {
    #[serde(borrow)]
    cart: CartView<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CartView<'a> {
    #[serde(borrow)]
    items: Vec<LineView<'a>>,
    #[serde(borrow)]
    total_amount: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LineView<'a> {
    #[serde(borrow)]
    product_id: Cow<'a, str>,
    #[serde(borrow)]
    price: &'a RawValue,
    quantity: u32,
}

impl Cart {
    /// Puts one of each product into the cart of a new shopper.
    ///
    /// # Errors
    /// The server refused, or answered with another cart.
    pub(crate) async fn fill(
        peer: Peer,
        connection: &mut Connection,
        account: Account,
        products: [Arc<Product>; LINES],
    ) -> Result<Self> {
        let door = Door::of_shop(connection.address());
        let lines = products.map(|product| Line { product, quantity: 0, add: Vec::new() });
        let mut cart = Self { account, door, lines, get: Vec::new() };
        cart.go_to(peer, door);
        for line in 0..LINES {
            cart.add(connection, line).await?;
        }
        Ok(cart)
    }

    /// Asks at `door` from now on.
    pub(crate) fn go_to(&mut self, peer: Peer, door: Door) {
        self.door = door;
        for line in &mut self.lines {
            line.add = add_request(peer, &self.account, &line.product, door);
        }
        let path = door.path(&format!("/get-cart/{}", self.account.user));
        let get = Request { method: "GET", path: &path, token: Some(&self.account.token), body: None };
        self.get = get.to_bytes(door.address);
    }

    /// Adds one unit to a line, and checks the cart that comes back.
    ///
    /// # Errors
    /// The connection broke, or the answer is wrong.
    pub(crate) async fn add(&mut self, connection: &mut Connection, line: usize) -> Result<()> {
        let line = &mut self.lines[line];
        if line.quantity == FULL {
            bail!("a line holds {FULL} units already: take more carts or fewer seconds");
        }
        line.quantity += 1;
        let answer = connection.exchange(&line.add).await?;
        self.check_change(answer.expect(200).context("add")?)
    }

    /// Reads the cart and checks it.
    ///
    /// # Errors
    /// The connection broke, or the answer is wrong.
    pub(crate) async fn read(&self, connection: &mut Connection) -> Result<()> {
        let answer = connection.exchange(&self.get).await?;
        let body = answer.expect(200).context("get")?;
        let view: CartView<'_> = serde_json::from_slice(body).with_context(|| shown(body))?;
        self.check(&view).with_context(|| shown(body))
    }

    /// Sets lines that have grown high back to one unit, so that the next window has room.
    ///
    /// # Errors
    /// The connection broke, or the answer is wrong.
    pub(crate) async fn lower(&mut self, connection: &mut Connection) -> Result<()> {
        for line in 0..LINES {
            if self.lines[line].quantity > HIGH {
                self.lines[line].quantity = 1;
                let body = json!({ "productId": self.lines[line].product.id, "quantity": 1 }).to_string();
                let token = Some(self.account.token.as_str());
                let path = self.door.path("/update-item");
                let request = Request { method: "PUT", path: &path, token, body: Some(body) };
                let bytes = request.to_bytes(connection.address());
                let answer = connection.exchange(&bytes).await?;
                self.check_change(answer.expect(200).context("update")?)?;
            }
        }
        Ok(())
    }

    fn check_change(&self, body: &[u8]) -> Result<()> {
        let changed: Changed<'_> = serde_json::from_slice(body).with_context(|| shown(body))?;
        self.check(&changed.cart).with_context(|| shown(body))
    }

    fn check(&self, view: &CartView<'_>) -> Result<()> {
        let expected = self.lines.iter().filter(|line| line.quantity > 0);
        ensure!(view.items.len() == expected.clone().count(), "{} lines", view.items.len());
        for item in &view.items {
            let Some(line) = self.lines.iter().find(|line| line.product.id == item.product_id) else {
                bail!("a line of {}, which was never added", item.product_id);
            };
            check_line(item, &line.product, line.quantity)?;
        }
        let total: Hundredths = expected.map(|line| line.product.price.times(line.quantity)).sum();
        let said = Hundredths::of(view.total_amount)?;
        ensure!(said == total, "the total is {said}, the lines add up to {total}");
        Ok(())
    }
}

/// Whether a line of an answer is `quantity` units of `product` at its price.
///
/// # Errors
/// It is something else.
pub(crate) fn check_line(item: &LineView<'_>, product: &Product, quantity: u32) -> Result<()> {
    ensure!(item.quantity == quantity, "{} units of {} instead of {quantity}", item.quantity, product.id);
    let price = Hundredths::of(item.price)?;
    ensure!(price == product.price, "{} costs {price} instead of {}", product.id, product.price);
    ensure!(item.product_id == product.id, "{} instead of {}", item.product_id, product.id);
    Ok(())
}

/// The request that adds one unit of `product` to the account's cart, as it goes over the wire.
pub(crate) fn add_request(peer: Peer, account: &Account, product: &Product, door: Door) -> Vec<u8> {
    let (path, body) = (door.path("/add-to-cart"), Some(peer.add_body(product)));
    Request { method: "POST", path: &path, token: Some(&account.token), body }.to_bytes(door.address)
}

pub(crate) fn shown(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(600).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Account, Cart, Door, Hundredths, Line, Peer, Product};

    fn cart(quantities: [u32; 3]) -> Cart {
        let mut number = 0;
        let lines = quantities.map(|quantity| {
            number += 1;
            let product = Product {
                id: format!("p{number}"),
                name: String::new(),
                price: Hundredths(number * 10),
                image: String::new(),
            };
            Line { product: Arc::new(product), quantity, add: Vec::new() }
        });
        let account = Account { user: String::new(), token: String::new(), email: String::new() };
        let door = Door::of_shop(([127, 0, 0, 1], 1).into());
        Cart { account, door, lines, get: Vec::new() }
    }

    fn answer(second: u32, total: &str) -> String {
        format!(
            r#"{{"cart":{{"items":[{{"productId":"p1","price":0.1,"quantity":1}},
            {{"productId":"p2","price":0.20,"quantity":{second}}}],"totalAmount":{total}}}}}"#
        )
    }

    #[test]
    fn only_the_address_of_the_whole_shop_wants_to_be_told_whose_path_it_is() {
        let mut cart = cart([1, 1, 1]);
        let asked = |cart: &Cart| {
            let all = [cart.get.clone(), cart.lines[0].add.clone()].concat();
            String::from_utf8(all)
                .unwrap()
                .lines()
                .filter(|line| line.contains("HTTP/1.1"))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };

        cart.go_to(Peer::Cluster, Door::of_shop(([127, 0, 0, 1], 1).into()));
        let at_the_shop = asked(&cart);
        cart.go_to(Peer::Cluster, Door::of_cart(([127, 0, 0, 1], 2).into()));

        assert_eq!(at_the_shop, ["GET /cart/get-cart/ HTTP/1.1", "POST /cart/add-to-cart HTTP/1.1"]);
        assert_eq!(asked(&cart), ["GET /get-cart/ HTTP/1.1", "POST /add-to-cart HTTP/1.1"]);
    }

    #[test]
    fn the_cart_that_must_be_passes() {
        assert!(cart([1, 1, 0]).check_change(answer(1, "0.3").as_bytes()).is_ok());
    }

    #[test]
    fn a_lost_add_a_wrong_total_and_a_missing_line_are_found() {
        let wrong = [
            cart([1, 2, 0]).check_change(answer(1, "0.3").as_bytes()),
            cart([1, 1, 0]).check_change(answer(1, "0.31").as_bytes()),
            cart([1, 1, 0]).check_change(answer(1, "0.30000000000000004").as_bytes()),
            cart([1, 1, 1]).check_change(answer(1, "0.3").as_bytes()),
        ];
        assert!(wrong.iter().all(Result::is_err));
    }
}

//! The servers that speak the cart API, and where they differ.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};

use crate::{
    clock,
    decimal::Hundredths,
    http::{Connection, Request},
    run::Scenario,
};

const REFERENCE_PRODUCTS: i64 = 300;
const PASSWORD: &str = "a long enough password";
const LEAST_PRODUCTS: usize = 6;
/// How long a demo catalogue may take to appear, and how long it must stand still to be whole.
const CATALOGUE: Duration = Duration::from_secs(30);
const STILL: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Peer {
    /// The whole shop in one process, on its embedded store
    Cartwright,
    /// The cart API on Node and MongoDB
    Reference,
    /// The shop as processes, on MongoDB and RabbitMQ
    Cluster,
}

/// Something to put into a cart.
#[derive(Debug)]
pub(crate) struct Product {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) price: Hundredths,
    pub(crate) image: String,
}

/// A shopper who is logged in.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) user: String,
    pub(crate) token: String,
    pub(crate) email: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Guest {
    user_id: String,
    token: String,
}

#[derive(Deserialize)]
struct Registered {
    user: RegisteredUser,
    token: String,
}

#[derive(Deserialize)]
struct RegisteredUser {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProductPage {
    items: Vec<ListedProduct>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct ListedProduct {
    #[serde(rename = "_id")]
    id: String,
    name: String,
    price: Box<RawValue>,
}

impl Peer {
    /// The reference has carts and no orders.
    pub(crate) fn offers(self, scenario: Scenario) -> bool {
        match self {
            Self::Cartwright | Self::Cluster => true,
            Self::Reference => scenario != Scenario::Checkout,
        }
    }

    /// Makes a shopper, and logs in. Here anybody may shop as a guest; the reference wants a password.
    ///
    /// # Errors
    /// The server refused.
    pub(crate) async fn sign_up(self, connection: &mut Connection, number: usize) -> Result<Account> {
        let email = format!("shopper-{}-{number}@bench.example", std::process::id());
        match self {
            Self::Cartwright | Self::Cluster => {
                let request = Request { method: "POST", path: "/auth/guest", token: None, body: Some("{}".to_owned()) };
                let guest: Guest = connection.ask(&request, 201).await?;
                Ok(Account { user: guest.user_id, token: guest.token, email })
            }
            Self::Reference => {
                let body = json!({ "email": email, "password": PASSWORD }).to_string();
                let request = Request { method: "POST", path: "/auth/register", token: None, body: Some(body) };
                let registered: Registered = connection.ask(&request, 201).await?;
                Ok(Account { user: registered.user.id, token: registered.token, email })
            }
        }
    }

    /// What is sold. The reference believes what the client says; it gets a price list of the same kind.
    ///
    /// # Errors
    /// The server has no products after half a minute, or one whose price has more than two digits.
    pub(crate) async fn catalogue(self, connection: &mut Connection) -> Result<Vec<Product>> {
        match self {
            Self::Cartwright | Self::Cluster => stocked_catalogue(connection).await,
            Self::Reference => Ok((0..REFERENCE_PRODUCTS).map(invented_product).collect()),
        }
    }

    /// The body that adds one unit of `product` to the caller's cart.
    pub(crate) fn add_body(self, product: &Product) -> String {
        match self {
            Self::Cartwright | Self::Cluster => json!({ "productId": product.id, "quantity": 1 }).to_string(),
            Self::Reference => format!(
                r#"{{"productId":"{}","productName":"{}","price":{},"quantity":1,"image":"{}"}}"#,
                product.id, product.name, product.price, product.image
            ),
        }
    }
}

/// A fresh shop is healthy before its demo catalogue is in the index: waits until the list stops growing.
async fn stocked_catalogue(connection: &mut Connection) -> Result<Vec<Product>> {
    let deadline = clock::now() + CATALOGUE;
    let mut seen = 0;
    loop {
        let products = listed_products(connection).await?;
        if products.len() >= LEAST_PRODUCTS && products.len() == seen {
            return Ok(products);
        }
        seen = products.len();
        ensure!(clock::now() < deadline, "the shop sells {seen} products; start it with a demo catalogue");
        clock::pause(STILL).await;
    }
}

async fn listed_products(connection: &mut Connection) -> Result<Vec<Product>> {
    let mut products = Vec::new();
    let mut path = "/products?limit=100".to_owned();
    // Ten pages are more than any scenario needs.
    for _ in 0..10 {
        let request = Request { method: "GET", path: &path, token: None, body: None };
        let page: ProductPage = connection.ask(&request, 200).await?;
        for listed in page.items {
            let price = Hundredths::of(&listed.price)?;
            products.push(Product { id: listed.id, name: listed.name, price, image: String::new() });
        }
        match page.next_cursor {
            Some(cursor) => path = format!("/products?limit=100&cursor={cursor}"),
            None => break,
        }
    }
    Ok(products)
}

fn invented_product(number: i64) -> Product {
    Product {
        id: format!("product_{number}"),
        name: format!("Product {number}"),
        price: Hundredths(599 + (number * 37 % 200) * 100),
        image: format!("https://images.example/product-{number}.jpg"),
    }
}

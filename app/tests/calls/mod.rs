//! Somebody who calls a shop over HTTP, and waits that end. Each test file that has this module uses its own part of it.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::time::Duration;

use cartwright_runtime::Clock;
use cartwright_testkit::Reply;
use reqwest::Method;
use serde_json::{Value, json};

/// How long anything that a test waits for may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How long one request may take: longer than the shop lets an order be waited for.
const REQUEST: Duration = Duration::from_secs(25);

/// A client with the token of one shopper, admin or program; or with none.
#[derive(Clone)]
pub(crate) struct Caller {
    client: reqwest::Client,
    base: String,
    /// The access token; empty where there is none.
    pub(crate) token: String,
    /// The user's id.
    pub(crate) id: String,
}

impl Caller {
    /// Nobody in particular.
    pub(crate) fn anonymous(base: &str) -> Self {
        let client = reqwest::Client::builder().timeout(REQUEST).no_proxy().build().unwrap();
        Self { client, base: base.to_owned(), token: String::new(), id: String::new() }
    }

    /// The same client with another token.
    pub(crate) fn with_token(&self, token: &str, id: &str) -> Self {
        Self { token: token.to_owned(), id: id.to_owned(), ..self.clone() }
    }

    /// The same somebody at another address.
    pub(crate) fn at(&self, base: &str) -> Self {
        Self { base: base.to_owned(), ..self.clone() }
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Reply, reqwest::Error> {
        let headers: Vec<(&str, &str)> = key.map(|key| ("idempotency-key", key)).into_iter().collect();
        self.send_with(method, path, &headers, body).await
    }

    /// The same with other headers.
    pub(crate) async fn send_with(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Reply, reqwest::Error> {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        for (name, text) in headers {
            request = request.header(*name, *text);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let header = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
            (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let headers = answer.headers().iter().map(header).collect();
        let body = answer.bytes().await?;
        Ok(Reply { status, headers, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
    }

    /// Sends a GET that must succeed.
    pub(crate) async fn get(&self, path: &str) -> Value {
        self.send(Method::GET, path, None, None).await.unwrap().expect(200)
    }

    /// Sends a POST that must be answered.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::POST, path, None, Some(body)).await.unwrap()
    }

    /// The caller's cart.
    pub(crate) async fn cart(&self) -> Value {
        self.get(&format!("/cart/get-cart/{}", self.id)).await
    }

    /// All orders of the caller, newest first.
    pub(crate) async fn orders(&self) -> Vec<Value> {
        let (mut orders, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("/orders/{}?limit=100{cursor}", self.id)).await;
            orders.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return orders,
            }
        }
    }

    /// How many of a product are on the shelf, and how many of them are held.
    pub(crate) async fn stock(&self, product: &str) -> (u64, u64) {
        let answer = self.get(&format!("/inventory/check-stock?productId={product}")).await;
        let item = &answer["items"][0];
        (item["onHand"].as_u64().unwrap(), item["reserved"].as_u64().unwrap())
    }
}

/// What an order says, paid with `method`.
pub(crate) fn order_body(method: &str) -> Value {
    let address =
        json!({"name": "Ada", "line1": "1 Main St", "city": "Springfield", "postalCode": "12345", "country": "US"});
    json!({"shippingAddress": address, "shippingMethod": "standard", "paymentMethod": method, "email": "ada@example.com"})
}

/// A text that must be there.
#[track_caller]
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// What `look` finds, as soon as it finds something.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, look: impl Fn() -> F) -> T {
    let clock = Clock::system();
    let watch = clock.stopwatch();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(watch.elapsed() < PATIENCE, "in {PATIENCE:?} it did not happen that {what}");
        clock.pause(Duration::from_millis(20)).await;
    }
}

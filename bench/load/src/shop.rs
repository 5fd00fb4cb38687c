//! What only a whole shop has: an admin who fills the shelves, and stock to count afterwards.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::json;

use crate::{
    clock,
    http::{Connection, Request},
    peer::Product,
};

/// Units of each product before the first checkout.
const FULL_SHELF: u64 = 1_000_000;
/// How long holds may take to become sales after the last order, in seconds.
const SETTLING_S: u64 = 30;
/// Products asked about in one request.
const CHUNK: usize = 20;

pub(crate) struct Admin {
    pub(crate) email: String,
    pub(crate) password: String,
}

#[derive(Deserialize)]
struct LoggedIn {
    token: String,
}

#[derive(Deserialize)]
struct Shelves {
    items: Vec<Shelf>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shelf {
    on_hand: u64,
    reserved: u64,
}

/// Fills every shelf, so that no checkout runs out of stock.
///
/// # Errors
/// The admin may not, or the server refused.
pub(crate) async fn fill_shelves(connection: &mut Connection, admin: &Admin, products: &[&Product]) -> Result<()> {
    let body = json!({ "email": admin.email, "password": admin.password }).to_string();
    let login = Request { method: "POST", path: "/auth/login", token: None, body: Some(body) };
    let LoggedIn { token } = connection.ask(&login, 200).await.context("the admin cannot log in")?;
    for product in products {
        let body = json!({ "productId": product.id, "onHand": FULL_SHELF, "reason": "bench" }).to_string();
        let path = "/inventory/update-inventory";
        let fill = Request { method: "POST", path, token: Some(&token), body: Some(body) };
        let _: serde_json::Value = connection.ask(&fill, 200).await?;
    }
    Ok(())
}

/// Units on all shelves, once none is held for an order any more.
///
/// # Errors
/// Something is still held after half a minute, or the server refused.
pub(crate) async fn units_at_rest(connection: &mut Connection, products: &[&Product]) -> Result<u64> {
    let deadline = clock::now() + Duration::from_secs(SETTLING_S);
    loop {
        let (on_hand, reserved) = count(connection, products).await?;
        if reserved == 0 {
            return Ok(on_hand);
        }
        ensure!(clock::now() < deadline, "{reserved} units are still held {SETTLING_S} s after the last order");
        clock::pause(Duration::from_millis(50)).await;
    }
}

async fn count(connection: &mut Connection, products: &[&Product]) -> Result<(u64, u64)> {
    let mut sums = (0, 0);
    for chunk in products.chunks(CHUNK) {
        let ids: Vec<&str> = chunk.iter().map(|product| product.id.as_str()).collect();
        let path = format!("/inventory/check-stock?productId={}", ids.join(","));
        let request = Request { method: "GET", path: &path, token: None, body: None };
        let shelves: Shelves = connection.ask(&request, 200).await?;
        ensure!(
            shelves.items.len() == chunk.len(),
            "stock of {} products instead of {}",
            shelves.items.len(),
            chunk.len()
        );
        for shelf in shelves.items {
            sums = (sums.0 + shelf.on_hand, sums.1 + shelf.reserved);
        }
    }
    Ok(sums)
}

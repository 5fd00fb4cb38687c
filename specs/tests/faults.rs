//! A fault at every interaction of the checkout, before and after it took effect, and every order of events: each ends in
//! sold and paid, or released and unpaid. `settle` checks every invariant.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::time::Duration;

use axum::http::Method;
use cartwright_testkit::{Fault, Reply, Shopper, Strike, TestShop};
use serde_json::{Value, json};

/// Places that a fault is tried at, at most; a checkout that never gets past this many hangs.
const PLACES: u64 = 60;

/// How the checkout goes when nothing fails.
#[derive(Clone, Copy, Debug)]
struct Plan {
    method: &'static str,
    stock: u32,
    /// Whether the client sends create-order again, as a shopper's browser does, or is gone for good.
    persistent: bool,
}

/// Where the fault strikes.
#[derive(Clone, Copy, Debug)]
enum Where {
    Store,
    Provider,
}

async fn order_once(shop: &TestShop, ada: &Shopper<'_>, plan: Plan) -> Reply {
    let bearer = format!("Bearer {}", ada.token);
    let headers =
        [("authorization", bearer.as_str()), ("prefer", "wait=0"), ("idempotency-key", "the-key-of-this-checkout")];
    shop.send(Method::POST, "/order/create-order", &headers, Some(ada.order_body(plan.method).to_string())).await
}

/// Sends create-order, and again while the answer is not known, as long as the process lives.
async fn order(shop: &TestShop, ada: &Shopper<'_>, plan: Plan) {
    for _ in 0..5 {
        let reply = order_once(shop, ada, plan).await;
        if reply.status < 500 || !plan.persistent || shop.backend().is_dead() {
            return;
        }
    }
}

/// One checkout with one fault; true where the fault struck.
async fn survives(plan: Plan, fault: Fault, at: Where) -> bool {
    let shop = TestShop::new().await;
    let product = shop.product("TEA-250", "10.00", plan.stock).await;
    let ada = shop.shopper("ada").await;
    ada.add(&product, 2).await.expect(200);
    shop.settle().await;
    match at {
        Where::Store => shop.backend().arm(fault),
        Where::Provider => shop.provider().arm(fault),
    }
    order(&shop, &ada, plan).await;
    let (id, token) = (ada.id.clone(), ada.token.clone());
    let mut shop = come_to_rest(shop).await;
    if plan.persistent {
        // As a browser that is opened again does; an order that is known already is answered.
        order(&shop, &shop.returning(&id, &token), plan).await;
    }
    // Whatever waits for its shopper is given up.
    shop = come_to_rest(shop).await;
    shop.advance(Duration::from_secs(20 * 60));
    shop = come_to_rest(shop).await;
    let struck = !(shop.backend().is_armed() || shop.provider().is_armed());
    let orders = shop.get(&format!("/orders/{id}"), &token).await.expect(200);
    let orders = orders["items"].as_array().unwrap().clone();
    assert!(orders.len() <= 1, "{plan:?} {fault:?} {at:?}: {orders:?}");
    let sold = orders.iter().any(|order| order["status"] == "confirmed");
    let expected = if sold { (plan.stock - 2, 0) } else { (plan.stock, 0) };
    assert_eq!(shop.available(&product).await, (u64::from(expected.0), expected.1), "{plan:?} {fault:?} {at:?}");
    let cart = shop.get(&format!("/cart/get-cart/{id}"), &token).await.expect(200);
    assert_eq!(cart["items"].as_array().unwrap().is_empty(), sold, "{plan:?} {fault:?} {at:?}: {cart}");
    if plan.persistent && plan.method == "pm_card_visa" && plan.stock >= 2 {
        assert!(sold, "{plan:?} {fault:?} {at:?}: one fault must not lose a sale: {orders:?}");
    }
    struck
}

/// Lets the shop work until it is at rest; where the fault ends its process, starts it again.
async fn come_to_rest(shop: TestShop) -> TestShop {
    for _ in 0..60 {
        shop.stand_still().await;
        if shop.backend().is_dead() {
            let shop = shop.restart().await;
            shop.settle().await;
            return shop;
        }
        let report = shop.verify().await;
        if report.quiet && report.violations.is_empty() {
            return shop;
        }
        shop.advance(Duration::from_secs(5));
    }
    shop.settle().await;
    shop
}

async fn survives_a_fault_everywhere(plan: Plan, at: Where) {
    for strike in Strike::ALL {
        for place in 0.. {
            assert!(place < PLACES, "{plan:?}: the checkout does not end");
            if !survives(plan, Fault { place, strike }, at).await {
                break;
            }
        }
    }
}

const SALE: Plan = Plan { method: "pm_card_visa", stock: 5, persistent: true };

#[tokio::test]
async fn a_sale_survives_a_fault_at_every_commit() {
    survives_a_fault_everywhere(SALE, Where::Store).await;
}

#[tokio::test]
async fn a_sale_whose_shopper_is_gone_survives_a_fault_at_every_commit() {
    survives_a_fault_everywhere(Plan { persistent: false, ..SALE }, Where::Store).await;
}

#[tokio::test]
async fn a_declined_card_survives_a_fault_at_every_commit() {
    survives_a_fault_everywhere(Plan { method: "pm_card_chargeDeclined", ..SALE }, Where::Store).await;
}

#[tokio::test]
async fn a_card_that_needs_its_shopper_survives_a_fault_at_every_commit() {
    survives_a_fault_everywhere(Plan { method: "pm_card_authenticationRequired", ..SALE }, Where::Store).await;
}

#[tokio::test]
async fn a_sold_out_order_survives_a_fault_at_every_commit() {
    survives_a_fault_everywhere(Plan { stock: 1, ..SALE }, Where::Store).await;
}

#[tokio::test]
async fn a_sale_survives_a_fault_at_every_call_of_the_provider() {
    for method in ["pm_card_visa", "pm_card_chargeDeclined", "pm_sandbox_timeoutAfterCharge"] {
        survives_a_fault_everywhere(Plan { method, ..SALE }, Where::Provider).await;
    }
}

#[tokio::test]
async fn every_order_of_events_ends_sold_and_paid_or_released_and_unpaid() {
    for seed in 0..60 {
        let shop = TestShop::builder().with_hostile_events(seed).start().await;
        let product = shop.product("TEA-250", "10.00", 3).await;
        let (ada, bob) = (shop.shopper("ada").await, shop.shopper("bob").await);
        ada.add(&product, 2).await.expect(200);
        bob.add(&product, 2).await.expect(200);
        let quick = |shopper: &Shopper<'_>| (shopper.token.clone(), shopper.order_body("pm_card_visa"));
        let mut ids = Vec::new();
        for (token, body) in [quick(&ada), quick(&bob)] {
            let bearer = format!("Bearer {token}");
            let headers = [("authorization", bearer.as_str()), ("prefer", "wait=0")];
            let reply = shop.send(Method::POST, "/order/create-order", &headers, Some(body.to_string())).await;
            ids.push(reply.body["_id"].as_str().unwrap().to_owned());
        }
        if seed % 3 == 0 {
            shop.post(&format!("/order/{}/cancel", ids[0]), &ada.token, json!({})).await.expect(200);
        }

        shop.settle().await;

        let sold = [ada.order_now(&ids[0]).await, bob.order_now(&ids[1]).await];
        let sold = sold.iter().filter(|order: &&Value| order["status"] == "confirmed").count() as u64;
        assert_eq!(shop.available(&product).await, (3 - 2 * sold, 0), "seed {seed}");
    }
}

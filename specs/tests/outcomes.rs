//! One purchase over HTTP on a fresh SQLite file, with each outcome that the sandbox provider can have. Ends sold and paid,
//! or released and unpaid.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::time::Duration;

use axum::http::Method;
use cartwright_testkit::{Engine, Shopper, TestShop};
use serde_json::{Value, json};

/// Past every deadline, and past the grace that the invariant checker gives.
const DEADLINE: Duration = Duration::from_secs(20 * 60);

/// A shop on a fresh SQLite file, called over HTTP.
async fn a_shop() -> TestShop {
    TestShop::builder().on(Engine::Sqlite).over_http().start().await
}

/// A shop with five units of a product at 10.00, two of them in somebody's cart.
async fn shop_with_cart(shop: &TestShop) -> (Shopper<'_>, String) {
    let product = shop.product("TEA-250", "10.00", 5).await;
    let ada = shop.shopper("ada").await;
    ada.add(&product, 2).await.expect(200);
    (ada, product)
}

async fn assert_sold(shop: &TestShop, ada: &Shopper<'_>, product: &str, order: &str) {
    shop.settle().await;
    assert_eq!(ada.order_now(order).await["status"], "confirmed");
    assert_eq!(shop.available(product).await, (3, 0));
    assert_eq!(ada.cart().await["items"], json!([]));
    let payments = shop.get(&format!("/payment/transactions?orderId={order}"), &ada.token).await.expect(200);
    let captured = payments["items"].as_array().unwrap().iter().filter(|payment| payment["status"] == "captured");
    assert_eq!(captured.count(), 1, "{payments}");
    assert_eq!(shop.mails("onfirm").await.len(), 1);
}

async fn assert_not_sold(shop: &TestShop, ada: &Shopper<'_>, product: &str, order: &str, reason: &str) {
    shop.settle().await;
    let order = ada.order_now(order).await;
    assert_eq!((&order["status"], &order["reason"]), (&json!("cancelled"), &json!(reason)), "{order}");
    assert_eq!(shop.available(product).await, (5, 0));
    assert_eq!(ada.cart().await["items"][0]["quantity"], 2, "the shopper keeps the cart");
    assert_eq!(shop.mails("onfirm").await.len(), 0);
}

fn id(order: &Value) -> String {
    order["_id"].as_str().unwrap().to_owned()
}

async fn pay(shop: &TestShop, ada: &Shopper<'_>, order: &str, method: &str) -> Value {
    let body = json!({"orderId": order, "paymentMethod": method});
    shop.post("/payment/process-payment", &ada.token, body).await.expect(201)
}

#[tokio::test]
async fn a_purchase_sells_takes_the_money_once_and_tells_the_shopper() {
    let shop = a_shop().await;
    let (ada, product) = shop_with_cart(&shop).await;
    let quote = shop.post("/order/quote", &ada.token, ada.order_body("pm_card_visa")).await.expect(200);

    let order = ada.order("pm_card_visa").await.expect(201);

    assert_eq!(order["status"], "confirmed");
    assert_eq!((&order["total"], &order["total"]), (&quote["total"], &json!(25.0)));
    assert_sold(&shop, &ada, &product, &id(&order)).await;
}

#[tokio::test]
async fn a_declined_card_can_be_replaced_by_another() {
    let shop = a_shop().await;
    let (ada, product) = shop_with_cart(&shop).await;

    let order = ada.order("pm_card_chargeDeclined").await.expect(201);
    assert_eq!(order["status"], "awaiting_payment");
    assert_eq!(order["nextAction"]["type"], "choose_payment_method");
    assert_eq!(shop.available(&product).await, (3, 2), "the stock stays held");
    pay(&shop, &ada, &id(&order), "pm_card_visa").await;

    assert_sold(&shop, &ada, &product, &id(&order)).await;
}

#[tokio::test]
async fn a_declined_order_that_nobody_pays_is_cancelled_at_its_deadline() {
    let shop = a_shop().await;
    let (ada, product) = shop_with_cart(&shop).await;
    let order = ada.order("pm_card_chargeDeclined").await.expect(201);

    shop.advance(DEADLINE);

    assert_not_sold(&shop, &ada, &product, &id(&order), "payment_declined").await;
    assert_eq!(shop.mails("ancel").await.len(), 1);
}

#[tokio::test]
async fn a_payment_that_needs_its_shopper_succeeds_when_they_approve_it() {
    let shop = a_shop().await;
    let (ada, product) = shop_with_cart(&shop).await;
    let order = ada.order("pm_card_authenticationRequired").await.expect(201);
    assert_eq!((&order["status"], &order["nextAction"]["type"]), (&json!("awaiting_payment"), &json!("authenticate")));

    approve(&shop, &order).await;

    assert_sold(&shop, &ada, &product, &id(&order)).await;
}

async fn approve(shop: &TestShop, order: &Value) {
    let url = order["nextAction"]["url"].as_str().unwrap();
    let path = url.strip_prefix("http://localhost:3001").unwrap();
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let reply = shop.send(Method::POST, &format!("{path}/approve"), &form, None).await;
    assert!(reply.status < 400, "{reply:?}");
    shop.advance(Duration::from_secs(20));
}

#[tokio::test]
async fn a_payment_that_its_shopper_never_approves_expires() {
    let shop = a_shop().await;
    let (ada, product) = shop_with_cart(&shop).await;
    let order = ada.order("pm_card_authenticationRequired").await.expect(201);

    shop.advance(DEADLINE);

    assert_not_sold(&shop, &ada, &product, &id(&order), "payment_expired").await;
}

#[tokio::test]
async fn an_answer_that_is_lost_after_the_charge_is_asked_for_and_charged_once() {
    let shop = a_shop().await;
    let (ada, product) = shop_with_cart(&shop).await;
    let body = ada.order_body("pm_sandbox_timeoutAfterCharge");
    let headers = [("authorization", &*format!("Bearer {}", ada.token)), ("prefer", "wait=0")];
    let order = shop.send(Method::POST, "/order/create-order", &headers, Some(body.to_string())).await;
    assert_eq!(order.status, 202, "{order:?}");

    assert_sold(&shop, &ada, &product, &id(&order.body)).await;
}

#[tokio::test]
async fn a_success_that_arrives_after_the_cancellation_is_given_back() {
    let shop = a_shop().await;
    let (ada, product) = shop_with_cart(&shop).await;
    let body = ada.order_body("pm_sandbox_answersLate");
    let headers = [("authorization", &*format!("Bearer {}", ada.token)), ("prefer", "wait=0")];
    let order = shop.send(Method::POST, "/order/create-order", &headers, Some(body.to_string())).await.expect(202);
    shop.post(&format!("/order/{}/cancel", id(&order)), &ada.token, json!({})).await.expect(200);

    assert_not_sold(&shop, &ada, &product, &id(&order), "by_customer").await;
    let payments = shop.get(&format!("/payment/transactions?orderId={}", id(&order)), &ada.token).await.expect(200);
    let kept = payments["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["status"] == "captured" || it["status"] == "authorized");
    assert_eq!(kept.count(), 0, "{payments}");
}

#[tokio::test]
async fn an_order_of_more_than_is_there_is_cancelled_and_nothing_is_held() {
    let shop = a_shop().await;
    let (ada, product) = shop_with_cart(&shop).await;
    shop.stock(&product, 1).await;

    let order = ada.order("pm_card_visa").await.expect(201);

    assert_eq!((&order["status"], &order["reason"]), (&json!("cancelled"), &json!("out_of_stock")));
    shop.settle().await;
    assert_eq!(shop.available(&product).await, (1, 0));
}

#[tokio::test]
async fn a_confirmed_order_that_is_cancelled_gives_money_and_stock_back() {
    let shop = a_shop().await;
    let (ada, product) = shop_with_cart(&shop).await;
    let order = id(&ada.order("pm_card_visa").await.expect(201));
    shop.settle().await;

    shop.post(&format!("/order/{order}/cancel"), &ada.token, json!({})).await.expect(200);

    shop.settle().await;
    assert_eq!(shop.available(&product).await, (5, 0));
    let payments = shop.get(&format!("/payment/transactions?orderId={order}"), &ada.token).await.expect(200);
    assert_eq!(payments["items"][0]["status"], "refunded", "{payments}");
}

#[tokio::test]
async fn a_guest_orders_with_an_address_to_write_to_and_not_without() {
    let shop = a_shop().await;
    let product = shop.product("MUG-1", "7.50", 3).await;
    let guest = shop.guest().await;
    guest.add(&product, 1).await.expect(200);

    let mut body = guest.order_body("pm_card_visa");
    body.as_object_mut().unwrap().remove("email");
    let refused = shop.post("/order/create-order", &guest.token, body).await.refused(400, "invalid_input");
    assert_eq!(refused["errors"][0]["pointer"], "/email");

    assert_eq!(guest.order("pm_card_visa").await.expect(201)["status"], "confirmed");
    shop.settle().await;
}

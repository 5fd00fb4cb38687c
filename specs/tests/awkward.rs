//! The awkward moments: what is noticed where stock, money, carts and events stop agreeing, what is not taken for a fault,
//! and what goes on beside something damaged.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::sync::Arc;

use std::time::Duration;

use axum::http::Method;
use cartwright::role::Role;
use cartwright_cart::documents::Cart;
use cartwright_contracts::Settled;
use cartwright_inventory::documents::Reservation;
use cartwright_order::documents::{Checkout, Order};
use cartwright_payment::documents::{AttemptState, Payment};
use cartwright_runtime::Ids;
use cartwright_store::{Changes, Database, Stored};
use cartwright_testkit::{Fault, Shopper, Strike, TestShop};
use cartwright_vocabulary::{OrderId, UserId};
use serde_json::{Value, json};

const MINUTE: Duration = Duration::from_secs(60);

/// Somebody with two of five units in the cart.
async fn shopper_with_cart<'a>(shop: &'a TestShop, name: &str, product: &str) -> Shopper<'a> {
    let ada = shop.shopper(name).await;
    ada.add(product, 2).await.expect(200);
    ada
}

fn id(order: &Value) -> String {
    order["_id"].as_str().unwrap().to_owned()
}

/// An order that was placed and has come to rest.
async fn ordered(shop: &TestShop, ada: &Shopper<'_>, method: &str) -> String {
    let order = id(&ada.order(method).await.expect(201));
    shop.settle().await;
    order
}

/// The invariants that are found broken.
async fn broken(shop: &TestShop) -> Vec<&'static str> {
    let report = shop.verify().await;
    assert!(report.violations.iter().all(|it| report.checked.contains(&it.invariant)), "{:?}", report.checked);
    report.violations.iter().map(|it| it.invariant).collect()
}

async fn payment_of(shop: &TestShop, order: &str) -> Stored<Payment> {
    shop.store(Role::Payment).get::<Payment>(order).await.unwrap().unwrap()
}

async fn cart_of(shop: &TestShop, ada: &Shopper<'_>) -> Stored<Cart> {
    shop.store(Role::Cart).get::<Cart>(&ada.id).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_sold_order_whose_stock_is_missing_is_found() {
    let shop = TestShop::new().await;
    let product = shop.product("TEA-250", "10.00", 5).await;
    let ada = shopper_with_cart(&shop, "ada", &product).await;
    let order = ordered(&shop, &ada, "pm_card_visa").await;

    let inventory = shop.store(Role::Inventory);
    let reservation = inventory.get::<Reservation>(&order).await.unwrap().unwrap();
    inventory.commit(Changes::new().remove(&reservation)).await.unwrap();

    assert_eq!(broken(&shop).await, ["I4"]);
}

#[tokio::test]
async fn money_that_an_order_was_never_told_of_is_found() {
    let shop = TestShop::new().await;
    let product = shop.product("TEA-250", "10.00", 5).await;
    let ada = shopper_with_cart(&shop, "ada", &product).await;
    let order = ordered(&shop, &ada, "pm_card_chargeDeclined").await;

    let mut payment = payment_of(&shop, &order).await;
    payment.doc.attempts[0].state = AttemptState::Authorized;
    shop.store(Role::Payment).commit(Changes::new().replace(&payment)).await.unwrap();

    assert!(broken(&shop).await.contains(&"I10"));
}

#[tokio::test]
async fn a_cart_that_thawed_under_an_open_order_is_found() {
    let shop = TestShop::new().await;
    let product = shop.product("TEA-250", "10.00", 5).await;
    let ada = shopper_with_cart(&shop, "ada", &product).await;
    ordered(&shop, &ada, "pm_card_chargeDeclined").await;

    let mut cart = cart_of(&shop, &ada).await;
    cart.doc.frozen = None;
    shop.store(Role::Cart).commit(Changes::new().replace(&cart)).await.unwrap();

    assert_eq!(broken(&shop).await, ["I19"]);
}

#[tokio::test]
async fn a_cart_that_could_be_sold_a_second_time_is_found() {
    let shop = TestShop::new().await;
    let product = shop.product("TEA-250", "10.00", 5).await;
    let ada = shopper_with_cart(&shop, "ada", &product).await;
    ordered(&shop, &ada, "pm_card_visa").await;

    let mut cart = cart_of(&shop, &ada).await;
    cart.doc.version -= 1;
    shop.store(Role::Cart).commit(Changes::new().replace(&cart)).await.unwrap();

    assert_eq!(broken(&shop).await, ["I19"]);
}

#[tokio::test]
async fn an_event_that_nobody_delivers_and_the_order_that_waits_for_it_are_found() {
    let shop = TestShop::new().await;
    let product = shop.product("TEA-250", "10.00", 5).await;
    let ada = shopper_with_cart(&shop, "ada", &product).await;
    shop.settle().await;
    // The freeze is the first commit, the order the second; nothing happens after it.
    shop.backend().arm(Fault { place: 1, strike: Strike::Crash });
    let bearer = format!("Bearer {}", ada.token);
    let headers = [("authorization", bearer.as_str()), ("prefer", "wait=0")];
    let body = ada.order_body("pm_card_visa").to_string();
    shop.send(Method::POST, "/order/create-order", &headers, Some(body)).await;
    assert!(shop.backend().is_dead());
    assert_eq!(broken(&shop).await, [""; 0], "an event that is on its way is nothing wrong");

    shop.advance(3 * MINUTE);
    assert_eq!(broken(&shop).await, ["I20"]);

    shop.advance(20 * MINUTE);
    assert_eq!(broken(&shop).await, ["I17", "I20"]);
}

#[tokio::test]
async fn a_payment_that_its_shopper_approved_and_nobody_asked_about_yet_is_nothing_wrong() {
    let shop = TestShop::new().await;
    let product = shop.product("TEA-250", "10.00", 5).await;
    let ada = shopper_with_cart(&shop, "ada", &product).await;
    let order = ada.order("pm_card_authenticationRequired").await.expect(201);
    shop.settle().await;

    let url = order["nextAction"]["url"].as_str().unwrap();
    let path = url.strip_prefix("http://localhost:3001").unwrap();
    let form = [("content-type", "application/x-www-form-urlencoded")];
    shop.send(Method::POST, &format!("{path}/approve"), &form, None).await;

    let report = shop.verify().await;
    assert_eq!((report.quiet, report.violations), (true, Vec::new()));
}

#[tokio::test]
async fn part_of_the_money_back_and_then_the_cancellation_gives_all_of_it_back_once() {
    let shop = TestShop::new().await;
    let product = shop.product("TEA-250", "10.00", 5).await;
    let ada = shopper_with_cart(&shop, "ada", &product).await;
    let order = ordered(&shop, &ada, "pm_card_visa").await;
    let payment = payment_of(&shop, &order).await.doc;
    let attempt = payment.attempts[0].payment;
    let refund: Value =
        serde_json::from_str(&format!(r#"{{"paymentId": "{attempt}", "amount": 7.25, "reason": "a broken cup"}}"#))
            .unwrap();
    shop.post("/payment/refund-payment", shop.admin(), refund).await.expect(201);
    shop.settle().await;

    shop.post(&format!("/order/{order}/cancel"), &ada.token, json!({})).await.expect(200);
    shop.settle().await;

    let after = payment_of(&shop, &order).await.doc;
    assert_eq!((after.refunds.len(), after.refunded()), (2, payment.captured));
    assert_eq!(shop.available(&product).await, (5, 0));
}

#[tokio::test]
async fn reservations_made_by_name_are_sold_released_or_expire_and_nothing_is_wrong() {
    let shop = TestShop::new().await;
    let product = shop.product("TEA-250", "10.00", 9).await;
    for order in ["sold", "released", "expired"] {
        let lines = json!({"orderId": order, "items": [{"productId": product, "quantity": 2}]});
        let reply = shop.post("/inventory/reserve-items", shop.admin(), lines).await;
        assert!(reply.status < 300, "{reply:?}");
    }
    shop.settle().await;
    assert_eq!(shop.available(&product).await, (3, 6));

    shop.post("/inventory/commit-items", shop.admin(), json!({"orderId": "sold"})).await.expect(200);
    shop.post("/inventory/release-items", shop.admin(), json!({"orderId": "released"})).await.expect(200);
    shop.settle().await;
    shop.advance(20 * MINUTE);
    shop.settle().await;

    assert_eq!(shop.available(&product).await, (7, 0));
}

#[tokio::test]
async fn a_cart_that_cannot_be_settled_keeps_no_other_cart_frozen() {
    let shop = TestShop::new().await;
    let product = shop.product("TEA-250", "10.00", 5).await;
    let (ada, bob) = (shopper_with_cart(&shop, "ada", &product).await, shopper_with_cart(&shop, "bob", &product).await);
    let ids = Ids::seeded(shop.store(Role::Cart).clock().clone(), 77);
    for (shopper, is_damaged) in [(&ada, true), (&bob, false)] {
        let (mut cart, now) = (cart_of(&shop, shopper).await, shop.store(Role::Cart).clock().now());
        let order = OrderId::new(ids.uuid());
        let lines = cart.doc.lines.clone();
        cart.doc.freeze(order, lines, now);
        shop.store(Role::Cart).commit(Changes::new().replace(&cart)).await.unwrap();
        if is_damaged {
            // Order says that there is an order, and has lost it.
            let lost = Checkout { cart: cart.doc.id, version: cart.doc.version, order: Some(order), at: now };
            shop.store(Role::Order).commit(Changes::new().insert(&lost)).await.unwrap();
        }
        shop.advance(Duration::from_secs(1));
    }

    for _ in 0..12 {
        shop.advance(Duration::from_secs(5));
        shop.stand_still().await;
    }

    assert!(cart_of(&shop, &bob).await.doc.frozen.is_none());
    assert!(cart_of(&shop, &ada).await.doc.frozen.is_some());
}

#[tokio::test]
async fn a_listener_learns_of_an_end_that_no_hint_told() {
    let shop = TestShop::new().await;
    let product = shop.product("TEA-250", "10.00", 5).await;
    let ada = shopper_with_cart(&shop, "ada", &product).await;
    let order = ordered(&shop, &ada, "pm_card_chargeDeclined").await;
    let mut told = shop.events(&format!("/order/events/{order}"), &ada.token).await;
    assert_eq!(told.next().await.unwrap().1["status"], "awaiting_payment");
    let mut seen = shop.events(&format!("/cart/events/{}", ada.id), &ada.token).await;
    let before = seen.next().await.unwrap().1;

    // Another process on the same database: nobody here is told.
    let clock = shop.store(Role::Order).clock().clone();
    let other = Database::new(Arc::new(shop.backend().clone()), clock.clone(), Ids::seeded(clock.clone(), 78));
    let orders = other.scoped("order", &cartwright_order::documents::collections()).await.unwrap();
    let mut stored = orders.get::<Order>(&order).await.unwrap().unwrap();
    stored.doc.hear(&cartwright_order::domain::News::DeadlinePassed, clock.now());
    orders.commit(Changes::new().replace(&stored)).await.unwrap();
    let carts = other.scoped("cart", &cartwright_cart::documents::collections()).await.unwrap();
    let user: UserId = ada.id.parse().unwrap();
    let mut cart = cartwright_cart::documents::cart_of(&carts, user).await.unwrap().unwrap();
    cart.doc.thaw(clock.now());
    carts.commit(Changes::new().replace(&cart)).await.unwrap();

    assert_eq!(told.next().await.unwrap().1["status"], "cancelled");
    assert_eq!(told.next().await, None, "the stream ends with its order");
    assert_ne!(seen.next().await.unwrap().1["version"], before["version"]);
}

#[tokio::test]
async fn an_order_that_comes_after_its_cart_version_was_given_up_loses_and_the_next_one_wins() {
    let shop = TestShop::new().await;
    let product = shop.product("TEA-250", "10.00", 5).await;
    let ada = shopper_with_cart(&shop, "ada", &product).await;
    let cart = cart_of(&shop, &ada).await.doc;

    // As cart's job does for a freeze of which nothing was heard, a moment before the order arrives.
    let given_up = cartwright_order::peer(shop.store(Role::Order).clone()).settle(cart.id, cart.version).await.unwrap();
    assert_eq!(given_up, Settled::Abandoned);
    ada.order("pm_card_visa").await.refused(409, "cart_changed");
    assert_eq!(ada.orders().await.len(), 0);

    // Cart hears of it, and the shopper's next click is an order.
    shop.advance(MINUTE);
    shop.settle().await;
    assert_eq!(ada.cart().await["items"][0]["quantity"], 2);
    let order = ordered(&shop, &ada, "pm_card_visa").await;
    assert_eq!(ada.order_now(&order).await["status"], "confirmed");
    assert_eq!(shop.available(&product).await, (3, 0));
}

//! What an order costs, how it is placed and paid, and how its owner follows it to its end.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::time::Duration;

use axum::http::Method;
use cartwright_testkit::{Reply, Shopper, TestShop};
use serde_json::{Value, json};

/// Fifty units of a product at 10.00, two of them in somebody's cart.
async fn with_cart(shop: &TestShop) -> (Shopper<'_>, String) {
    let product = shop.product("TEA-250", "10.00", 50).await;
    let ada = shop.shopper("ada").await;
    ada.add(&product, 2).await.expect(200);
    (ada, product)
}

fn id(order: &Value) -> String {
    order["_id"].as_str().unwrap().to_owned()
}

/// An order that goes to a place, with fields of its own.
fn to(ada: &Shopper<'_>, country: &str, region: Option<&str>, fields: Value) -> Value {
    let mut body = ada.order_body("pm_card_visa");
    body["shippingAddress"]["country"] = json!(country);
    body["shippingAddress"]["region"] = json!(region);
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body
}

async fn create(shop: &TestShop, ada: &Shopper<'_>, body: Value) -> Reply {
    shop.post("/order/create-order", &ada.token, body).await
}

async fn pay(shop: &TestShop, ada: &Shopper<'_>, order: &str, method: &str) -> Reply {
    let body = json!({"orderId": order, "paymentMethod": method});
    shop.post("/payment/process-payment", &ada.token, body).await
}

async fn cancel(shop: &TestShop, token: &str, order: &str) -> Reply {
    shop.post(&format!("/order/{order}/cancel"), token, json!({})).await
}

/// An order whose money was taken, and the id of its payment.
async fn paid_order(shop: &TestShop, ada: &Shopper<'_>) -> (String, String) {
    let order = id(&ada.order("pm_card_visa").await.expect(201));
    shop.settle().await;
    let payments = shop.get(&format!("/payment/transactions?orderId={order}"), &ada.token).await.expect(200);
    assert_eq!(payments["items"][0]["status"], "captured");
    (order, payments["items"][0]["paymentId"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn an_order_costs_what_its_quote_said_with_the_tax_of_the_place_it_goes_to() {
    let places = [
        ("DE", None, "standard", [19.99, 5.0, 3.8, 28.79], Some(("USt 19 %", 190_000))),
        ("US", Some("CA"), "express", [19.99, 15.0, 1.45, 36.44], Some(("CA sales tax 7.25 %", 72_500))),
        ("US", Some("OR"), "standard", [19.99, 5.0, 0.0, 24.99], None),
        ("JP", None, "standard", [19.99, 5.0, 0.0, 24.99], None),
    ];
    for (country, region, method, sums, tax_line) in places {
        let shop = TestShop::new().await;
        let product = shop.product("TEA-250", "19.99", 5).await;
        let ada = shop.shopper("ada").await;
        ada.add(&product, 1).await.expect(200);
        let body = to(&ada, country, region, json!({"shippingMethod": method}));

        let quote = shop.post("/order/quote", &ada.token, body.clone()).await.expect(200);
        assert_eq!(
            json!([quote["subtotal"], quote["shipping"], quote["tax"], quote["total"]]),
            json!(sums),
            "{country}"
        );
        assert_eq!((&quote["discountTotal"], &quote["currency"]), (&json!(0.0), &json!("USD")));
        let lines = quote["taxLines"].as_array().unwrap();
        let lines: Vec<_> =
            lines.iter().map(|line| (line["title"].as_str().unwrap(), line["ratePpm"].as_u64().unwrap())).collect();
        assert_eq!(lines, Vec::from_iter(tax_line), "{country}");
        let options = quote["shippingOptions"].as_array().unwrap();
        let options: Vec<_> = options.iter().map(|option| json!([option["id"], option["price"]])).collect();
        assert_eq!(options, [json!(["standard", 5.0]), json!(["express", 15.0])]);
        assert_eq!(shop.available(&product).await, (5, 0), "a quote holds nothing");

        let order = create(&shop, &ada, body).await.expect(201);
        for sum in ["items", "currency", "subtotal", "discountTotal", "shipping", "tax", "total"] {
            assert_eq!(order[sum], quote[sum], "{country}: {sum}");
        }
        shop.settle().await;
        let receipt = shop.get(&format!("/payment/receipts/{}", id(&order)), &ada.token).await.expect(200);
        assert_eq!(receipt["captured"], quote["total"], "{country}");
    }
}

#[tokio::test]
async fn an_order_names_everything_that_was_agreed() {
    let shop = TestShop::new().await;
    let (ada, product) = with_cart(&shop).await;
    let billing =
        json!({"name": "Office", "line1": "2 Side St", "city": "Berlin", "postalCode": "10115", "country": "de"});
    let body = to(&ada, "US", Some("NY"), json!({"billingAddress": billing, "email": "Other@Example.com"}));

    let reply = create(&shop, &ada, body).await;
    let version = reply.body["version"].clone();
    assert_eq!(reply.header("etag"), Some(&*format!("\"{version}\"")));
    let order = reply.expect(201);

    let item = json!({
        "productId": product, "productName": "Product TEA-250", "price": 10.0, "quantity": 2,
        "image": "/pictures/thing.svg", "lineTotal": 20.0,
    });
    assert_eq!(order["items"], json!([item]));
    assert_eq!((&order["userId"], &order["promotionCodes"]), (&json!(ada.id), &json!([])));
    assert_eq!((&order["status"], &order["shippingMethod"]), (&json!("confirmed"), &json!("standard")));
    assert_eq!(
        (&order["shippingAddress"]["region"], &order["billingAddress"]["country"]),
        (&json!("NY"), &json!("DE"))
    );
    assert!(order["email"].as_str().unwrap().eq_ignore_ascii_case("other@example.com"));
    let steps: Vec<&str> =
        order["history"].as_array().unwrap().iter().filter_map(|step| step["status"].as_str()).collect();
    assert_eq!(steps, ["pending", "confirmed"]);
    for field in ["orderNumber", "createdAt", "updatedAt"] {
        assert!(order[field].is_string(), "{field}");
    }
    shop.settle().await;
    assert_eq!(ada.order_now(&id(&order)).await, order);
    assert_eq!(ada.orders().await, [order]);
}

#[tokio::test]
async fn a_place_or_a_method_that_is_none_is_named_and_nothing_is_ordered() {
    let shop = TestShop::new().await;
    let (ada, product) = with_cart(&shop).await;
    let before = ada.cart().await;
    let long = "x".repeat(201);
    let wrong = [
        ("/shippingAddress/country", json!("XX")),
        ("/shippingAddress/country", json!("Germany")),
        ("/shippingAddress/city", json!(" ")),
        ("/shippingAddress/name", json!("")),
        ("/shippingAddress/line1", json!("a\nb")),
        ("/shippingAddress/postalCode", json!(long)),
        ("/shippingAddress/phone", json!(long)),
        ("/shippingAddress/city", json!(5)),
        ("/shippingMethod", json!("teleport")),
    ];
    for (pointer, value) in &wrong {
        let mut body = ada.order_body("pm_card_visa");
        match pointer.rsplit_once('/').unwrap() {
            ("", name) => body[name] = value.clone(),
            (parent, name) => body[&parent[1..]][name] = value.clone(),
        }
        for path in ["/order/quote", "/order/create-order"] {
            let refused = shop.post(path, &ada.token, body.clone()).await.refused(400, "invalid_input");
            assert_eq!(refused["errors"][0]["pointer"], *pointer, "{path}: {value}");
        }
    }
    let only_orders = [
        ("/paymentMethod", json!("")),
        ("/paymentMethod", json!("pm card")),
        ("/email", json!("nobody")),
        (
            "/billingAddress/country",
            json!({"name": "A", "line1": "B", "city": "C", "postalCode": "1", "country": "ZZ"}),
        ),
    ];
    for (pointer, value) in &only_orders {
        let mut body = ada.order_body("pm_card_visa");
        body[pointer[1..].split('/').next().unwrap()] = value.clone();
        let refused = create(&shop, &ada, body).await.refused(400, "invalid_input");
        assert_eq!(refused["errors"][0]["pointer"], *pointer);
    }
    for missing in ["shippingAddress", "shippingMethod", "paymentMethod"] {
        let mut body = ada.order_body("pm_card_visa");
        body.as_object_mut().unwrap().remove(missing);
        let refused = create(&shop, &ada, body).await.refused(400, "invalid_input");
        assert_eq!(refused["errors"][0]["pointer"], format!("/{missing}"));
    }

    assert_eq!(ada.cart().await, before);
    assert_eq!(ada.orders().await, Vec::<Value>::new());
    assert_eq!(shop.available(&product).await, (50, 0));
}

#[tokio::test]
async fn an_empty_cart_cannot_be_quoted_or_ordered() {
    let shop = TestShop::new().await;
    let ada = shop.shopper("ada").await;
    for path in ["/order/quote", "/order/create-order"] {
        shop.post(path, &ada.token, ada.order_body("pm_card_visa")).await.refused(409, "cart_empty");
    }
}

#[tokio::test]
async fn a_total_that_is_not_the_expected_one_is_refused_with_the_new_quote_and_nothing_is_held() {
    let shop = TestShop::new().await;
    let (ada, product) = with_cart(&shop).await;
    let patch = json!({"price": 12.5});
    shop.call(Method::PATCH, &format!("/product/products/{product}"), shop.admin(), Some(patch)).await.expect(200);
    let quote = shop.post("/order/quote", &ada.token, ada.order_body("pm_card_visa")).await.expect(200);
    assert_eq!(quote["total"], 30.0);

    for expected in ["25.00", "0.01", "30.001", "-30", "99999999999999"] {
        let expected: Value = serde_json::from_str(expected).unwrap();
        let body = to(&ada, "US", None, json!({"expectedTotal": expected}));
        let refused = create(&shop, &ada, body).await.refused(409, "price_changed");
        assert_eq!(refused["quote"], quote);
    }
    assert_eq!(ada.orders().await, Vec::<Value>::new());
    assert_eq!(shop.available(&product).await, (50, 0));
    assert_eq!(ada.add(&product, 1).await.expect(200)["cart"]["items"][0]["quantity"], 3, "the cart is free");

    let body = to(&ada, "US", None, json!({"expectedTotal": 42.5}));
    assert_eq!(create(&shop, &ada, body).await.expect(201)["total"], 42.5);
    shop.settle().await;
}

#[tokio::test]
async fn a_cart_version_makes_one_order_and_an_old_one_makes_none() {
    let shop = TestShop::new().await;
    let (ada, product) = with_cart(&shop).await;
    let old = ada.cart().await["version"].clone();
    ada.add(&product, 1).await.expect(200);
    let seen = ada.cart().await["version"].clone();
    let with_version = |version: &Value| to(&ada, "US", None, json!({"cartVersion": version}));

    let refused = create(&shop, &ada, with_version(&old)).await.refused(409, "cart_changed");
    assert_eq!(refused["cartVersion"], seen);
    assert_eq!(shop.available(&product).await, (50, 0));

    let order = create(&shop, &ada, with_version(&seen)).await.expect(201);
    shop.settle().await;
    ada.add(&product, 5).await.expect(200);
    let again = create(&shop, &ada, with_version(&seen)).await.expect(201);
    assert_eq!(again, ada.order_now(&id(&order)).await, "the order that this version made, as it is now");
    assert_eq!(ada.cart().await["items"][0]["quantity"], 5, "what was added since stays");
    assert_eq!(ada.orders().await.len(), 1);

    let next = ada.cart().await["version"].clone();
    assert_ne!(id(&create(&shop, &ada, with_version(&next)).await.expect(201)), id(&order));
    shop.settle().await;
    assert_eq!(shop.available(&product).await, (42, 0));
}

#[tokio::test]
async fn a_cart_that_is_being_ordered_answers_its_order() {
    let shop = TestShop::new().await;
    let (ada, _) = with_cart(&shop).await;
    let order = ada.order("pm_card_chargeDeclined").await.expect(201);
    let again = ada.order("pm_card_visa").await.expect(201);
    assert_eq!((id(&again), &again["status"]), (id(&order), &json!("awaiting_payment")));
    assert_eq!(ada.orders().await.len(), 1);
}

#[tokio::test]
async fn orders_are_listed_newest_first_and_page_by_page() {
    let shop = TestShop::new().await;
    let product = shop.product("TEA-250", "10.00", 50).await;
    let (ada, bob) = (shop.shopper("ada").await, shop.shopper("bob").await);
    let mut placed = Vec::new();
    for _ in 0..5 {
        ada.add(&product, 1).await.expect(200);
        placed.insert(0, id(&ada.order("pm_card_visa").await.expect(201)));
        shop.settle().await;
        shop.advance(Duration::from_secs(1));
    }
    let ids = |page: &Value| -> Vec<String> { page["items"].as_array().unwrap().iter().map(id).collect() };

    for base in ["/orders/", "/order/orders/"] {
        let base = format!("{base}{}", ada.id);
        let whole = shop.get(&base, &ada.token).await.expect(200);
        assert_eq!((ids(&whole), &whole["nextCursor"]), (placed.clone(), &Value::Null));
        let (mut found, mut cursor) = (Vec::new(), None::<String>);
        for _ in 0..3 {
            let after = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
            let page = shop.get(&format!("{base}?limit=2{after}"), &ada.token).await.expect(200);
            found.extend(ids(&page));
            cursor = page["nextCursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!((found, cursor), (placed.clone(), None));
        for wrong in ["0", "101", "-1", "x", ""] {
            let refused = shop.get(&format!("{base}?limit={wrong}"), &ada.token).await.refused(400, "invalid_input");
            assert_eq!(refused["errors"][0]["pointer"], "limit");
        }
        shop.get(&format!("{base}?cursor=nonsense"), &ada.token).await.refused(400, "invalid_input");
        shop.get(&base, &bob.token).await.refused(403, "forbidden");
        assert_eq!(ids(&shop.get(&base, shop.admin()).await.expect(200)), placed, "an admin may look");
    }
    let theirs = format!("/orders/{}?cursor={}", bob.id, placed[0]);
    shop.get(&theirs, &bob.token).await.refused(400, "invalid_input");
    assert_eq!(bob.orders().await, Vec::<Value>::new());
}

#[tokio::test]
async fn an_orders_status_tells_what_happened_when_and_what_its_shopper_has_to_do() {
    let shop = TestShop::new().await;
    let (ada, _) = with_cart(&shop).await;
    let order = id(&ada.order("pm_card_chargeDeclined").await.expect(201));
    let path = format!("/order/order-status/{order}");

    let waiting = shop.get(&path, &ada.token).await.expect(200);
    assert_eq!((&waiting["orderId"], &waiting["status"]), (&json!(order), &json!("awaiting_payment")));
    assert_eq!(waiting["nextAction"]["type"], "choose_payment_method");
    assert_eq!(waiting["nextAction"]["declineCode"], "generic_decline");
    assert!(waiting["nextAction"]["expiresAt"].as_str().unwrap() > waiting["history"][1]["at"].as_str().unwrap());
    shop.advance(Duration::from_secs(60));
    cancel(&shop, &ada.token, &order).await.expect(200);
    shop.settle().await;

    let ended = shop.get(&path, &ada.token).await.expect(200);
    assert_eq!((&ended["status"], &ended["reason"]), (&json!("cancelled"), &json!("by_customer")));
    assert_eq!(ended["nextAction"], Value::Null);
    let history = ended["history"].as_array().unwrap();
    let steps: Vec<&str> = history.iter().filter_map(|step| step["status"].as_str()).collect();
    assert_eq!(steps, ["pending", "awaiting_payment", "cancelled"]);
    assert_eq!(history[..2], waiting["history"].as_array().unwrap()[..]);
    assert!(history[2]["at"].as_str().unwrap() > history[1]["at"].as_str().unwrap());
}

#[tokio::test]
async fn the_stream_of_an_order_tells_each_state_and_ends_with_the_order() {
    let shop = TestShop::new().await;
    let (ada, _) = with_cart(&shop).await;
    let order = id(&ada.order("pm_card_chargeDeclined").await.expect(201));
    let path = format!("/order/events/{order}");
    let mut events = shop.events(&path, &ada.token).await;
    let (name, first) = events.next().await.unwrap();
    assert_eq!((&*name, &first["orderId"], &first["status"]), ("order", &json!(order), &json!("awaiting_payment")));

    pay(&shop, &ada, &order, "pm_card_visa").await.expect(201);

    let mut last = Value::Null;
    for _ in 0..10 {
        let Some((_, state)) = events.next().await else { break };
        assert_ne!(last["status"], "confirmed", "the stream ends with the order");
        last = state;
    }
    assert_eq!((&last["status"], events.next().await), (&json!("confirmed"), None));
    let mut late = shop.events(&path, &ada.token).await;
    assert_eq!(late.next().await.unwrap().1["status"], "confirmed");
    assert_eq!(late.next().await, None);
    shop.settle().await;
}

#[tokio::test]
async fn an_order_cancelled_twice_is_restocked_and_refunded_once() {
    let shop = TestShop::new().await;
    let (ada, product) = with_cart(&shop).await;
    let (order, _) = paid_order(&shop, &ada).await;
    assert_eq!(shop.available(&product).await, (48, 0));

    let first = cancel(&shop, &ada.token, &order).await.expect(200);
    shop.settle().await;
    for token in [&*ada.token, shop.admin()] {
        let again = cancel(&shop, token, &order).await.expect(200);
        assert_eq!((&again["status"], &again["reason"]), (&json!("cancelled"), &json!("by_customer")));
        assert_eq!(again["history"], first["history"]);
    }
    shop.settle().await;

    assert_eq!(shop.available(&product).await, (50, 0));
    let receipt = shop.get(&format!("/payment/receipts/{order}"), &ada.token).await.expect(200);
    assert_eq!((&receipt["captured"], &receipt["refunded"]), (&json!(25.0), &json!(25.0)));
    assert_eq!(receipt["refunds"].as_array().unwrap().len(), 1);
    pay(&shop, &ada, &order, "pm_card_visa").await.refused(409, "order_not_payable");
}

#[tokio::test]
async fn an_admin_who_cancels_is_the_reason() {
    let shop = TestShop::new().await;
    let (ada, _) = with_cart(&shop).await;
    let order = id(&ada.order("pm_card_visa").await.expect(201));
    let cancelled = cancel(&shop, shop.admin(), &order).await.expect(200);
    assert_eq!((&cancelled["status"], &cancelled["reason"]), (&json!("cancelled"), &json!("by_admin")));
    shop.settle().await;
}

#[tokio::test]
async fn a_shopper_who_does_not_wait_is_told_where_to_look() {
    let shop = TestShop::new().await;
    let (ada, _) = with_cart(&shop).await;
    let bearer = format!("Bearer {}", ada.token);
    let headers = [("authorization", bearer.as_str()), ("prefer", "respond-async, wait=0")];
    let body = ada.order_body("pm_card_visa").to_string();

    let reply = shop.send(Method::POST, "/order/create-order", &headers, Some(body)).await;

    let location = reply.header("location").unwrap().to_owned();
    assert_eq!(reply.expect(202)["status"], "pending");
    shop.settle().await;
    assert_eq!(shop.get(&location, &ada.token).await.expect(200)["status"], "confirmed");
}

#[tokio::test]
async fn an_order_takes_five_attempts_to_pay_and_no_sixth() {
    let shop = TestShop::new().await;
    let (ada, product) = with_cart(&shop).await;
    let order = id(&ada.order("pm_card_chargeDeclined").await.expect(201));

    for attempt in 2..=5 {
        let paid = pay(&shop, &ada, &order, "pm_card_chargeDeclinedInsufficientFunds").await.expect(201);
        assert_eq!(paid["status"], "failed", "attempt {attempt}");
        assert_eq!(paid["nextAction"]["declineCode"], "insufficient_funds");
    }
    pay(&shop, &ada, &order, "pm_card_visa").await.refused(409, "too_many_attempts");

    let payments = shop.get(&format!("/payment/transactions?orderId={order}"), &ada.token).await.expect(200);
    let attempts: Vec<u64> =
        payments["items"].as_array().unwrap().iter().filter_map(|payment| payment["attempt"].as_u64()).collect();
    assert_eq!(attempts, [1, 2, 3, 4, 5]);
    assert_eq!(ada.order_now(&order).await["status"], "awaiting_payment");
    shop.advance(Duration::from_secs(16 * 60));
    shop.settle().await;
    assert_eq!(ada.order_now(&order).await["reason"], "payment_declined");
    assert_eq!(shop.available(&product).await, (50, 0));
}

#[tokio::test]
async fn a_confirmed_order_cannot_be_paid_again() {
    let shop = TestShop::new().await;
    let (ada, _) = with_cart(&shop).await;
    let (order, payment) = paid_order(&shop, &ada).await;
    pay(&shop, &ada, &order, "pm_card_visa").await.refused(409, "order_not_payable");
    let state = shop.post("/payment/validate-payment", &ada.token, json!({"paymentId": payment})).await.expect(200);
    assert_eq!((&state["status"], &state["amount"]), (&json!("captured"), &json!(25.0)));
}

#[tokio::test]
async fn money_goes_back_in_parts_and_never_more_than_was_taken() {
    let shop = TestShop::new().await;
    let (ada, product) = with_cart(&shop).await;
    let (order, payment) = paid_order(&shop, &ada).await;
    let refund = async |amount: Option<&str>| {
        // As text: the number shall arrive as it is written here.
        let amount = amount.map(|amount| format!(r#""amount": {amount}, "#)).unwrap_or_default();
        let body = format!(r#"{{{amount}"paymentId": "{payment}", "reason": "a broken pot"}}"#);
        let bearer = format!("Bearer {}", shop.admin());
        shop.send(Method::POST, "/payment/refund-payment", &[("authorization", &bearer)], Some(body)).await
    };
    let receipt = async || shop.get(&format!("/payment/receipts/{order}"), &ada.token).await.expect(200);
    let before = receipt().await;
    assert_eq!((&before["status"], &before["captured"]), (&json!("captured"), &json!(25.0)));
    assert_eq!((&before["refunded"], &before["refunds"]), (&json!(0.0), &json!([])));

    for wrong in ["0", "-1", "1.001", "\"5\"", "1e1"] {
        let refused = refund(Some(wrong)).await.refused(400, "invalid_input");
        assert_eq!(refused["errors"][0]["pointer"], "/amount", "{wrong}");
    }
    refund(Some("25.01")).await.refused(409, "refund_too_large");
    assert_eq!(receipt().await, before);

    let part = refund(Some("9.99")).await.expect(201);
    assert_eq!((&part["amount"], &part["status"]), (&json!(9.99), &json!("succeeded")));
    let partly = receipt().await;
    assert_eq!((&partly["status"], &partly["refunded"]), (&json!("partially_refunded"), &json!(9.99)));
    assert_eq!(refund(Some("15.02")).await.refused(409, "refund_too_large")["refundable"], 15.01);
    assert_eq!(refund(None).await.expect(201)["amount"], 15.01, "all that is left");
    refund(None).await.refused(409, "refund_too_large");
    refund(Some("0.01")).await.refused(409, "refund_too_large");

    shop.settle().await;
    let after = receipt().await;
    assert_eq!((&after["status"], &after["refunded"]), (&json!("refunded"), &json!(25.0)));
    assert_eq!(after["refunds"].as_array().unwrap().len(), 2);
    assert_eq!(ada.order_now(&order).await["status"], "confirmed", "money went back, the goods did not");
    assert_eq!(shop.available(&product).await, (48, 0));
}

#[tokio::test]
async fn there_is_no_receipt_for_what_was_not_paid_and_nothing_behind_an_id_that_is_none() {
    let shop = TestShop::new().await;
    let (ada, _) = with_cart(&shop).await;
    let order = id(&ada.order("pm_card_chargeDeclined").await.expect(201));
    shop.get(&format!("/payment/receipts/{order}"), &ada.token).await.refused(404, "receipt_not_found");
    shop.get("/payment/receipts/nonsense", &ada.token).await.refused(404, "receipt_not_found");
    for path in ["/order/nonsense", "/order/order-status/nonsense", "/order/events/nonsense"] {
        shop.get(path, &ada.token).await.refused(404, "order_unknown");
    }
    shop.get("/payment/transactions?orderId=nonsense", &ada.token).await.refused(404, "order_not_found");
    pay(&shop, &ada, "nonsense", "pm_card_visa").await.refused(404, "order_not_found");
    let unknown = json!({"paymentId": "nonsense", "reason": "none"});
    for (path, token) in [("/payment/validate-payment", &*ada.token), ("/payment/refund-payment", shop.admin())] {
        shop.post(path, token, unknown.clone()).await.refused(404, "payment_not_found");
    }
}

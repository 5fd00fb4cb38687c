//! What is refused at the shop's one address: each time with a problem document, and with nothing changed.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeSet;

use axum::body::{Body, Bytes};
use axum::http::{Method, Request, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cartwright_gateway::KNOWN_PROBLEMS;
use cartwright_testkit::{Engine, Reply, Shopper, TestShop};
use futures::stream;
use serde_json::{Value, json};

/// Checks that a reply is a problem document and that every part of it is right; gives the document.
#[track_caller]
fn problem(reply: Reply, status: u16, code: &str) -> Value {
    let request_id = reply.header("x-request-id").map(str::to_owned);
    let document = reply.refused(status, code);
    assert_eq!(document["status"], status);
    assert_eq!(document["type"], format!("/docs/problems#{code}"));
    assert_eq!(document["instance"].as_str(), request_id.as_deref(), "it names the request");
    assert!(KNOWN_PROBLEMS.iter().any(|known| known.code == code), "{code} is documented");
    for text in ["title", "detail"] {
        assert!(!document[text].as_str().unwrap().is_empty(), "{document}");
    }
    let words = document.to_string();
    for inside in ["serde", "::", ".rs", "sqlite", "panicked", "SELECT"] {
        assert!(!words.contains(inside), "{words} tells about the inside");
    }
    document
}

#[track_caller]
fn problem_at(reply: Reply, status: u16, code: &str, pointer: &str) -> Value {
    let document = problem(reply, status, code);
    let pointers: Vec<&str> = document["errors"].as_array().unwrap().iter().filter_map(pointer_of).collect();
    assert_eq!(pointers, [pointer], "{document}");
    document
}

fn pointer_of(error: &Value) -> Option<&str> {
    error["pointer"].as_str()
}

/// Sends a body as it is, under a media type or none.
async fn raw(shop: &TestShop, route: (Method, &str), token: &str, media: Option<&str>, body: impl Into<Body>) -> Reply {
    let mut request = Request::builder().method(route.0).uri(route.1);
    request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    if let Some(media) = media {
        request = request.header(header::CONTENT_TYPE, media);
    }
    shop.reply_to(request.body(body.into()).unwrap()).await
}

async fn raw_json(shop: &TestShop, route: (Method, &str), token: &str, body: impl Into<Body>) -> Reply {
    raw(shop, route, token, Some("application/json"), body).await
}

/// All that a shopper can see of their own.
async fn everything_of(shop: &TestShop, shopper: &Shopper<'_>) -> Value {
    let me = shop.get("/auth/me", &shopper.token).await.expect(200);
    json!({"cart": shopper.cart().await, "orders": shopper.orders().await, "me": me})
}

/// Somebody with two units of a product at 10.00 in the cart.
async fn with_cart(shop: &TestShop) -> (Shopper<'_>, String) {
    let product = shop.product("TEA-250", "10.00", 50).await;
    let ada = shop.shopper("ada").await;
    ada.add(&product, 2).await.expect(200);
    (ada, product)
}

/// Routes that take a body from a shopper, each with one that it would take.
fn taken_bodies(product: &str, ada: &Shopper<'_>) -> Vec<((Method, &'static str), Value)> {
    let item = json!({"productId": product, "quantity": 3});
    vec![
        ((Method::POST, "/cart/add-to-cart"), item.clone()),
        ((Method::POST, "/cart/add-items"), json!({"items": [item]})),
        ((Method::PUT, "/cart/update-item"), item.clone()),
        ((Method::PUT, "/cart/update-cart"), item),
        ((Method::DELETE, "/cart/remove-item"), json!({"productId": product})),
        ((Method::POST, "/order/quote"), ada.order_body("pm_card_visa")),
        ((Method::POST, "/order/create-order"), ada.order_body("pm_card_visa")),
    ]
}

/// A quote takes the body of an order, and looks at the destination alone.
fn is_unknown(path: &str, name: &str) -> bool {
    path == "/order/quote" && ["email", "paymentMethod"].contains(&name)
}

#[tokio::test]
async fn what_is_no_quantity_is_refused_on_every_cart_route_and_the_cart_is_as_before() {
    let shop = TestShop::new().await;
    let (ada, product) = with_cart(&shop).await;
    let before = everything_of(&shop, &ada).await;
    let wrong = ["0", "-1", "1.5", "1e9", "1000000000", "1000", "99999999999999999999", "\"2\"", "null", "true", "[2]"];

    for quantity in wrong {
        for field in ["quantity", "qty"] {
            let item = format!(r#"{{"productId": "{product}", "{field}": {quantity}}}"#);
            let items = format!(r#"{{"items": [{{"productId": "{product}", "quantity": 1}}, {item}]}}"#);
            // Nothing but null is no field at all, and then it is `quantity` that is missing.
            let named = if quantity == "null" { "quantity" } else { field };
            let pointer = format!("/{named}");
            let reply = raw_json(&shop, (Method::POST, "/cart/add-to-cart"), &ada.token, item.clone()).await;
            problem_at(reply, 400, "invalid_input", &pointer);
            let reply = raw_json(&shop, (Method::POST, "/cart/add-items"), &ada.token, items).await;
            problem_at(reply, 400, "invalid_input", &format!("/items/1{pointer}"));
            // There, 0 removes.
            for path in ["/cart/update-item", "/cart/update-cart"].into_iter().filter(|_| quantity != "0") {
                let reply = raw_json(&shop, (Method::PUT, path), &ada.token, item.clone()).await;
                problem_at(reply, 400, "invalid_input", &pointer);
            }
        }
    }

    assert_eq!(everything_of(&shop, &ada).await, before);
}

#[tokio::test]
async fn a_body_cut_short_at_any_byte_is_refused_and_changes_nothing() {
    let shop = TestShop::new().await;
    let (ada, product) = with_cart(&shop).await;
    let before = everything_of(&shop, &ada).await;

    for (route, body) in taken_bodies(&product, &ada) {
        let body = body.to_string();
        for length in 0..body.len() {
            let reply = raw_json(&shop, route.clone(), &ada.token, body[..length].to_owned()).await;
            let document = problem(reply, 400, "invalid_json");
            assert!(document["errors"][0]["pointer"].is_string(), "{document}");
        }
        let halves = stream::iter([Ok(Bytes::from(body[..body.len() / 2].to_owned())), Err("the line broke")]);
        let reply = raw_json(&shop, route, &ada.token, Body::from_stream(halves)).await;
        problem(reply, 400, "body_incomplete");
    }

    assert_eq!(everything_of(&shop, &ada).await, before);
}

#[tokio::test]
async fn a_body_that_is_too_deep_too_large_or_no_json_is_refused_and_changes_nothing() {
    let shop = TestShop::new().await;
    let (ada, product) = with_cart(&shop).await;
    let before = everything_of(&shop, &ada).await;

    for (route, body) in taken_bodies(&product, &ada) {
        let fields = body.to_string();
        let fields = fields.strip_suffix('}').unwrap();
        let deep = format!(r#"{fields}, "note": {}1{}}}"#, "[".repeat(40), "]".repeat(40));
        let large = format!(r#"{fields}, "note": "{}"}}"#, "x".repeat(256 * 1024));
        let after = format!("{fields}}} x");
        let latin = [fields.as_bytes(), b", \"note\": \"\xe9\"}"].concat();
        problem(raw_json(&shop, route.clone(), &ada.token, deep).await, 400, "too_deep");
        problem(raw_json(&shop, route.clone(), &ada.token, large).await, 413, "body_too_large");
        problem(raw_json(&shop, route.clone(), &ada.token, after).await, 400, "invalid_json");
        problem(raw_json(&shop, route.clone(), &ada.token, latin).await, 400, "invalid_json");
        for media in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "multipart/form-data"] {
            let reply = raw(&shop, route.clone(), &ada.token, Some(media), body.to_string()).await;
            problem(reply, 415, "unsupported_media_type");
        }
        problem(raw(&shop, route, &ada.token, None, body.to_string()).await, 415, "unsupported_media_type");
    }

    assert_eq!(everything_of(&shop, &ada).await, before);
}

#[tokio::test]
async fn a_key_that_stands_twice_is_refused_and_changes_nothing() {
    let shop = TestShop::new().await;
    let (ada, product) = with_cart(&shop).await;
    let before = everything_of(&shop, &ada).await;

    for (route, body) in taken_bodies(&product, &ada) {
        for (name, value) in body.as_object().unwrap() {
            if is_unknown(route.1, name) {
                continue;
            }
            let fields = body.to_string();
            let twice = format!(r#"{}, "{name}": {value}}}"#, fields.strip_suffix('}').unwrap());
            let document = problem(raw_json(&shop, route.clone(), &ada.token, twice).await, 400, "invalid_input");
            assert!(document["errors"][0]["detail"].as_str().unwrap().contains(name), "{document}");
        }
    }
    let nested = format!(r#"{{"items": [{{"productId": "{product}", "quantity": 1, "quantity": 1}}]}}"#);
    let reply = raw_json(&shop, (Method::POST, "/cart/add-items"), &ada.token, nested).await;
    let document = problem(reply, 400, "invalid_input");
    assert!(pointer_of(&document["errors"][0]).unwrap().starts_with("/items/0"), "{document}");

    assert_eq!(everything_of(&shop, &ada).await, before);
}

#[tokio::test]
async fn a_field_of_the_wrong_type_is_named_and_changes_nothing() {
    let shop = TestShop::new().await;
    let (ada, product) = with_cart(&shop).await;
    let before = everything_of(&shop, &ada).await;

    for (route, body) in taken_bodies(&product, &ada) {
        // The fields of an object by their places are no object.
        let places = json!([[product], [product, 3], [product, 3, null], [product, 3, null, null, null, null]]);
        for wrong in places.as_array().unwrap() {
            let reply = shop.call(route.0.clone(), route.1, &ada.token, Some(wrong.clone())).await;
            problem(reply, 400, "invalid_input");
        }
        for wrong in ["[]", "[[]]", "\"text\"", "5", "true", "null"] {
            problem(raw_json(&shop, route.clone(), &ada.token, wrong).await, 400, "invalid_input");
        }
        // A type that none of these fields has.
        for name in body.as_object().unwrap().keys() {
            let mut body = body.clone();
            body[name] = json!(true);
            let reply = shop.call(route.0.clone(), route.1, &ada.token, Some(body)).await;
            if is_unknown(route.1, name) {
                assert_eq!(reply.status, 200, "a quote has no {name}");
                continue;
            }
            problem_at(reply, 400, "invalid_input", &format!("/{name}"));
        }
    }
    let body = json!({"items": [{"productId": product, "quantity": 1}, {"productId": 7, "quantity": 1}]});
    problem_at(shop.post("/cart/add-items", &ada.token, body).await, 400, "invalid_input", "/items/1/productId");
    problem_at(shop.post("/cart/add-items", &ada.token, json!({"items": []})).await, 400, "invalid_input", "/items");
    let mut body = ada.order_body("pm_card_visa");
    body["expectedTotal"] = json!("25.00");
    problem_at(shop.post("/order/create-order", &ada.token, body).await, 400, "invalid_input", "/expectedTotal");

    assert_eq!(everything_of(&shop, &ada).await, before);
}

/// What an attacker would like to be believed.
fn with_claims(body: &Value, victim: &str) -> Value {
    let mut body = body.clone();
    let claims = json!({
        "price": 0.01, "unitPrice": 0.01, "productName": "Gold", "name": "Gold", "image": "/gold.svg", "lineTotal": 0.01,
        "subtotal": 0.01, "discountTotal": 99, "shipping": 0, "tax": 0, "total": 0.01, "totalAmount": 0.01, "amount": 0.01,
        "currency": "JPY", "status": "confirmed", "role": "admin", "userId": victim, "user": {"id": victim},
        "id": "x", "_id": "x", "orderNumber": "1", "version": 99, "promotionCodes": ["FREE"], "discount": 1,
        "history": [], "createdAt": "2000-01-01T00:00:00.000Z", "stage": {"name": "confirmed"},
    });
    body.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn what_a_client_says_about_price_name_owner_or_currency_is_not_believed_by_a_cart() {
    let shop = TestShop::new().await;
    let product = shop.product("TEA-250", "10.00", 50).await;
    let (ada, bob) = (shop.shopper("ada").await, shop.shopper("bob").await);
    let bobs = everything_of(&shop, &bob).await;
    let item = with_claims(&json!({"productId": product, "quantity": 2}), &bob.id);
    let in_cart = |cart: &Value, quantity: u64, total: f64| {
        let expected = json!([{
            "productId": product, "productName": "Product TEA-250", "price": 10.0, "quantity": quantity,
            "image": "/pictures/thing.svg", "lineTotal": total,
        }]);
        assert_eq!(cart["items"], expected);
        let sums = json!([cart["subtotal"], cart["discountTotal"], cart["totalAmount"], cart["currency"]]);
        assert_eq!(sums, json!([total, 0.0, total, "USD"]));
        assert_eq!((&cart["userId"], &cart["promotionCodes"]), (&json!(ada.id), &json!([])));
    };

    let cart = shop.post("/cart/add-to-cart", &ada.token, item.clone()).await.expect(200);
    in_cart(&cart["cart"], 2, 20.0);
    let cart = shop.post("/cart/add-items", &ada.token, json!({"items": [item], "userId": bob.id})).await.expect(200);
    in_cart(&cart["cart"], 4, 40.0);
    let cart = shop.call(Method::PUT, "/cart/update-item", &ada.token, Some(item)).await.expect(200);
    in_cart(&cart["cart"], 2, 20.0);

    in_cart(&ada.cart().await, 2, 20.0);
    assert_eq!(everything_of(&shop, &bob).await, bobs);
}

#[tokio::test]
async fn what_a_client_says_about_totals_states_or_the_buyer_is_not_believed_by_an_order() {
    let shop = TestShop::new().await;
    let (ada, product) = with_cart(&shop).await;
    let bob = shop.shopper("bob").await;
    let bobs = everything_of(&shop, &bob).await;
    let honest = ada.order_body("pm_card_chargeDeclined");
    let claims = with_claims(&honest, &bob.id);

    let quote = shop.post("/order/quote", &ada.token, honest).await.expect(200);
    assert_eq!(shop.post("/order/quote", &ada.token, claims.clone()).await.expect(200), quote);
    let order = shop.post("/order/create-order", &ada.token, claims).await.expect(201);
    let id = order["_id"].as_str().unwrap();

    for sum in ["items", "currency", "subtotal", "discountTotal", "shipping", "tax", "total"] {
        assert_eq!(order[sum], quote[sum], "{sum}");
    }
    assert_eq!(order["total"], 25.0);
    assert_eq!((&order["status"], &order["userId"]), (&json!("awaiting_payment"), &json!(ada.id)));
    assert!(order["orderNumber"].as_str().unwrap().len() > 8 && id != "x");
    assert_eq!(order["history"].as_array().unwrap().len(), 2);

    let pay = with_claims(&json!({"orderId": id, "paymentMethod": "pm_card_visa"}), &bob.id);
    let paid = shop.post("/payment/process-payment", &ada.token, pay).await.expect(201);
    assert_eq!((&paid["amount"], &paid["currency"]), (&json!(25.0), &json!("USD")));
    shop.settle().await;
    let receipt = shop.get(&format!("/payment/receipts/{id}"), &ada.token).await.expect(200);
    assert_eq!((&receipt["captured"], &receipt["currency"]), (&json!(25.0), &json!("USD")));
    assert_eq!(shop.available(&product).await, (48, 0));
    assert_eq!(everything_of(&shop, &bob).await, bobs);
}

#[tokio::test]
async fn nobody_makes_themselves_an_admin_or_somebody_else() {
    let shop = TestShop::new().await;
    let bob = shop.shopper("bob").await;
    let bobs = everything_of(&shop, &bob).await;
    let account = json!({"email": "ada@example.com", "password": "a fine password 7"});
    let login = with_claims(&account, &bob.id);

    let registered = shop.send(Method::POST, "/auth/register", &[], Some(login.to_string())).await.expect(201);
    let guest = with_claims(&json!({}), &bob.id).to_string();
    let guest = shop.send(Method::POST, "/auth/guest", &[], Some(guest)).await.expect(201);
    let ada = shop.returning(registered["user"]["id"].as_str().unwrap(), registered["token"].as_str().unwrap());
    assert_eq!(registered["user"]["role"], "customer");
    assert_ne!(ada.id, bob.id);
    assert_eq!(guest["user"]["role"], "guest");
    assert_ne!(guest["userId"], bob.id);

    let mut profile = with_claims(&json!({"email": "admin@example.com", "epoch": 9}), &bob.id);
    profile["name"] = json!("Ada");
    let me = shop.call(Method::PATCH, "/auth/me", &ada.token, Some(profile)).await.expect(200);
    let expected = json!([ada.id, "ada@example.com", "customer", "Ada"]);
    assert_eq!(json!([me["id"], me["email"], me["role"], me["name"]]), expected);
    let again = shop.send(Method::POST, "/auth/login", &[], Some(login.to_string())).await.expect(200);
    assert_eq!((&again["user"]["role"], &again["user"]["id"]), (&json!("customer"), &json!(ada.id)));
    for token in [&again["token"], &guest["token"]] {
        let reply = shop.get("/notification/deliveries", token.as_str().unwrap()).await;
        problem(reply, 403, "forbidden");
    }
    assert_eq!(everything_of(&shop, &bob).await, bobs);
}

#[tokio::test]
async fn somebody_elses_cart_and_order_list_are_forbidden_and_the_rest_of_theirs_does_not_exist() {
    let shop = TestShop::new().await;
    let (ada, product) = with_cart(&shop).await;
    let order = ada.order("pm_card_chargeDeclined").await.expect(201)["_id"].as_str().unwrap().to_owned();
    let payments = format!("/payment/transactions?orderId={order}");
    let payment = shop.get(&payments, &ada.token).await.expect(200)["items"][0]["paymentId"].clone();
    let before = everything_of(&shop, &ada).await;
    let (bob, guest) = (shop.shopper("bob").await, shop.guest().await);
    let nobodys = "ord_018f0000-0000-7000-8000-000000000000".replace('-', "");
    let nobodys_payment = "pay_018f0000-0000-7000-8000-000000000000".replace('-', "");

    for other in [&bob, &guest] {
        for path in ["/cart/get-cart/", "/cart/events/", "/orders/", "/order/orders/"] {
            problem(shop.get(&format!("{path}{}", ada.id), &other.token).await, 403, "forbidden");
        }
        let asked = [
            (Method::GET, "/order/{}", "order_unknown", None),
            (Method::GET, "/order/order-status/{}", "order_unknown", None),
            (Method::GET, "/order/events/{}", "order_unknown", None),
            (Method::POST, "/order/{}/cancel", "order_unknown", None),
            (Method::GET, "/payment/transactions?orderId={}", "order_not_found", None),
            (Method::GET, "/payment/receipts/{}", "receipt_not_found", None),
            (
                Method::POST,
                "/payment/process-payment",
                "order_not_found",
                Some(json!({"orderId": "{}", "paymentMethod": "pm_card_visa"})),
            ),
        ];
        for (method, path, code, body) in asked {
            let mut answers = Vec::new();
            for id in [&order, &nobodys] {
                let body = body.as_ref().map(|body| body.to_string().replace("{}", id).parse().unwrap());
                let reply = shop.call(method.clone(), &path.replace("{}", id), &other.token, body).await;
                let mut document = problem(reply, 404, code);
                document["instance"] = Value::Null;
                answers.push(document);
            }
            assert_eq!(answers[0], answers[1], "theirs and nobody's are told alike");
        }
        for id in [payment.clone(), json!(nobodys_payment)] {
            let reply = shop.post("/payment/validate-payment", &other.token, json!({"paymentId": id})).await;
            problem(reply, 404, "payment_not_found");
        }
    }

    assert_eq!(everything_of(&shop, &ada).await, before);
    assert_eq!(shop.available(&product).await, (48, 2));
    shop.get(&payments, &ada.token).await.expect(200);
}

/// Routes that anybody may ask.
const PUBLIC: &[&str] = &[
    "GET /.well-known/jwks.json",
    "GET /auth/.well-known/jwks.json",
    "GET /categories",
    "GET /inventory/check-stock",
    "GET /product/categories",
    "GET /product/products",
    "GET /product/products/{id}",
    "GET /product/search",
    "GET /products",
    "GET /products/{id}",
    "GET /search",
    "POST /auth/guest",
    "POST /auth/login",
    "POST /auth/refresh",
    "POST /auth/register",
    "POST /auth/validate-token",
    "POST /inventory/check-stock",
    "POST /product/batch-get",
];

/// Whether anybody may ask; how a service is, too.
fn is_public(operation: &str) -> bool {
    let asks_how_it_is = ["/health", "/livez", "/readyz"].iter().any(|probe| operation.ends_with(probe));
    PUBLIC.contains(&operation) || asks_how_it_is
}

/// Routes that shoppers may ask, each about their own.
const SHOPPERS: &[&str] = &[
    "DELETE /cart/clear",
    "DELETE /cart/clear-cart",
    "DELETE /cart/remove-item",
    "GET /auth/me",
    "GET /cart/events/{userId}",
    "GET /cart/get-cart/{userId}",
    "GET /order/events/{orderId}",
    "GET /order/order-status/{orderId}",
    "GET /order/orders/{userId}",
    "GET /order/{orderId}",
    "GET /orders/{userId}",
    "GET /payment/receipts/{orderId}",
    "GET /payment/transactions",
    "PATCH /auth/me",
    "POST /auth/change-password",
    "POST /auth/logout",
    "POST /auth/logout-all",
    "POST /cart/add-items",
    "POST /cart/add-to-cart",
    "POST /order/create-order",
    "POST /order/quote",
    "POST /order/{orderId}/cancel",
    "POST /payment/process-payment",
    "POST /payment/validate-payment",
    "PUT /cart/update-cart",
    "PUT /cart/update-item",
];

/// Every operation of the shop's own document: method and path.
async fn operations(shop: &TestShop) -> BTreeSet<String> {
    let document = shop.send(Method::GET, "/openapi.json", &[], None).await.expect(200);
    let paths = document["paths"].as_object().unwrap().clone();
    let of_path = |(path, item): (String, Value)| -> Vec<String> {
        let methods = ["get", "put", "post", "delete", "patch"].into_iter().filter(|method| item.get(method).is_some());
        methods.map(|method| format!("{} {path}", method.to_uppercase())).collect()
    };
    paths.into_iter().flat_map(of_path).collect()
}

fn split(operation: &str) -> (Method, &str) {
    let (method, path) = operation.split_once(' ').unwrap();
    (method.parse().unwrap(), path)
}

#[tokio::test]
async fn every_route_that_is_not_public_asks_for_a_token() {
    let shop = TestShop::new().await;
    let operations = operations(&shop).await;
    for known in PUBLIC.iter().chain(SHOPPERS) {
        assert!(operations.contains(*known), "{known} is no route");
    }
    let mut guarded = 0;
    for operation in operations.iter().filter(|operation| !is_public(operation)) {
        let (method, path) = split(operation);
        let reply = shop.send(method, path, &[], Some("{}".to_owned())).await;
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"), "{operation}: {reply:?}");
        problem(reply, 401, "token_missing");
        guarded += 1;
    }
    assert!(guarded > SHOPPERS.len());
}

#[tokio::test]
async fn every_route_that_is_neither_public_nor_a_shoppers_is_forbidden_to_shoppers() {
    let shop = TestShop::new().await;
    let (ada, product) = with_cart(&shop).await;
    let guest = shop.guest().await;
    let before = everything_of(&shop, &ada).await;
    let stock = shop.available(&product).await;
    let item = json!({"productId": product, "quantity": 1});
    // What the routes would take, so that it is not the body that they refuse.
    let body = json!({
        "sku": "NEW", "name": "New", "price": 1, "status": "active", "productId": product, "onHand": 0, "reason": "mine",
        "orderId": "mine", "items": [item], "paymentId": "pay_018f0000000070008000000000000000", "to": "ada@example.com",
        "template": "welcome", "data": {}, "subject": "s", "text": "t", "html": "h",
    });
    let mut forbidden = 0;
    for operation in operations(&shop).await {
        if is_public(&operation) || SHOPPERS.contains(&operation.as_str()) {
            continue;
        }
        let (method, path) = split(&operation);
        let path = path.replace("{id}", &product).replace("{name}", "welcome");
        for token in [&ada.token, &guest.token] {
            let reply = shop.call(method.clone(), &path, token, Some(body.clone())).await;
            assert_eq!(reply.status, 403, "{operation}: {reply:?}");
            problem(reply, 403, "forbidden");
        }
        forbidden += 1;
    }
    assert!(forbidden >= 15, "{forbidden}");
    assert_eq!(everything_of(&shop, &ada).await, before);
    assert_eq!(shop.available(&product).await, stock);
    shop.post("/product/products", shop.admin(), body).await.expect(201);
}

#[tokio::test]
async fn a_token_that_is_forged_altered_or_expired_opens_nothing() {
    let shop = TestShop::new().await;
    let elsewhere = TestShop::builder().with_hostile_events(7).start().await;
    let (ada, _) = with_cart(&shop).await;
    let before = ada.cart().await;
    let (head, rest) = ada.token.split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    let claims_json = String::from_utf8(URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    assert!(claims_json.contains("customer"), "{claims_json}");
    let promoted = URL_SAFE_NO_PAD.encode(claims_json.replace("customer", "admin"));
    let admins: Vec<&str> = shop.admin().split('.').collect();
    let unsigned = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    let symmetric = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let forged = [
        "nonsense".to_owned(),
        "a.b.c".to_owned(),
        elsewhere.admin().to_owned(),
        format!("{head}.{promoted}.{signature}"),
        format!("{head}.{}.{signature}", admins[1]),
        format!("{unsigned}.{promoted}."),
        format!("{unsigned}.{promoted}.{signature}"),
        format!("{symmetric}.{promoted}.{signature}"),
        format!("{head}.{claims}."),
        format!("{head}.{claims}"),
        format!("{}x", ada.token),
    ];

    for token in &forged {
        for path in [format!("/cart/get-cart/{}", ada.id), "/notification/deliveries".to_owned()] {
            let reply = shop.get(&path, token).await;
            assert_eq!(reply.header("www-authenticate"), Some("Bearer"), "{token}");
            problem(reply, 401, "invalid_token");
        }
    }
    for header in ["Bearer", "Bearer ", &ada.token, &format!("Basic {}", ada.token)] {
        let reply = shop.send(Method::GET, "/auth/me", &[("authorization", header)], None).await;
        problem(reply, 401, "invalid_token");
    }
    assert_eq!(ada.cart().await, before, "the honest token works");
    shop.advance(std::time::Duration::from_secs(8 * 24 * 3600));
    problem(shop.get(&format!("/cart/get-cart/{}", ada.id), &ada.token).await, 401, "invalid_token");
}

#[tokio::test]
async fn a_price_that_the_currency_cannot_have_is_refused_and_the_product_is_as_before() {
    let shop = TestShop::new().await;
    let id = shop.product("TEA-250", "10.00", 5).await;
    let path = format!("/product/products/{id}");
    let before = shop.get(&path, shop.admin()).await.expect(200);

    for wrong in ["1.999", "10.001", "-1", "1e2", "\"5\"", "null", "true", "[1]", "99999999999999999999"] {
        let product = |sku: &str| format!(r#"{{"sku": "{sku}", "name": "Tea", "price": {wrong}}}"#);
        let create = raw_json(&shop, (Method::POST, "/product/products"), shop.admin(), product("NEW")).await;
        problem_at(create, 400, "invalid_input", "/price");
        let replace = raw_json(&shop, (Method::PUT, &path), shop.admin(), product("TEA-250")).await;
        problem_at(replace, 400, "invalid_input", "/price");
        let patch = raw_json(&shop, (Method::PATCH, &path), shop.admin(), format!(r#"{{"price": {wrong}}}"#)).await;
        problem_at(patch, 400, "invalid_input", "/price");
    }
    let compare = json!({"compareAtPrice": "?"}).to_string().replace("\"?\"", "20.001");
    let reply = raw_json(&shop, (Method::PATCH, &path), shop.admin(), compare).await;
    problem_at(reply, 400, "invalid_input", "/compareAtPrice");
    let reply = shop.call(Method::PATCH, &path, shop.admin(), Some(json!({"currency": "EUR"}))).await;
    problem_at(reply, 400, "invalid_input", "/currency");
    let lines = r#"{"sku": "TEA-250", "name": "Tea", "price": 1.999}"#;
    let import = (Method::POST, "/product/import?format=jsonl");
    let report = raw(&shop, import, shop.admin(), None, lines).await.expect(200);
    assert_eq!((&report["updated"], &report["rejected"][0]["line"]), (&json!(0), &json!(1)), "{report}");

    assert_eq!(shop.get(&path, shop.admin()).await.expect(200), before);
    let right = json!({"sku": "NEW", "name": "Tea", "price": 1.99});
    shop.post("/product/products", shop.admin(), right).await.expect(201);
}

#[tokio::test]
async fn a_path_that_is_none_is_404_and_a_method_that_a_path_does_not_take_is_405_with_what_it_takes() {
    let shop = TestShop::new().await;
    let ada = shop.shopper("ada").await;
    for path in ["/nowhere", "/cart", "/cart/nowhere", "/order/a/b/c", "/carts/add-to-cart", "/peer/orders", "/orders"]
    {
        problem(shop.get(path, &ada.token).await, 404, "unknown_path");
    }
    let routes = [
        (Method::GET, "/cart/add-to-cart", "POST"),
        (Method::POST, "/cart/update-item", "PUT"),
        (Method::POST, "/cart/remove-item", "DELETE"),
        (Method::DELETE, "/cart/get-cart/someone", "GET,HEAD"),
        (Method::GET, "/order/someones/cancel", "POST"),
        (Method::PUT, "/order/create-order", "POST"),
        (Method::PATCH, "/payment/process-payment", "POST"),
        (Method::POST, "/orders/someone", "GET,HEAD"),
        (Method::DELETE, "/products", "GET,HEAD"),
        (Method::DELETE, "/auth/me", "GET,HEAD,PATCH"),
    ];
    for (method, path, takes) in routes {
        let reply = shop.call(method.clone(), path, &ada.token, None).await;
        let allow: BTreeSet<String> =
            reply.header("allow").unwrap_or("").split(',').map(|it| it.trim().to_owned()).collect();
        for taken in takes.split(',') {
            assert!(allow.contains(taken), "{method} {path}: {reply:?}");
        }
        assert!(!allow.contains(method.as_str()), "{method} {path}: {reply:?}");
        problem(reply, 405, "method_not_allowed");
    }
}

#[tokio::test]
async fn a_card_number_is_refused_and_stands_nowhere_in_what_the_shop_keeps() {
    let shop = TestShop::builder().on(Engine::Sqlite).start().await;
    let (ada, _) = with_cart(&shop).await;
    let before = everything_of(&shop, &ada).await;
    let cards = ["4242424242424242", "4242 4242 4242 4242", "5555-5555-5555-4444", "378282246310005"];
    for card in cards {
        let body = ada.order_body(card);
        let reply = shop.post("/order/create-order", &ada.token, body.clone()).await;
        problem_at(reply, 400, "card_number_refused", "/paymentMethod");
        let reply = ada.order_with_key("a-key-for-a-card", &body).await;
        problem_at(reply, 400, "card_number_refused", "/paymentMethod");
        let mut body = ada.order_body("pm_card_visa");
        body["shippingAddress"]["line2"] = json!(format!("card {card}"));
        let reply = shop.post("/order/create-order", &ada.token, body).await;
        problem_at(reply, 400, "card_number_refused", "/shippingAddress/line2");
    }
    assert_eq!(everything_of(&shop, &ada).await, before);

    let order = ada.order("pm_card_chargeDeclined").await.expect(201);
    for card in cards {
        for field in ["paymentMethod", "note"] {
            let mut body = json!({"orderId": order["_id"], "paymentMethod": "pm_card_visa"});
            body[field] = json!(card);
            let reply = shop.post("/payment/process-payment", &ada.token, body).await;
            problem(reply, 400, "card_number_refused");
        }
    }
    shop.settle().await;
    assert_eq!(ada.order_now(order["_id"].as_str().unwrap()).await["status"], "awaiting_payment");

    let kept = kept_bytes(shop.folder());
    let holds = |text: &str| kept.windows(text.len()).any(|bytes| bytes == text.as_bytes());
    assert!(holds("Springfield") && holds("pm_card_chargeDeclined"), "what was accepted is found");
    for card in cards {
        assert!(!holds(card), "{card} was kept");
        assert!(!holds(&card.replace([' ', '-'], "")), "{card} was kept");
    }
}

/// Every byte of every file below.
fn kept_bytes(folder: &std::path::Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            bytes.extend(kept_bytes(&entry));
        } else {
            bytes.extend(std::fs::read(&entry).unwrap());
        }
    }
    bytes
}

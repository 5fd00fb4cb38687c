//! What a shopper does with a cart, and what they are told about it.
#![allow(clippy::unwrap_used, reason = "a test may")]

use axum::body::{Body, Bytes};
use axum::http::{Method, Request};
use cartwright_testkit::{Reply, Shopper, TestShop};
use futures::future::join_all;
use serde_json::{Value, json};

/// Sends a change of the cart.
async fn change(shop: &TestShop, shopper: &Shopper<'_>, route: (Method, &str), body: Value) -> Reply {
    shop.call(route.0, route.1, &shopper.token, Some(body)).await
}

/// Sends a POST with one more header; gives status, whether it is a replay, and the bytes of the answer.
async fn post_with(
    shop: &TestShop,
    shopper: &Shopper<'_>,
    path: &str,
    extra: (&str, &str),
    body: &Value,
) -> (u16, bool, Bytes) {
    let request = Request::post(path)
        .header("authorization", format!("Bearer {}", shopper.token))
        .header("content-type", "application/json")
        .header(extra.0, extra.1);
    let response = shop.answer_to(request.body(Body::from(body.to_string())).unwrap()).await;
    let (status, replayed) = (response.status().as_u16(), response.headers().contains_key("idempotent-replayed"));
    (status, replayed, axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap())
}

/// The cart as it is written.
async fn cart_text(shop: &TestShop, shopper: &Shopper<'_>) -> String {
    let request = Request::get(format!("/cart/get-cart/{}", shopper.id))
        .header("authorization", format!("Bearer {}", shopper.token))
        .body(Body::empty());
    let response = shop.answer_to(request.unwrap()).await;
    String::from_utf8(axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap()
}

fn quantities(cart: &Value) -> Vec<(&str, u64)> {
    let items = cart["items"].as_array().unwrap();
    items.iter().map(|item| (item["productId"].as_str().unwrap(), item["quantity"].as_u64().unwrap())).collect()
}

#[tokio::test]
async fn a_shopper_who_added_nothing_has_an_empty_cart() {
    let shop = TestShop::new().await;
    for shopper in [shop.shopper("ada").await, shop.guest().await] {
        let cart = shopper.cart().await;
        assert_eq!((&cart["items"], &cart["warnings"], &cart["version"]), (&json!([]), &json!([]), &json!(0)));
        assert_eq!(
            (&cart["totalAmount"], &cart["currency"], &cart["userId"]),
            (&json!(0.0), &json!("USD"), &json!(shopper.id))
        );
    }
}

#[tokio::test]
async fn adding_a_product_twice_adds_the_quantities_by_either_name() {
    let shop = TestShop::new().await;
    let (tea, mug) = (shop.product("TEA-250", "10.00", 50).await, shop.product("MUG-1", "7.50", 50).await);
    let ada = shop.shopper("ada").await;

    let first = ada.add(&tea, 2).await.expect(200);
    assert_eq!(first["message"], "Item added to cart");
    ada.add(&mug, 1).await.expect(200);
    let added = shop.post("/cart/add-to-cart", &ada.token, json!({"productId": tea, "qty": 3})).await.expect(200);

    assert_eq!(quantities(&added["cart"]), [(&*tea, 5), (&*mug, 1)], "in the order they were added");
    assert_eq!(added["cart"]["totalAmount"], 57.5);
    assert_eq!(ada.cart().await, added["cart"]);
}

#[tokio::test]
async fn many_items_are_added_all_or_none() {
    let shop = TestShop::new().await;
    let (tea, mug) = (shop.product("TEA-250", "10.00", 50).await, shop.product("MUG-1", "7.50", 50).await);
    let ada = shop.shopper("ada").await;
    let items =
        json!([{"productId": tea, "quantity": 2}, {"productId": mug, "qty": 1}, {"productId": tea, "quantity": 1}]);

    let added = shop.post("/cart/add-items", &ada.token, json!({"items": items})).await.expect(200);
    assert_eq!(quantities(&added["cart"]), [(&*tea, 3), (&*mug, 1)]);

    for unknown in ["prd_018f0000000070008000000000000000", "no id at all", ""] {
        let mut items = items.clone();
        items[1]["productId"] = json!(unknown);
        let refused = shop.post("/cart/add-items", &ada.token, json!({"items": items})).await;
        let refused = refused.refused(404, "product_unknown");
        assert_eq!(refused["errors"][0]["pointer"], "/items/1/productId");
    }
    assert_eq!(ada.cart().await, added["cart"], "not one of them was added");
}

#[tokio::test]
async fn more_than_999_of_a_product_are_refused_and_the_cart_is_as_before() {
    let shop = TestShop::new().await;
    let tea = shop.product("TEA-250", "0.07", 2000).await;
    let ada = shop.shopper("ada").await;
    ada.add(&tea, 998).await.expect(200);
    ada.add(&tea, 1).await.expect(200);
    let full = ada.cart().await;
    assert_eq!(full["totalAmount"], 69.93);

    ada.add(&tea, 1).await.refused(400, "quantity_limit");
    let body = json!({"items": [{"productId": tea, "quantity": 999}]});
    let refused = shop.post("/cart/add-items", &ada.token, body).await.refused(400, "quantity_limit");
    assert_eq!(refused["errors"][0]["pointer"], "/items/0/quantity");

    assert_eq!(ada.cart().await, full);
}

#[tokio::test]
async fn more_than_a_hundred_products_are_refused_and_the_cart_is_as_before() {
    let shop = TestShop::new().await;
    let ada = shop.shopper("ada").await;
    let names: Vec<Value> = (0..101).map(|n| json!({"sku": format!("P-{n}"), "name": "Thing", "price": 1})).collect();
    let listed = join_all(names.into_iter().map(|product| shop.post("/product/products", shop.admin(), product))).await;
    let ids: Vec<Value> = listed.into_iter().map(|reply| reply.expect(201)["_id"].clone()).collect();
    let items = |ids: &[Value]| -> Value {
        let items: Vec<Value> = ids.iter().map(|id| json!({"productId": id, "quantity": 1})).collect();
        json!({"items": items})
    };

    shop.post("/cart/add-items", &ada.token, items(&ids)).await.refused(400, "invalid_input");
    let added = shop.post("/cart/add-items", &ada.token, items(&ids[..100])).await.expect(200);
    assert_eq!(added["cart"]["items"].as_array().unwrap().len(), 100);
    let full = ada.cart().await;
    ada.add(ids[100].as_str().unwrap(), 1).await.refused(400, "cart_full");
    let refused = shop.post("/cart/add-items", &ada.token, items(&ids[99..])).await.refused(400, "cart_full");
    assert_eq!(refused["errors"][0]["pointer"], "/items/1/quantity");

    assert_eq!(ada.cart().await, full);
    ada.add(ids[0].as_str().unwrap(), 1).await.expect(200);
}

#[tokio::test]
async fn a_quantity_can_be_set_by_two_names_of_the_route_and_zero_removes() {
    let shop = TestShop::new().await;
    let (tea, mug) = (shop.product("TEA-250", "10.00", 50).await, shop.product("MUG-1", "7.50", 50).await);
    let ada = shop.shopper("ada").await;
    ada.add(&tea, 2).await.expect(200);

    for (path, quantity) in [("/cart/update-item", 7), ("/cart/update-cart", 3)] {
        let set = json!({"productId": tea, "quantity": quantity, "price": {"any": "type"}});
        let updated = change(&shop, &ada, (Method::PUT, path), set).await.expect(200);
        assert_eq!(updated["message"], "Cart updated");
        assert_eq!(quantities(&updated["cart"]), [(&*tea, quantity)]);
    }
    let absent = json!({"productId": mug, "quantity": 1});
    change(&shop, &ada, (Method::PUT, "/cart/update-item"), absent).await.refused(404, "item_not_in_cart");
    let zero = json!({"productId": tea, "quantity": 0});
    let removed = change(&shop, &ada, (Method::PUT, "/cart/update-item"), zero.clone()).await.expect(200);
    assert_eq!(removed["cart"]["items"], json!([]));
    change(&shop, &ada, (Method::PUT, "/cart/update-item"), zero).await.refused(404, "item_not_in_cart");
}

#[tokio::test]
async fn a_product_is_removed_by_body_or_by_query_and_only_once() {
    let shop = TestShop::new().await;
    let (tea, mug) = (shop.product("TEA-250", "10.00", 50).await, shop.product("MUG-1", "7.50", 50).await);
    let ada = shop.shopper("ada").await;
    ada.add(&tea, 2).await.expect(200);
    ada.add(&mug, 1).await.expect(200);
    let by_query = format!("/cart/remove-item?productId={tea}");
    let by_body = || change(&shop, &ada, (Method::DELETE, "/cart/remove-item"), json!({"productId": mug}));

    let removed = shop.call(Method::DELETE, &by_query, &ada.token, None).await.expect(200);
    assert_eq!(removed["message"], "Item removed from cart");
    assert_eq!(quantities(&removed["cart"]), [(&*mug, 1)]);
    shop.call(Method::DELETE, &by_query, &ada.token, None).await.refused(404, "item_not_in_cart");
    assert_eq!(by_body().await.expect(200)["cart"]["items"], json!([]));
    by_body().await.refused(404, "item_not_in_cart");

    let unnamed = shop.call(Method::DELETE, "/cart/remove-item", &ada.token, None).await.refused(400, "invalid_input");
    assert_eq!(unnamed["errors"][0]["pointer"], "/productId");
}

#[tokio::test]
async fn a_cart_is_cleared_by_two_names_of_the_route_however_often() {
    let shop = TestShop::new().await;
    let tea = shop.product("TEA-250", "10.00", 50).await;
    let ada = shop.shopper("ada").await;
    for path in ["/cart/clear", "/cart/clear-cart", "/cart/clear"] {
        ada.add(&tea, 2).await.expect(200);
        for _ in 0..2 {
            let cleared = shop.call(Method::DELETE, path, &ada.token, None).await.expect(200);
            assert_eq!(cleared, json!({"message": "Cart cleared successfully"}));
            let cart = ada.cart().await;
            assert_eq!((&cart["items"], &cart["totalAmount"]), (&json!([]), &json!(0.0)));
        }
    }
}

#[tokio::test]
async fn a_change_of_a_cart_that_has_moved_on_is_refused_with_its_present_version() {
    let shop = TestShop::new().await;
    let tea = shop.product("TEA-250", "10.00", 50).await;
    let ada = shop.shopper("ada").await;
    ada.add(&tea, 1).await.expect(200);
    let seen = shop.get(&format!("/cart/get-cart/{}", ada.id), &ada.token).await;
    let tag = seen.header("etag").unwrap().to_owned();
    assert_eq!(tag, format!("\"{}\"", seen.body["version"]));
    let bearer = format!("Bearer {}", ada.token);
    let send = async |route: (Method, &str), tag: &str| {
        let headers = [("authorization", bearer.as_str()), ("if-match", tag)];
        let body = json!({"productId": tea, "quantity": 1, "items": [{"productId": tea, "quantity": 1}]});
        shop.send(route.0, route.1, &headers, Some(body.to_string())).await
    };

    let added = send((Method::POST, "/cart/add-to-cart"), &tag).await.expect(200);
    let before = ada.cart().await;
    let routes = [
        (Method::POST, "/cart/add-to-cart"),
        (Method::POST, "/cart/add-items"),
        (Method::PUT, "/cart/update-item"),
        (Method::DELETE, "/cart/remove-item"),
        (Method::DELETE, "/cart/clear"),
    ];
    for route in routes {
        let reply = send(route.clone(), &tag).await;
        assert_eq!(reply.header("etag"), Some(&*format!("\"{}\"", added["cart"]["version"])), "{route:?}");
        assert_eq!(reply.refused(412, "version_changed")["version"], added["cart"]["version"], "{route:?}");
    }
    send((Method::POST, "/cart/add-to-cart"), "\"not a version\"").await.refused(400, "invalid_if_match");

    assert_eq!(ada.cart().await, before);
    send((Method::POST, "/cart/add-to-cart"), "*").await.expect(200);
}

#[tokio::test]
async fn a_price_that_the_client_has_wrong_is_never_a_refusal_and_always_a_warning() {
    let shop = TestShop::new().await;
    let tea = shop.product("TEA-250", "10.00", 999).await;
    let ada = shop.shopper("ada").await;
    let warning = json!([{"code": "price_changed", "productId": tea, "price": 10.0}]);

    for wrong in ["9.99", "10.001", "-1", "1e1", "\"10\"", "true", "[]", "{\"a\": 1}", "99999999999999999999"] {
        for name in ["productName", "image"] {
            let body = format!(r#"{{"productId": "{tea}", "quantity": 1, "price": {wrong}, "{name}": {wrong}}}"#);
            let bearer = format!("Bearer {}", ada.token);
            let reply = shop.send(Method::POST, "/cart/add-to-cart", &[("authorization", &bearer)], Some(body)).await;
            let cart = reply.expect(200)["cart"].clone();
            assert_eq!(cart["warnings"], warning, "{wrong}");
            assert_eq!(
                (&cart["items"][0]["price"], &cart["items"][0]["productName"]),
                (&json!(10.0), &json!("Product TEA-250"))
            );
        }
    }
    for right in ["10", "10.0", "10.00", "10.000", "null"] {
        let body = format!(r#"{{"productId": "{tea}", "quantity": 1, "price": {right}}}"#);
        let bearer = format!("Bearer {}", ada.token);
        let reply = shop.send(Method::POST, "/cart/add-to-cart", &[("authorization", &bearer)], Some(body)).await;
        assert_eq!(reply.expect(200)["cart"]["warnings"], json!([]), "{right}");
    }
    assert_eq!(ada.cart().await["warnings"], json!([]), "the cart itself has the right price");
}

#[tokio::test]
async fn a_price_that_the_shop_changes_is_warned_of_until_the_cart_is_next_changed() {
    let shop = TestShop::new().await;
    let tea = shop.product("TEA-250", "10.00", 50).await;
    let ada = shop.shopper("ada").await;
    ada.add(&tea, 2).await.expect(200);

    let patch = json!({"price": 12.5, "name": "Finer tea"});
    shop.call(Method::PATCH, &format!("/product/products/{tea}"), shop.admin(), Some(patch)).await.expect(200);

    let warning = json!([{"code": "price_changed", "productId": tea, "price": 12.5}]);
    for _ in 0..2 {
        let cart = ada.cart().await;
        assert_eq!((&cart["warnings"], &cart["totalAmount"]), (&warning, &json!(25.0)));
        assert_eq!(cart["items"][0]["productName"], "Finer tea");
    }
    assert_eq!(ada.add(&tea, 1).await.expect(200)["cart"]["warnings"], warning);
    assert_eq!(ada.cart().await["warnings"], json!([]), "it was told");
    assert_eq!(ada.cart().await["totalAmount"], 37.5);
}

#[tokio::test]
async fn more_than_is_in_stock_stays_in_the_cart_with_a_warning() {
    let shop = TestShop::new().await;
    let tea = shop.product("TEA-250", "10.00", 3).await;
    let ada = shop.shopper("ada").await;

    assert_eq!(ada.add(&tea, 3).await.expect(200)["cart"]["warnings"], json!([]));
    let cart = ada.add(&tea, 1).await.expect(200)["cart"].clone();

    assert_eq!(cart["warnings"], json!([{"code": "insufficient_stock", "productId": tea, "available": 3}]));
    assert_eq!(quantities(&cart), [(&*tea, 4)]);
    shop.stock(&tea, 4).await;
    assert_eq!(ada.cart().await["warnings"], json!([]));
}

#[tokio::test]
async fn what_is_not_sold_any_more_stays_with_a_warning_and_keeps_the_cart_from_being_ordered() {
    let shop = TestShop::new().await;
    let (tea, mug) = (shop.product("TEA-250", "10.00", 50).await, shop.product("MUG-1", "7.50", 50).await);
    let ada = shop.shopper("ada").await;
    ada.add(&tea, 1).await.expect(200);
    ada.add(&mug, 1).await.expect(200);

    shop.call(Method::DELETE, &format!("/product/products/{tea}"), shop.admin(), None).await.expect(200);

    assert_eq!(ada.cart().await["warnings"], json!([{"code": "unavailable", "productId": tea}]));
    ada.add(&tea, 1).await.refused(404, "product_unknown");
    for path in ["/order/quote", "/order/create-order"] {
        let reply = shop.post(path, &ada.token, ada.order_body("pm_card_visa")).await;
        assert_eq!(reply.refused(409, "product_unavailable")["products"], json!([tea]));
    }
    assert_eq!(ada.orders().await, Vec::<Value>::new());
    assert_eq!(shop.available(&mug).await, (50, 0));

    shop.call(Method::DELETE, &format!("/cart/remove-item?productId={tea}"), &ada.token, None).await.expect(200);
    assert_eq!(ada.order("pm_card_visa").await.expect(201)["status"], "confirmed");
    shop.settle().await;
}

#[tokio::test]
async fn totals_are_exact_to_the_cent_and_written_with_both_digits() {
    let shop = TestShop::new().await;
    let (one, two) = (shop.product("A", "0.1", 999).await, shop.product("B", "0.2", 999).await);
    let three = shop.product("C", "19.99", 999).await;
    let ada = shop.shopper("ada").await;

    ada.add(&one, 1).await.expect(200);
    ada.add(&two, 1).await.expect(200);
    let text = cart_text(&shop, &ada).await;
    assert!(text.contains(r#""totalAmount":0.30,"#) && text.contains(r#""subtotal":0.30,"#), "{text}");
    assert!(text.contains(r#""price":0.10,"#) && text.contains(r#""lineTotal":0.20"#), "{text}");

    ada.add(&one, 6).await.expect(200);
    ada.add(&three, 997).await.expect(200);
    let text = cart_text(&shop, &ada).await;
    assert!(text.contains(r#""totalAmount":19930.93,"#), "0.70 + 0.20 + 997 × 19.99: {text}");
}

#[tokio::test]
async fn every_device_hears_of_each_change_of_the_cart() {
    let shop = TestShop::new().await;
    let tea = shop.product("TEA-250", "10.00", 50).await;
    let ada = shop.shopper("ada").await;
    let path = format!("/cart/events/{}", ada.id);
    let mut phone = shop.events(&path, &ada.token).await;
    let (name, empty) = phone.next().await.unwrap();
    assert_eq!((&*name, &empty), ("cart", &ada.cart().await));

    ada.add(&tea, 2).await.expect(200);
    let mut laptop = shop.events(&path, &ada.token).await;
    for device in [&mut phone, &mut laptop] {
        assert_eq!(device.next().await.unwrap(), ("cart".to_owned(), ada.cart().await));
    }
    shop.call(Method::DELETE, "/cart/clear", &ada.token, None).await.expect(200);
    for device in [&mut phone, &mut laptop] {
        assert_eq!(device.next().await.unwrap().1["items"], json!([]));
    }
}

#[tokio::test]
async fn an_add_under_a_key_counts_once_and_is_answered_the_same_byte_for_byte() {
    let shop = TestShop::new().await;
    let tea = shop.product("TEA-250", "10.00", 50).await;
    let (ada, bob) = (shop.shopper("ada").await, shop.shopper("bob").await);
    let body = json!({"productId": tea, "quantity": 2});
    let add = async |shopper: &Shopper<'_>, body: &Value| {
        post_with(&shop, shopper, "/cart/add-to-cart", ("idempotency-key", "an-add-of-tea"), body).await
    };

    let first = add(&ada, &body).await;
    assert_eq!((first.0, first.1), (200, false));
    ada.add(&tea, 1).await.expect(200);
    for again in [body.clone(), json!({"quantity": 2, "unknown": 1, "productId": tea})] {
        assert_eq!(add(&ada, &again).await, (200, true, first.2.clone()), "the stored answer, whatever happened since");
    }
    let (status, _, refused) = add(&ada, &json!({"productId": tea, "quantity": 3})).await;
    let refused: Value = serde_json::from_slice(&refused).unwrap();
    assert_eq!((status, &refused["code"]), (422, &json!("idempotency_key_reused")));

    assert_eq!(quantities(&ada.cart().await), [(&*tea, 3)]);
    let theirs = add(&bob, &body).await;
    assert_eq!((theirs.0, theirs.1), (200, false), "a key belongs to who sent it");
    shop.advance(std::time::Duration::from_secs(23 * 3600));
    shop.settle().await;
    assert_eq!(add(&ada, &body).await, (200, true, first.2), "a key is remembered for a day");
    assert_eq!(quantities(&ada.cart().await), [(&*tea, 3)]);
}

#[tokio::test]
async fn a_refusal_is_not_remembered_under_a_key() {
    let shop = TestShop::new().await;
    let tea = shop.product("TEA-250", "10.00", 50).await;
    let ada = shop.shopper("ada").await;
    ada.add(&tea, 998).await.expect(200);
    let body = json!({"productId": tea, "quantity": 2});
    let add = async || post_with(&shop, &ada, "/cart/add-to-cart", ("idempotency-key", "an-add-of-tea"), &body).await;

    assert_eq!(add().await.0, 400);
    shop.call(Method::DELETE, "/cart/clear", &ada.token, None).await.expect(200);
    assert_eq!(add().await.0, 200);
    assert_eq!(quantities(&ada.cart().await), [(&*tea, 2)]);
}

#[tokio::test]
async fn a_cart_that_is_being_ordered_stays_as_it_is_until_the_order_is_cancelled() {
    let shop = TestShop::new().await;
    let tea = shop.product("TEA-250", "10.00", 50).await;
    let ada = shop.shopper("ada").await;
    ada.add(&tea, 2).await.expect(200);
    let order = ada.order("pm_card_chargeDeclined").await.expect(201);
    assert_eq!(order["status"], "awaiting_payment");
    let before = ada.cart().await;
    let item = json!({"productId": tea, "quantity": 1});
    let changes = [
        ((Method::POST, "/cart/add-to-cart"), item.clone()),
        ((Method::POST, "/cart/add-items"), json!({"items": [item]})),
        ((Method::PUT, "/cart/update-item"), item.clone()),
        ((Method::PUT, "/cart/update-cart"), json!({"productId": tea, "quantity": 0})),
        ((Method::DELETE, "/cart/remove-item"), item.clone()),
        ((Method::DELETE, "/cart/clear"), json!({})),
    ];

    for (route, body) in changes {
        let refused = change(&shop, &ada, route.clone(), body).await.refused(409, "cart_frozen");
        assert_eq!(refused["orderId"], order["_id"], "{route:?}");
    }
    assert_eq!(ada.cart().await, before);
    assert_eq!(quantities(&before), [(&*tea, 2)]);

    let id = order["_id"].as_str().unwrap();
    shop.post(&format!("/order/{id}/cancel"), &ada.token, json!({})).await.expect(200);
    let added = ada.add(&tea, 1).await.expect(200);
    assert_eq!(quantities(&added["cart"]), [(&*tea, 3)], "free at once, with what was in it");
    shop.settle().await;
    assert_eq!(quantities(&ada.cart().await), [(&*tea, 3)]);
}

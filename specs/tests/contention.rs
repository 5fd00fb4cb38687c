//! Many at once: every add counts, the last unit goes to one, and a request sent often is one order.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::HashSet;

use cartwright_testkit::{Engine, TestShop};
use futures::future::join_all;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_adds_at_once_all_count() {
    let shop = TestShop::builder().on(Engine::Sqlite).start().await;
    let product = shop.product("TEA-250", "1.00", 1000).await;
    let ada = shop.shopper("ada").await;

    let replies = join_all((0..200).map(|_| ada.add(&product, 1))).await;

    assert!(replies.iter().all(|reply| reply.status == 200));
    assert_eq!(ada.cart().await["items"][0]["quantity"], 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_unit_is_sold_to_one_of_two_buyers() {
    let shop = TestShop::new().await;
    let product = shop.product("TEA-250", "10.00", 1).await;
    let (ada, bob) = (shop.shopper("ada").await, shop.shopper("bob").await);
    ada.add(&product, 1).await.expect(200);
    bob.add(&product, 1).await.expect(200);

    let (first, second) = tokio::join!(ada.order("pm_card_visa"), bob.order("pm_card_visa"));

    let mut statuses = [first.expect(201)["status"].clone(), second.expect(201)["status"].clone()];
    statuses.sort_by_key(ToString::to_string);
    assert_eq!(statuses, [json!("cancelled"), json!("confirmed")]);
    shop.settle().await;
    assert_eq!(shop.available(&product).await, (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_buyers_of_a_hundred_units_make_a_hundred_orders() {
    let shop = TestShop::builder().on(Engine::Sqlite).start().await;
    let product = shop.product("TEA-250", "10.00", 100).await;
    let buyers = join_all((0..1000).map(|_| shop.guest())).await;
    for some in buyers.chunks(100) {
        let replies = join_all(some.iter().map(|buyer| buyer.add(&product, 1))).await;
        assert!(replies.iter().all(|reply| reply.status == 200));
    }

    let replies = join_all(buyers.iter().map(|buyer| buyer.order("pm_card_visa"))).await;

    assert!(replies.iter().all(|reply| reply.status == 201 || reply.status == 202), "{replies:?}");
    shop.settle().await;
    let mut confirmed = 0;
    for buyer in &buyers {
        confirmed += buyer.orders().await.iter().filter(|order| order["status"] == "confirmed").count();
    }
    assert_eq!(confirmed, 100);
    assert_eq!(shop.available(&product).await, (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_sent_twenty_times_at_once_is_one_order() {
    for key in [None, Some("a-key-of-this-order")] {
        let shop = TestShop::new().await;
        let product = shop.product("TEA-250", "10.00", 50).await;
        let ada = shop.shopper("ada").await;
        ada.add(&product, 1).await.expect(200);
        let body = ada.order_body("pm_card_visa");

        let send = || async {
            match key {
                None => ada.order("pm_card_visa").await,
                Some(key) => ada.order_with_key(key, &body).await,
            }
        };
        let replies = join_all((0..20).map(|_| send())).await;

        let orders: HashSet<String> = replies.into_iter().map(|reply| reply.expect(201)["_id"].to_string()).collect();
        assert_eq!(orders.len(), 1, "with key {key:?}");
        shop.settle().await;
        assert_eq!(ada.orders().await.len(), 1);
        assert_eq!(shop.available(&product).await, (49, 0));
    }
}

#[tokio::test]
async fn a_key_answers_its_own_order_and_refuses_another_body() {
    let shop = TestShop::new().await;
    let product = shop.product("TEA-250", "10.00", 50).await;
    let ada = shop.shopper("ada").await;
    ada.add(&product, 1).await.expect(200);
    let body = ada.order_body("pm_card_visa");
    let first = ada.order_with_key("a-key-of-this-order", &body).await.expect(201);
    shop.settle().await;

    let again = ada.order_with_key("a-key-of-this-order", &body).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.expect(201)["_id"], first["_id"]);

    let mut other = body;
    other["shippingMethod"] = json!("express");
    ada.order_with_key("a-key-of-this-order", &other).await.refused(422, "idempotency_key_reused");
    assert_eq!(ada.orders().await.len(), 1);
}

#[tokio::test]
async fn an_empty_cart_answers_the_order_that_emptied_it_until_it_is_filled_again() {
    let shop = TestShop::new().await;
    let product = shop.product("TEA-250", "10.00", 50).await;
    let ada = shop.shopper("ada").await;
    ada.add(&product, 1).await.expect(200);
    let first = ada.order("pm_card_visa").await.expect(201);
    shop.settle().await;

    assert_eq!(ada.order("pm_card_visa").await.expect(201)["_id"], first["_id"]);

    ada.add(&product, 1).await.expect(200);
    assert_ne!(ada.order("pm_card_visa").await.expect(201)["_id"], first["_id"]);
    shop.settle().await;
    assert_eq!(ada.orders().await.len(), 2);
}

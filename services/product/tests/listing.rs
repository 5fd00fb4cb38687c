//! What an admin says about the catalogue, and who may read it.
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

mod shop;

use axum::http::Method;
use cartwright_product::Product;
use cartwright_vocabulary::ProductId;
use serde_json::json;
use shop::TestShop;

#[tokio::test]
async fn a_product_is_listed_and_read_back_by_id_and_by_address() {
    let shop = TestShop::new().await;
    let fields = json!({"name": "Café Crème, 250 g", "category": "Kitchen > Tea", "openingStock": 7});
    let product = shop.list("TEA-250", fields).await;
    let id = product["_id"].as_str().unwrap();

    let read = shop.get(&format!("/products/{id}")).await;
    assert_eq!(read.headers["etag"], "\"1\"");
    assert!(read.text.contains("\"price\":10.00,\"currency\":\"USD\""), "{}", read.text);
    assert_eq!(read.ok()["slug"], "cafe-creme-250-g");
    assert_eq!(shop.get("/products/cafe-creme-250-g").await.ok()["_id"], id);
    let told = shop.published("product.product-changed").await;
    assert_eq!(told, [json!({"product": id, "sku": "TEA-250", "version": 1, "openingStock": 7})]);
}

#[tokio::test]
async fn only_an_admin_changes_the_catalogue() {
    let shop = TestShop::new().await;
    let body = r#"{"sku": "A", "name": "A", "price": 1}"#;
    let json = ("content-type", "application/json");
    let nobody = shop.send(Method::POST, "/products", &[json], body).await;
    assert_eq!(nobody.status, 401);
    for (method, path) in [
        (Method::POST, "/products"),
        (Method::PUT, "/products/prd_1"),
        (Method::PATCH, "/products/prd_1"),
        (Method::DELETE, "/products/prd_1"),
        (Method::POST, "/import?format=jsonl"),
    ] {
        for body in [body, "{}", ""] {
            let headers = [json, ("authorization", "Bearer customer")];
            let reply = shop.send(method.clone(), path, &headers, body).await;
            assert_eq!(reply.problem(), (403, "forbidden".to_owned()), "{method} {path} {body}");
        }
    }
    assert!(shop.published("product.product-changed").await.is_empty());
}

#[tokio::test]
async fn a_price_with_three_digits_is_refused_with_a_pointer_and_nothing_is_listed() {
    let shop = TestShop::new().await;
    for wrong in ["1.999", "-1", "1e2", "\"2\"", "null"] {
        let body = format!(r#"{{"sku": "A", "name": "A", "price": {wrong}}}"#);
        let reply = shop.as_admin(Method::POST, "/products", &body).await;
        assert_eq!(reply.problem(), (400, "invalid_input".to_owned()), "{wrong}");
        assert_eq!(reply.pointers(), ["/price"], "{wrong}");
    }
    assert!(shop.store.scan::<Product>().page(1).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_product_in_another_currency_than_the_shops_is_refused() {
    let shop = TestShop::new().await;
    let body = r#"{"sku": "A", "name": "A", "price": 1, "currency": "EUR"}"#;
    assert_eq!(shop.as_admin(Method::POST, "/products", body).await.pointers(), ["/currency"]);
}

#[tokio::test]
async fn the_same_request_twice_lists_one_product_and_a_taken_sku_is_refused() {
    let shop = TestShop::new().await;
    let headers = [
        ("authorization", "Bearer admin"),
        ("content-type", "application/json"),
        ("idempotency-key", "list-tea-0000001"),
    ];
    let body = r#"{"sku": "A", "name": "A", "price": 1}"#;
    let first = shop.send(Method::POST, "/products", &headers, body).await;
    let again = shop.send(Method::POST, "/products", &headers, body).await;
    assert_eq!((first.status, first.json()), (again.status, again.json()));
    assert_eq!(again.headers["idempotent-replayed"], "true");

    let other = shop.send(Method::POST, "/products", &headers, r#"{"sku": "A", "name": "B", "price": 1}"#).await;
    assert_eq!(other.problem(), (422, "idempotency_key_reused".to_owned()));
    let taken = shop.as_admin(Method::POST, "/products", body).await;
    assert_eq!(taken.problem(), (409, "sku_taken".to_owned()));
}

#[tokio::test]
async fn two_products_of_one_name_have_two_addresses() {
    let shop = TestShop::new().await;
    let first = shop.list("A-1", json!({"name": "Mug"})).await;
    let second = shop.list("A-2", json!({"name": "Mug"})).await;
    assert_eq!((&first["slug"], &second["slug"]), (&json!("mug"), &json!("mug-a-2")));
    let wanted = r#"{"sku": "A-3", "name": "Mug", "price": 1, "slug": "mug"}"#;
    assert_eq!(shop.as_admin(Method::POST, "/products", wanted).await.problem(), (409, "slug_taken".to_owned()));
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_the_price_version_only_with_the_price() {
    let shop = TestShop::new().await;
    let product = shop.list("A", json!({"brand": "Mill", "compareAtPrice": 12})).await;
    let path = format!("/products/{}", product["_id"].as_str().unwrap());

    let renamed = shop.as_admin(Method::PATCH, &path, r#"{"name": "Better"}"#).await.ok();
    assert_eq!(
        (&renamed["name"], &renamed["brand"], &renamed["version"]),
        (&json!("Better"), &json!("Mill"), &json!(2))
    );
    let cheaper = shop.as_admin(Method::PATCH, &path, r#"{"price": 9.5, "compareAtPrice": null}"#).await.ok();
    assert!(cheaper.get("compareAtPrice").is_none());
    let same = shop.as_admin(Method::PATCH, &path, r#"{"price": 9.50}"#).await;
    assert_eq!(same.headers["etag"], "\"3\"");
    let id: ProductId = product["_id"].as_str().unwrap().parse().unwrap();
    let snapshot = shop.catalogue.products(&[id]).await.unwrap().remove(0);
    assert_eq!((snapshot.price.minor(), snapshot.price_version), (950, 2));

    let wrong = shop.as_admin(Method::PATCH, &path, r#"{"price": 9.555}"#).await;
    assert_eq!(wrong.pointers(), ["/price"]);
    let twice = shop.as_admin(Method::PATCH, &path, r#"{"price": 1, "price": 2}"#).await;
    assert_eq!(twice.status, 400);
}

#[tokio::test]
async fn a_change_of_an_old_version_is_refused_with_the_present_one() {
    let shop = TestShop::new().await;
    let product = shop.list("A", json!({})).await;
    let path = format!("/products/{}", product["_id"].as_str().unwrap());
    shop.as_admin(Method::PATCH, &path, r#"{"name": "B"}"#).await.ok();

    for method in [Method::PUT, Method::PATCH, Method::DELETE] {
        let headers = [("authorization", "Bearer admin"), ("content-type", "application/json"), ("if-match", "\"1\"")];
        let reply = shop.send(method, &path, &headers, r#"{"sku": "A", "name": "C", "price": 1}"#).await;
        assert_eq!((reply.status, &reply.headers["etag"]), (412, &"\"2\"".parse().unwrap()));
    }
    assert_eq!(shop.get(&path).await.ok()["name"], "B");
}

#[tokio::test]
async fn an_archived_product_disappears_for_shoppers_and_stays_known_to_carts() {
    let shop = TestShop::new().await;
    let product = shop.list("A", json!({"category": "Tea"})).await;
    let id = product["_id"].as_str().unwrap().to_owned();
    let path = format!("/products/{id}");
    shop.until_listed("/products", &["A"]).await;

    let archived = shop.as_admin(Method::DELETE, &path, "").await.ok();
    assert_eq!(archived["status"], "archived");
    assert_eq!(shop.as_admin(Method::DELETE, &path, "").await.ok()["version"], 2);

    assert_eq!(shop.get(&path).await.problem(), (404, "product_unknown".to_owned()));
    assert_eq!(shop.skus("/products").await, Vec::<String>::new());
    let batch = format!(r#"{{"ids": ["{id}", "nonsense"]}}"#);
    let batch = shop.as_admin(Method::POST, "/batch-get", &batch).await.ok();
    assert_eq!((&batch["items"], &batch["missing"]), (&json!([]), &json!([id, "nonsense"])));
    shop.until(json!([]), || async { shop.get("/categories").await.ok()["items"].clone() }).await;
    shop.until(json!(0), || async { shop.get("/search?q=a").await.ok()["total"].clone() }).await;
    let archived = shop.published("product.product-archived").await;
    assert_eq!(archived, [json!({"product": id, "version": 2})]);

    let admins = [("authorization", "Bearer admin")];
    let seen = shop.send(Method::GET, "/products?status=archived", &admins, "").await.ok();
    assert_eq!(seen["items"][0]["_id"], id);
    assert_eq!(shop.get("/products?status=archived").await.status, 403);
    let snapshots = shop.catalogue.products(&[id.parse().unwrap()]).await.unwrap();
    assert_eq!(snapshots[0].status, cartwright_contracts::ProductStatus::Archived);
}

#[tokio::test]
async fn an_unknown_and_a_malformed_id_are_not_found() {
    let shop = TestShop::new().await;
    for id in ["prd_00000000000000000000000000000000", "prd_1", "ord_00000000000000000000000000000000", "%00", "x"] {
        let reply = shop.get(&format!("/products/{id}")).await;
        assert_eq!(reply.problem(), (404, "product_unknown".to_owned()), "{id}");
        let reply = shop.as_admin(Method::DELETE, &format!("/products/{id}"), "").await;
        assert_eq!(reply.problem(), (404, "product_unknown".to_owned()), "{id}");
    }
}

#[tokio::test]
async fn the_price_an_admin_set_is_the_price_the_next_cart_reads() {
    let shop = TestShop::new().await;
    let product = shop.list("A", json!({})).await;
    let id: ProductId = product["_id"].as_str().unwrap().parse().unwrap();
    let path = format!("/products/{id}");
    for cents in 1..=50_i64 {
        let cached = shop.catalogue.products(&[id]).await.unwrap();
        assert_eq!(cached.len(), 1);
        shop.as_admin(Method::PATCH, &path, &format!(r#"{{"price": 3.{cents:02}}}"#)).await.ok();
        assert_eq!(shop.catalogue.products(&[id]).await.unwrap()[0].price.minor(), 300 + cents);
    }
}

#[tokio::test]
async fn a_price_stays_exact_when_more_changes_than_the_cache_is_told_of() {
    let shop = TestShop::new().await;
    let product = shop.list("A-0", json!({})).await;
    let id: ProductId = product["_id"].as_str().unwrap().parse().unwrap();
    assert_eq!(shop.catalogue.products(&[id]).await.unwrap()[0].price.minor(), 1000);
    let lines = |price: &str, from: u32| -> String {
        (from..1500).map(|n| format!("{{\"sku\": \"A-{n}\", \"name\": \"A\", \"price\": {price}}}\n")).collect()
    };
    shop.import(&lines("1.00", 1), cartwright_product::ImportFormat::JsonLines).await;
    shop.as_admin(Method::PATCH, &format!("/products/{id}"), r#"{"price": 2}"#).await.ok();
    assert_eq!(shop.catalogue.products(&[id]).await.unwrap()[0].price.minor(), 200);
}

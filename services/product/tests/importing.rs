//! Bringing many products in.
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

mod shop;

use axum::http::Method;
use cartwright_product::{ImportError, ImportFormat, Product};
use cartwright_vocabulary::Currency;
use serde_json::json;
use shop::TestShop;

const SHOPIFY: &str = include_str!("shopify.csv");

#[tokio::test]
async fn a_shopify_file_becomes_products_of_one_group_with_options_and_pictures() {
    let shop = TestShop::new().await;
    let report = shop.import(SHOPIFY, ImportFormat::ShopifyCsv).await;
    assert_eq!((report.created, report.updated, report.unchanged), (5, 0, 0), "{:?}", report.rejected);

    shop.until(5, || async { shop.skus("/products?limit=100").await.len() }).await;
    let tee = shop.get("/search?q=TEE-RED-M").await.ok()["items"][0].clone();
    assert_eq!(tee["name"], "Organic Tee – Red / M");
    assert_eq!(tee["itemGroupId"], "organic-tee");
    assert_eq!(tee["options"], json!([{"name": "Color", "value": "Red"}, {"name": "Size", "value": "M"}]));
    assert_eq!(tee["description"], "Soft & heavy.\nCut in Porto, \"as it should be\".");
    assert_eq!(tee["image"], "https://pictures.example/red.jpg");
    assert_eq!(tee["images"].as_array().unwrap().len(), 3);
    assert_eq!((&tee["brand"], &tee["category"]), (&json!("Plainweave"), &json!("Clothing > Tops")));
    assert_eq!((&tee["price"], &tee["compareAtPrice"]), (&json!(29.0), &json!(35.5)));

    let mug = shop.get("/search?q=MUG-1").await.ok()["items"][0].clone();
    assert_eq!((&mug["options"], mug.get("itemGroupId")), (&json!([]), None));
    let opening: Vec<_> = shop.published("product.product-changed").await;
    let opening: Vec<_> = opening.iter().map(|event| (event["sku"].clone(), event["openingStock"].clone())).collect();
    assert!(opening.contains(&(json!("TEE-RED-M"), json!(12))), "{opening:?}");
    assert!(opening.contains(&(json!("TEE-RED-L"), json!(0))), "{opening:?}");
}

#[tokio::test]
async fn each_line_that_cannot_be_taken_is_told_with_its_number_and_why() {
    let shop = TestShop::new().await;
    let report = shop.import(SHOPIFY, ImportFormat::ShopifyCsv).await;
    let rejected: Vec<(u64, &str)> = report.rejected.iter().map(|it| (it.line, it.reason.as_str())).collect();
    assert_eq!(
        rejected,
        [
            (8, "price: more decimal digits than the currency has (2)"),
            (9, "Variant Price: `free` is not a plain decimal number"),
            (10, "Handle is missing"),
            (11, "Title is missing on the first line of no-title"),
            (12, "the SKU MUG-1 stands on line 7 already"),
        ]
    );
}

#[tokio::test]
async fn the_same_file_twice_changes_nothing() {
    let shop = TestShop::new().await;
    let first = shop.import(SHOPIFY, ImportFormat::ShopifyCsv).await;
    let before = shop.store.scan::<Product>().all().await.unwrap();
    let told = shop.published("product.product-changed").await.len();

    let second = shop.import(SHOPIFY, ImportFormat::ShopifyCsv).await;
    assert_eq!((second.created, second.updated, second.unchanged), (0, 0, first.created));
    assert_eq!(second.rejected, first.rejected);
    assert_eq!(shop.store.scan::<Product>().all().await.unwrap(), before);
    assert_eq!(shop.published("product.product-changed").await.len(), told);
}

#[tokio::test]
async fn a_changed_line_updates_its_product_and_never_its_stock() {
    let shop = TestShop::new().await;
    let line = |price: &str| format!(r#"{{"sku": "A", "name": "A", "price": {price}, "openingStock": 9}}"#);
    shop.import(&line("5"), ImportFormat::JsonLines).await;
    let report = shop.import(&line("6.50"), ImportFormat::JsonLines).await;
    assert_eq!((report.created, report.updated, report.unchanged), (0, 1, 0));
    let told = shop.published("product.product-changed").await;
    assert_eq!((&told[0]["openingStock"], told[1].get("openingStock")), (&json!(9), None));
}

#[tokio::test]
async fn json_lines_are_taken_in_batches_and_told_line_by_line() {
    let shop = TestShop::new().await;
    let mut file: String = (0..450)
        .map(|n| format!("{{\"sku\": \"S-{n}\", \"name\": \"Thing\", \"price\": 1.{:02}}}\n", n % 100))
        .collect();
    file.push_str("\n{\"sku\": \"X\", \"name\": \"X\"}\nnot json\n{\"sku\": \"Y\", \"name\": \"\", \"price\": 1}\n");
    let mut steps = Vec::new();
    let report =
        cartwright_product::import(&shop.store, Currency::USD, file.as_bytes(), ImportFormat::JsonLines, |step| {
            steps.push((step.created, step.rejected, step.bytes));
        });
    let report = report.await.unwrap();
    assert_eq!(report.created, 450);
    let lines: Vec<u64> = report.rejected.iter().map(|it| it.line).collect();
    assert_eq!(lines, [452, 453, 454]);
    assert_eq!(report.rejected[0].reason, "missing field `price`");
    let created: Vec<u64> = steps.iter().map(|step| step.0).collect();
    assert_eq!(created, [200, 400, 450]);
    assert_eq!(steps[2].2, u64::try_from(file.len()).unwrap());
}

#[tokio::test]
async fn the_import_route_takes_both_formats_and_says_so_of_others() {
    let shop = TestShop::new().await;
    let send = async |media: &'static str, body: &'static str| {
        let headers = [("authorization", "Bearer admin"), ("content-type", media)];
        shop.send(Method::POST, "/import", &headers, body).await
    };
    let report = send("text/csv; charset=utf-8", SHOPIFY).await.ok();
    assert_eq!((&report["created"], report["rejected"][0]["line"].as_u64()), (&json!(5), Some(8)));
    let report = send("application/x-ndjson", r#"{"sku": "Z", "name": "Z", "price": 1}"#).await.ok();
    assert_eq!(report["created"], 1);
    assert_eq!(send("application/xml", "<x/>").await.problem(), (415, "unsupported_media_type".to_owned()));
    let wrong = send("text/csv", "a,b\n1,2\n").await;
    assert_eq!(wrong.problem(), (400, "import_unreadable".to_owned()));
}

#[tokio::test]
async fn a_body_larger_than_other_routes_take_is_imported_whole() {
    let shop = TestShop::new().await;
    let words = "many words ".repeat(400);
    let file: String = (0..1000)
        .map(|n| format!("{{\"sku\": \"S-{n}\", \"name\": \"S\", \"description\": \"{words}\", \"price\": 1}}\n"))
        .collect();
    assert!(file.len() > 4 << 20);
    let headers = [("authorization", "Bearer admin"), ("content-type", "application/x-ndjson")];
    assert_eq!(shop.send(Method::POST, "/import", &headers, file).await.ok()["created"], 1000);
}

#[tokio::test]
async fn a_file_of_something_else_is_refused_early() {
    let shop = TestShop::new().await;
    let noise = "nonsense\n".repeat(20_000);
    let result =
        cartwright_product::import(&shop.store, Currency::USD, noise.as_bytes(), ImportFormat::JsonLines, |_| {}).await;
    assert!(matches!(result, Err(ImportError::TooManyRejected)));
}

#[tokio::test]
async fn the_demo_catalogue_is_taken_whole_and_found() {
    let shop = TestShop::new().await;
    let file = cartwright_demo::catalogue();
    let report = shop.import(file, ImportFormat::JsonLines).await;
    assert_eq!((report.created, report.rejected.len()), (u64::try_from(file.lines().count()).unwrap(), 0));
    shop.until(json!(report.created), || async { shop.get("/products").await.ok()["total"].clone() }).await;
    assert_eq!(shop.get("/categories").await.ok()["items"].as_array().unwrap().len(), 6);
    assert_eq!(shop.skus("/search?q=darjeling").await[0], "TEA-250");
}

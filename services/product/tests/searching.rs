//! Finding things: lists, search, facets, availability, and the index that mends itself.
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

mod shop;

use std::fs;

use axum::http::Method;
use cartwright_product::ImportFormat;
use cartwright_store::MemoryBackend;
use serde_json::{Value, json};
use shop::TestShop;

/// A small shop: five products, all in the index.
async fn stocked() -> TestShop {
    let shop = TestShop::new().await;
    let lines = [
        json!({"sku": "TEA-250", "name": "Darjeeling First Flush", "price": 18.5, "category": "Kitchen > Tea", "brand": "Harbour & Leaf"}),
        json!({"sku": "POT-9", "name": "Ceramic Teapot", "price": 46, "category": "Kitchen > Tableware", "brand": "Atelier Brume"}),
        json!({"sku": "CHILI-1", "name": "Jalapeño Chili Oil", "price": 9.2, "category": "Pantry", "brand": "Casa Olmo"}),
        json!({"sku": "NOTE-A5", "name": "Dotted Notebook", "price": 18, "category": "Desk", "brand": "Quire", "tags": ["stationery"]}),
        json!({"sku": "TENT-2P", "name": "Two-Person Tent", "price": 329, "category": "Outdoors", "description": "Room for a teapot."}),
    ];
    let file: String = lines.iter().map(|line| format!("{line}\n")).collect();
    assert_eq!(shop.import(&file, ImportFormat::JsonLines).await.created, 5);
    shop.until(5, || async { shop.skus("/products").await.len() }).await;
    shop
}

async fn id_of(shop: &TestShop, sku: &str) -> String {
    shop.get(&format!("/search?q={sku}")).await.ok()["items"][0]["_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn words_are_found_by_their_beginning_as_they_are_typed() {
    let shop = stocked().await;
    for typed in ["d", "darj", "darjeeling", "first fl", "DARJEELING flush"] {
        assert_eq!(
            shop.skus(&format!("/search?q={typed}")).await[0],
            if typed == "d" { "NOTE-A5" } else { "TEA-250" },
            "{typed}"
        );
    }
    assert_eq!(shop.skus("/search?q=stationery").await, ["NOTE-A5"]);
    assert_eq!(shop.skus("/search?q=quire").await, ["NOTE-A5"]);
}

#[tokio::test]
async fn a_find_in_the_name_comes_before_one_in_the_description() {
    let shop = stocked().await;
    assert_eq!(shop.skus("/search?q=teapot").await, ["POT-9", "TENT-2P"]);
}

#[tokio::test]
async fn typing_errors_are_forgiven_by_length_and_the_right_word_is_suggested() {
    let shop = stocked().await;
    for (typed, sku, meant) in [
        ("notebok", "NOTE-A5", "notebook"),
        ("darjeelign", "TEA-250", "darjeeling"),
        ("ceramc teapto", "POT-9", "ceramic teapot"),
    ] {
        let found = shop.get(&format!("/search?q={typed}")).await.ok();
        assert_eq!(found["items"][0]["sku"], sku, "{typed}");
        assert_eq!(found["suggestion"], meant, "{typed}");
    }
    let right = shop.get("/search?q=notebook").await.ok();
    assert!(right.get("suggestion").is_none());
    let nothing = shop.get("/search?q=zzzzzzzzzz").await.ok();
    assert_eq!((&nothing["total"], nothing.get("suggestion")), (&json!(0), None));
    assert_eq!(shop.skus("/search?q=xil").await, Vec::<String>::new());
}

#[tokio::test]
async fn diacritics_make_no_difference_on_either_side() {
    let shop = stocked().await;
    for typed in ["jalapeno", "JALAPE%C3%91O", "jal%C3%A1peno chili"] {
        assert_eq!(shop.skus(&format!("/search?q={typed}")).await, ["CHILI-1"], "{typed}");
    }
}

#[tokio::test]
async fn a_whole_sku_comes_first() {
    let shop = stocked().await;
    shop.list("OTHER", json!({"name": "Tea 250 Tea-250", "description": "tea 250"})).await;
    shop.until(2, || async { shop.skus("/search?q=tea-250").await.len() }).await;
    assert_eq!(shop.skus("/search?q=tea-250").await, ["TEA-250", "OTHER"]);
}

#[tokio::test]
async fn lists_are_filtered_ordered_and_paged() {
    let shop = stocked().await;
    assert_eq!(shop.skus("/products?sort=price").await, ["CHILI-1", "NOTE-A5", "TEA-250", "POT-9", "TENT-2P"]);
    assert_eq!(shop.skus("/products?sort=-price&limit=2").await, ["TENT-2P", "POT-9"]);
    assert_eq!(shop.skus("/products?sort=name").await, ["POT-9", "TEA-250", "NOTE-A5", "CHILI-1", "TENT-2P"]);
    assert_eq!(shop.skus("/products?category=Kitchen&sort=price").await, ["TEA-250", "POT-9"]);
    assert_eq!(shop.skus("/products?category=kitchen/tea").await, ["TEA-250"]);
    assert_eq!(shop.skus("/products?category=Kitchen > Tea").await, ["TEA-250"]);
    assert_eq!(shop.skus("/products?brand=ATELIER brume").await, ["POT-9"]);
    assert_eq!(shop.skus("/products?minPrice=18&maxPrice=18.50&sort=price").await, ["NOTE-A5", "TEA-250"]);

    for sort in ["price", "-price", "name", "-name", "newest"] {
        let whole = shop.skus(&format!("/products?sort={sort}")).await;
        let (mut paged, mut cursor) = (Vec::new(), String::new());
        for _ in 0..5 {
            let page = shop.get(&format!("/products?sort={sort}&limit=2&cursor={cursor}")).await.ok();
            assert_eq!(page["total"], 5);
            paged.extend(page["items"].as_array().unwrap().iter().map(|it| it["sku"].as_str().unwrap().to_owned()));
            let Some(next) = page["nextCursor"].as_str() else { break };
            cursor = next.to_owned();
        }
        assert_eq!(paged, whole, "{sort}");
    }
}

#[tokio::test]
async fn a_filter_that_is_none_is_refused_by_name() {
    let shop = TestShop::new().await;
    for (query, name) in [
        ("minPrice=1.999", "minPrice"),
        ("maxPrice=x", "maxPrice"),
        ("inStock=maybe", "inStock"),
        ("sort=best", "sort"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("cursor=zz", "cursor"),
    ] {
        let reply = shop.get(&format!("/products?{query}")).await;
        assert_eq!(reply.problem(), (400, "invalid_input".to_owned()), "{query}");
        assert_eq!(reply.pointers(), [name], "{query}");
    }
}

#[tokio::test]
async fn facets_count_what_was_found() {
    let shop = stocked().await;
    let tent = id_of(&shop, "TENT-2P").await;
    shop.level(&tent, 3, 1).await;
    let low = json!([{"value": "low_stock", "count": 1}, {"value": "out_of_stock", "count": 1}]);
    shop.until(low, || async { shop.get("/search?q=teapot").await.ok()["facets"]["availability"].clone() }).await;

    let facets = shop.get("/search").await.ok()["facets"].clone();
    let count = |facet: &str, value: &str| {
        let values = facets[facet].as_array().unwrap();
        values.iter().find(|it| it["value"] == value).map_or(0, |it| it["count"].as_u64().unwrap())
    };
    assert_eq!(
        (count("category", "Kitchen"), count("category", "Kitchen > Tea"), count("category", "Pantry")),
        (2, 1, 1)
    );
    assert_eq!(count("brand", "Quire"), 1);
    let prices: Vec<(String, u64)> = facets["price"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["min"].to_string(), it["count"].as_u64().unwrap()))
        .collect();
    assert_eq!(prices.iter().map(|(_, count)| count).sum::<u64>(), 5);
    assert!(prices.contains(&("10.0".to_owned(), 2)), "{prices:?}");
    let filtered = shop.get("/search?q=teapot&category=Kitchen").await.ok();
    assert_eq!(
        (&filtered["total"], &filtered["facets"]["brand"]),
        (&json!(1), &json!([{"value": "Atelier Brume", "count": 1}]))
    );
}

#[tokio::test]
async fn categories_are_a_tree_with_counts() {
    let shop = stocked().await;
    let tree = shop.get("/categories").await.ok()["items"].clone();
    let names: Vec<&str> = tree.as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Desk", "Kitchen", "Outdoors", "Pantry"]);
    let kitchen = &tree[1];
    assert_eq!((&kitchen["count"], &kitchen["slug"]), (&json!(2), &json!("kitchen")));
    let below: Vec<Value> = kitchen["children"].as_array().unwrap().iter().map(|it| it["path"].clone()).collect();
    assert_eq!(below, [json!("Kitchen > Tableware"), json!("Kitchen > Tea")]);
}

#[tokio::test]
async fn news_of_stock_reaches_lists_and_filters_and_older_news_changes_nothing() {
    let shop = stocked().await;
    let tea = id_of(&shop, "TEA-250").await;
    shop.level(&tea, 80, 2).await;
    shop.until_listed("/products?inStock=true", &["TEA-250"]).await;
    let listed = shop.get("/products?inStock=true").await.ok()["items"][0]["availability"].clone();
    assert_eq!(listed, json!({"available": 80, "status": "in_stock"}));

    shop.level(&tea, 0, 1).await;
    shop.level(&tea, 79, 3).await;
    let listed = shop.get("/products?inStock=true").await.ok()["items"][0]["availability"].clone();
    assert_eq!(listed["available"], 79);
    shop.level(&tea, 0, 4).await;
    shop.until_listed("/products?inStock=true", &[]).await;
    assert_eq!(shop.get("/products?inStock=false").await.ok()["total"], 5);
}

#[tokio::test]
async fn one_product_shows_what_inventory_says_now_and_the_last_news_while_it_is_away() {
    let shop = stocked().await;
    let tea = id_of(&shop, "TEA-250").await;
    shop.level(&tea, 4, 1).await;
    let path = format!("/products/{tea}");
    assert_eq!(shop.get(&path).await.ok()["availability"], json!({"available": 4, "status": "low_stock"}));
    shop.inventory_answers(50);
    assert_eq!(shop.get(&path).await.ok()["availability"], json!({"available": 50, "status": "in_stock"}));
    let batch = shop.as_admin(Method::POST, "/batch-get", &json!({"ids": [tea]}).to_string()).await.ok();
    assert_eq!(batch["items"][0]["availability"]["available"], 50);
}

#[tokio::test]
async fn an_index_on_disk_is_found_again_and_one_that_is_stale_damaged_or_gone_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let backend = MemoryBackend::new();
    let start = |backend: &MemoryBackend| TestShop::on(backend.clone(), Some(folder.path().to_owned()));

    let shop = start(&backend).await;
    shop.list("A", json!({})).await;
    shop.until_listed("/products", &["A"]).await;
    shop.tasks.drain(&shop.clock, std::time::Duration::from_secs(5)).await;

    // Changed while no index was looking.
    shop.list("B", json!({"price": 20})).await;
    drop(shop);
    let shop = start(&backend).await;
    shop.until_listed("/products?sort=price", &["A", "B"]).await;
    shop.tasks.drain(&shop.clock, std::time::Duration::from_secs(5)).await;
    drop(shop);

    let index = folder.path().join("catalogue-1");
    let damaged = fs::read_dir(&index).unwrap().map(|entry| entry.unwrap().path());
    let damaged = damaged.filter(|path| path.extension().is_some_and(|it| it == "fast" || it == "idx"));
    damaged.for_each(|path| fs::write(path, b"not an index").unwrap());
    fs::create_dir(folder.path().join("catalogue-0")).unwrap();
    let shop = start(&backend).await;
    shop.until_listed("/products?sort=price", &["A", "B"]).await;
    assert!(!folder.path().join("catalogue-0").exists());
    shop.tasks.drain(&shop.clock, std::time::Duration::from_secs(5)).await;
    drop(shop);

    // Another store than the index was made of: what it does not hold is not found.
    let shop = start(&MemoryBackend::new()).await;
    shop.until(json!(0), || async { shop.get("/products").await.ok()["total"].clone() }).await;
}

#[tokio::test]
async fn what_another_process_wrote_is_found_when_the_tail_is_read() {
    let backend = MemoryBackend::new();
    let (shop, other) = (TestShop::on(backend.clone(), None).await, TestShop::on(backend, None).await);
    other.list("A", json!({})).await;
    shop.until(vec!["A".to_owned()], || async {
        shop.clock.advance(std::time::Duration::from_secs(1));
        shop.skus("/products").await
    })
    .await;
}

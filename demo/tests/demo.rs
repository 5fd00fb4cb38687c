//! What the demo shop promises.
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

fn lines() -> Vec<Value> {
    cartwright_demo::catalogue().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text<'a>(line: &'a Value, field: &str) -> &'a str {
    line[field].as_str().unwrap_or_default()
}

#[test]
fn there_are_at_least_sixty_products_in_six_categories_most_of_them_in_stock() {
    let lines = lines();
    let tops: BTreeSet<&str> = lines.iter().filter_map(|line| text(line, "category").split(" > ").next()).collect();
    let in_stock = lines.iter().filter(|line| line["openingStock"].as_u64().unwrap() > 0).count();
    assert!(lines.len() >= 60, "{}", lines.len());
    assert!(tops.len() >= 6, "{tops:?}");
    assert!(in_stock >= 60, "{in_stock}");
}

#[test]
fn every_sku_is_there_once_and_some_products_have_variants() {
    let lines = lines();
    let skus: BTreeSet<&str> = lines.iter().map(|line| text(line, "sku")).collect();
    assert_eq!(skus.len(), lines.len());
    let mut groups: BTreeMap<&str, usize> = BTreeMap::new();
    for line in lines.iter().filter(|line| line["itemGroupId"].is_string()) {
        *groups.entry(text(line, "itemGroupId")).or_default() += 1;
    }
    assert!(groups.len() >= 3 && groups.values().all(|variants| *variants > 1), "{groups:?}");
}

#[test]
fn every_picture_is_used_and_every_picture_named_is_here() {
    let named: BTreeSet<String> =
        lines().iter().map(|line| text(line, "image").strip_prefix("/pictures/").unwrap().to_owned()).collect();
    let here: BTreeSet<String> = cartwright_demo::pictures().map(|name| name.into_owned()).collect();
    assert_eq!(named, here);
}

#[tokio::test]
async fn a_picture_is_served_as_svg_and_may_be_cached_while_another_name_is_not_found() {
    let get =
        |path: &str| cartwright_demo::router().oneshot(Request::get(path.to_owned()).body(Body::empty()).unwrap());
    let response = get("/pictures/teapot.svg").await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "image/svg+xml");
    assert!(response.headers()["cache-control"].to_str().unwrap().contains("max-age"));
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(body.starts_with(b"<svg"));

    for missing in ["/pictures/nothing.svg", "/pictures/LICENSE", "/pictures/..%2Fcatalogue.jsonl"] {
        assert_eq!(get(missing).await.unwrap().status(), StatusCode::NOT_FOUND, "{missing}");
    }
}

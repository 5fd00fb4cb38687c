//! The gateway's routing table, its health, its document and its pages.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Path;
use axum::http::{HeaderMap, Method, Request};
use cartwright_gateway::{Gateway, GatewayError, GatewaySettings, KNOWN_PROBLEMS, Mounted, gateway};
use cartwright_http::{Leaving, health};
use cartwright_runtime::{Clock, Ids, Time};
use cartwright_store::{Database, MemoryBackend};
use serde_json::{Value, json};
use tower::ServiceExt;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

#[utoipa::path(get, path = "/products", responses((status = 200)))]
async fn list() -> &'static str {
    "all products"
}

#[utoipa::path(post, path = "/products", security(("bearer" = [])), responses((status = 201)))]
async fn create() -> &'static str {
    "created"
}

#[utoipa::path(get, path = "/products/{id}", responses((status = 200)))]
async fn product(Path(id): Path<String>) -> String {
    format!("product {id}")
}

#[utoipa::path(get, path = "/search", responses((status = 200)))]
async fn search() -> &'static str {
    "found"
}

#[utoipa::path(get, path = "/categories", responses((status = 200)))]
async fn categories() -> &'static str {
    "categories"
}

#[utoipa::path(get, path = "/orders/{userId}", responses((status = 200)))]
async fn orders(Path(user): Path<String>) -> String {
    format!("orders of {user}")
}

#[utoipa::path(get, path = "/{orderId}", responses((status = 200)))]
async fn order(Path(id): Path<String>) -> String {
    format!("order {id}")
}

#[utoipa::path(get, path = "/.well-known/jwks.json", responses((status = 200)))]
async fn keys() -> &'static str {
    "keys"
}

#[utoipa::path(post, path = "/peer/freeze", responses((status = 200)))]
async fn freeze() -> &'static str {
    "frozen"
}

struct Shop {
    gateway: Gateway,
    auth: MemoryBackend,
}

impl Shop {
    async fn open() -> Self {
        let (auth_health, auth) = health_of("auth").await;
        let (product_health, _) = health_of("product").await;
        let (order_health, _) = health_of("order").await;
        let products = OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(product));
        let products = products.routes(routes!(search)).routes(routes!(categories));
        let services = vec![
            Mounted { name: "auth", routes: auth_health.routes(routes!(keys)) },
            Mounted { name: "product", routes: product_health.merge(products) },
            Mounted { name: "order", routes: order_health.routes(routes!(orders)).routes(routes!(order)) },
        ];
        Self { gateway: gateway(services, &settings()).unwrap(), auth }
    }

    async fn ask(&self, method: Method, path: &str) -> (u16, HeaderMap, String) {
        ask(&self.gateway.router, method, path).await
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let (status, _, body) = self.ask(Method::GET, path).await;
        (status, body)
    }
}

async fn health_of(name: &'static str) -> (OpenApiRouter, MemoryBackend) {
    let backend = MemoryBackend::new();
    let clock = Clock::manual(Time::from_millis(1_795_340_000_000));
    let database = Database::new(Arc::new(backend.clone()), clock.clone(), Ids::seeded(clock, 1));
    (health(name, database.scoped(name, &[]).await.unwrap(), Leaving::default()), backend)
}

fn settings() -> GatewaySettings {
    let clock = Clock::manual(Time::from_millis(1_795_340_000_000));
    GatewaySettings { shop: "Tea & Tools <Ltd>".to_owned(), version: "1.2.3".to_owned(), clock }
}

async fn ask(router: &Router, method: Method, path: &str) -> (u16, HeaderMap, String) {
    let request =
        Request::builder().method(method).uri(path).header("host", "shop.example").body(Body::empty()).unwrap();
    let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    (parts.status.as_u16(), parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn each_service_answers_under_its_prefix_and_its_reads_also_where_the_contract_says() {
    let shop = Shop::open().await;
    for (path, body) in [
        ("/product/products", "all products"),
        ("/products", "all products"),
        ("/products?limit=2", "all products"),
        ("/product/products/p1", "product p1"),
        ("/products/p1", "product p1"),
        ("/products/caf%C3%A9", "product café"),
        ("/search?q=tea", "found"),
        ("/categories", "categories"),
        ("/order/orders/u1", "orders of u1"),
        ("/orders/u1", "orders of u1"),
        ("/order/o1", "order o1"),
        ("/.well-known/jwks.json", "keys"),
        ("/auth/.well-known/jwks.json", "keys"),
    ] {
        assert_eq!(shop.get(path).await, (200, body.to_owned()), "{path}");
    }
    assert_eq!(shop.ask(Method::POST, "/product/products").await.2, "created");
    assert_eq!(shop.ask(Method::HEAD, "/products").await.0, 200);
}

#[tokio::test]
async fn what_nobody_serves_is_a_problem() {
    let shop = Shop::open().await;
    for path in
        ["/nowhere", "/product/nowhere", "/products/a/b", "/orders", "/cart/get-cart/u1", "/peer/freeze", "/docs/x"]
    {
        let (status, body) = shop.get(path).await;
        assert_eq!(status, 404, "{path}");
        assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["code"], "unknown_path");
    }
    let (status, headers, _) = shop.ask(Method::POST, "/products").await;
    assert_eq!((status, headers["allow"].to_str().unwrap()), (405, "GET,HEAD"));
}

#[tokio::test]
async fn a_route_for_peers_is_refused_at_the_start() {
    let mounted = Mounted { name: "cart", routes: OpenApiRouter::new().routes(routes!(freeze)) };
    let refused = gateway(vec![mounted], &settings()).err().unwrap();
    assert!(matches!(refused, GatewayError::PeerRoute { service: "cart", .. }));
    let twice = ["cart", "cart"].map(|name| Mounted { name, routes: OpenApiRouter::new() });
    assert!(matches!(gateway(twice.into(), &settings()), Err(GatewayError::SameName("cart"))));
}

#[tokio::test]
async fn the_shop_is_as_well_as_its_services() {
    let shop = Shop::open().await;
    let (status, body) = shop.get("/health").await;
    let health: Value = serde_json::from_str(&body).unwrap();
    let of = |name: &str| json!({"status": name, "timestamp": health["timestamp"], "database": "connected"});
    assert_eq!(status, 200);
    assert_eq!((&health["status"], &health["database"]), (&json!("Gateway Service is running!"), &json!("connected")));
    assert_eq!(health["services"]["auth"], of("Auth Service is running!"));
    assert_eq!(health["services"].as_object().unwrap().len(), 3);
    assert_eq!(shop.get("/readyz").await.0, 200);

    drop(shop.auth.crash());
    let (status, body) = shop.get("/health").await;
    let health: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &health["database"]), (503, &json!("disconnected")));
    assert_eq!(health["services"]["auth"]["database"], "disconnected");
    assert_eq!(health["services"]["order"]["database"], "connected");
    let (status, body) = shop.get("/readyz").await;
    assert_eq!((status, &serde_json::from_str::<Value>(&body).unwrap()["services"]), (503, &json!(["auth"])));
    assert_eq!(shop.get("/livez").await.0, 200);
}

#[tokio::test]
async fn the_document_is_openapi_3_1_and_lists_what_is_served_where_it_is_served() {
    let shop = Shop::open().await;
    let (status, headers, body) = shop.ask(Method::GET, "/openapi.json").await;
    let document: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, headers["content-type"].to_str().unwrap()), (200, "application/json"));
    assert_eq!(document, shop.gateway.openapi);
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], "1.2.3");
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");

    let paths = document["paths"].as_object().unwrap();
    for path in ["/product/products", "/products", "/products/{id}", "/orders/{userId}", "/order/{orderId}", "/health"]
    {
        assert!(paths.contains_key(path), "{path}");
    }
    assert!(document["paths"]["/product/products"]["post"].is_object());
    assert!(document["paths"]["/products"]["post"].is_null());
    let mut ids = Vec::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            let refusal = &operation["responses"]["default"]["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(refusal, "#/components/schemas/Problem", "{method} {path}");
            ids.push(operation["operationId"].as_str().unwrap().to_owned());
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let (status, _, _) = shop.ask(method, &path.replace(['{', '}'], "x")).await;
            assert!(![404, 405].contains(&status), "{path} is in the document and not served");
        }
    }
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "operations share an id: {ids:?}");
}

#[tokio::test]
async fn every_schema_that_the_document_refers_to_is_in_it() {
    let document = Shop::open().await.gateway.openapi;
    let text = document.to_string();
    let references: Vec<&str> =
        text.split("\"#/components/schemas/").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(references.contains(&"Problem"));
    for name in references {
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
}

#[tokio::test]
async fn the_pages_load_nothing_from_elsewhere() {
    let shop = Shop::open().await;
    for path in ["/", "/docs", "/docs/problems"] {
        let (status, headers, page) = shop.ask(Method::GET, path).await;
        assert_eq!(status, 200);
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("http") && !policy.contains('*'));
        for source in attributes(&page, "src").chain(attributes(&page, "href")) {
            if source == "data:," {
                continue;
            }
            assert!(source.starts_with('/') && !source.starts_with("//"), "{path} refers to {source}");
            let (status, body) = shop.get(&source).await;
            assert_eq!(status, 200, "{path} refers to {source}");
            if source.ends_with(".css") {
                let urls = body.split("url(").skip(1).map(|rest| rest.trim_start_matches(['"', '\'']));
                assert!(urls.into_iter().all(|url| url.starts_with("data:")), "{source} loads more");
                assert!(!body.contains("@import"));
            }
        }
    }
    let (_, start) = shop.get("/docs/assets/start.js").await;
    assert!(start.contains("url: '/openapi.json'") && start.contains("validatorUrl: null") && !start.contains("http"));
}

/// The values of an attribute, in the order of the page.
fn attributes(page: &str, name: &str) -> impl Iterator<Item = String> {
    let start = format!(" {name}=\"");
    let values: Vec<String> =
        page.split(&start).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect();
    values.into_iter()
}

#[tokio::test]
async fn a_page_shows_names_as_text() {
    let shop = Shop::open().await;
    let (_, page) = shop.get("/").await;
    assert!(page.contains("Tea &amp; Tools &lt;Ltd&gt;") && !page.contains("<Ltd>"));
    assert!(page.contains("curl -s -X POST http://shop.example/auth/guest"));
    assert!(!page.contains("{shop}") && !page.contains("{address}") && !page.contains("{version}"));
}

#[tokio::test]
async fn a_browser_that_has_an_asset_is_not_sent_it_again() {
    let shop = Shop::open().await;
    let (_, headers, _) = shop.ask(Method::GET, "/docs/assets/house.css").await;
    let request = Request::get("/docs/assets/house.css").header("if-none-match", &headers["etag"]);
    let answer = shop.gateway.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 304);
    assert_eq!(headers["content-type"], "text/css; charset=utf-8");
    assert_eq!(shop.get("/docs/assets/../Cargo.toml").await.0, 404);
}

#[tokio::test]
async fn each_problem_has_its_place_on_the_page_that_its_type_refers_to() {
    let shop = Shop::open().await;
    let (_, page) = shop.get("/docs/problems").await;
    for known in KNOWN_PROBLEMS {
        assert!(page.contains(&format!("<dt id=\"{}\">", known.code)));
    }
}

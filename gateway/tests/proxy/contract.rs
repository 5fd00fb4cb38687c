//! A shop whose services run elsewhere looks like one whose services run here.

use std::sync::atomic::Ordering;

use cartwright_runtime::Clock;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::{Answer, PATIENCE, ask, connect, exchange, get, until};
use crate::service::{Front, Service};

#[tokio::test]
async fn each_service_answers_under_its_prefix_and_its_reads_also_where_the_contract_says() {
    let (product, order) = (Service::start("product").await, Service::start("order").await);
    let front = Front::before(&[&product, &order]).await;
    for (path, body) in [
        ("/product/products", "all products"),
        ("/products", "all products"),
        ("/products?limit=2", "all products"),
        ("/product/products/p1", "product p1"),
        ("/products/caf%C3%A9", "product café"),
        ("/order/orders/u1", "orders of u1"),
        ("/orders/u1", "orders of u1"),
    ] {
        let answer = get(front.address, path).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, body), "{path}");
    }
    let echoed = ask(front.address, "POST", "/product/echo", "content-type: text/plain\r\n", "as it is").await;
    assert_eq!((echoed.status, echoed.body.as_str()), (200, "as it is"));
    let head = ask(front.address, "HEAD", "/products", "", "").await;
    assert_eq!((head.status, head.header("content-length"), head.body.as_str()), (200, "12", ""));
}

#[tokio::test]
async fn what_a_service_refuses_is_refused_in_its_words_and_names_the_request() {
    let product = Service::start("product").await;
    let front = Front::before(&[&product]).await;
    for (method, path, status, code) in [
        ("GET", "/product/nowhere", 404, "unknown_path"),
        ("GET", "/product", 404, "unknown_path"),
        ("GET", "/nowhere", 404, "unknown_path"),
        ("GET", "/cart/get-cart/u1", 404, "unknown_path"),
        ("DELETE", "/product/products", 405, "method_not_allowed"),
        ("POST", "/products", 405, "method_not_allowed"),
    ] {
        let answer = ask(front.address, method, path, "x-request-id: asked-7\r\n", "").await;
        assert_eq!((answer.status, answer.problem().as_str()), (status, code), "{method} {path}");
        assert_eq!(answer.header("x-request-id"), "asked-7");
        assert_eq!(answer.header("allow").is_empty(), status == 404);
    }
    let large = "x".repeat(300 * 1024);
    let refused = ask(front.address, "POST", "/product/echo", "", &large).await;
    assert_eq!((refused.status, refused.problem().as_str()), (413, "body_too_large"));
    assert_eq!(ask(front.address, "POST", "/product/import", "", &large).await.body, large.len().to_string());
}

#[tokio::test]
async fn routes_for_peers_and_metrics_are_not_reached_from_outside() {
    let product = Service::start("product").await;
    let front = Front::before(&[&product]).await;
    for path in [
        "/product/peer/freeze",
        "/product/%70eer/freeze",
        "/product//peer/freeze",
        "/product/./peer/freeze",
        "/product/metrics",
        "/peer/freeze",
        "/metrics",
    ] {
        let answer = get(front.address, path).await;
        assert_eq!((answer.status, answer.problem().as_str()), (404, "unknown_path"), "{path}");
    }
    assert_eq!(product.count(), 0);
}

#[tokio::test]
async fn an_event_arrives_while_its_stream_goes_on_and_a_client_that_leaves_ends_it() {
    let order = Service::start("order").await;
    let front = Front::before(&[&order]).await;
    let mut stream = connect("127.0.0.1", front.address).await;
    stream.write_all(b"GET /order/events/o1 HTTP/1.1\r\nhost: shop.example\r\n\r\n").await.unwrap();
    let mut bytes = Vec::new();
    let first = async {
        while !String::from_utf8_lossy(&bytes).contains("data: first") {
            assert!(stream.read_buf(&mut bytes).await.unwrap() > 0);
        }
    };
    assert!(Clock::system().timeout(PATIENCE, first).await.is_some());
    assert_eq!(order.streams.load(Ordering::SeqCst), 1);

    drop(stream);
    until(|| order.streams.load(Ordering::SeqCst) == 0).await;

    let mut stream = connect("127.0.0.1", front.address).await;
    stream.write_all(b"GET /order/events/o1 HTTP/1.1\r\nhost: shop.example\r\n\r\n").await.unwrap();
    until(|| order.streams.load(Ordering::SeqCst) == 1).await;
    front.tasks.stop();
    assert!(Clock::system().timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.is_some());
}

#[tokio::test]
async fn the_shop_is_as_well_as_its_services_and_one_that_is_away_is_not() {
    let (auth, cart) = (Service::start("auth").await, Service::start("cart").await);
    let front = Front::before(&[&auth, &cart]).await;
    let answer = get(front.address, "/health").await;
    let health = answer.json();
    assert_eq!((answer.status, &health["database"]), (200, &json!("connected")));
    assert_eq!(health["services"]["auth"]["status"], "Auth Service is running!");
    assert_eq!(get(front.address, "/readyz").await.status, 200);

    drop(auth.backend.crash());
    cart.kill().await;
    let answer = get(front.address, "/health").await;
    let health = answer.json();
    assert_eq!((answer.status, &health["database"]), (503, &json!("disconnected")));
    assert_eq!(health["services"]["auth"]["status"], "Auth Service is running!");
    for name in ["auth", "cart"] {
        assert_eq!(health["services"][name]["database"], "disconnected");
    }
    let answer = get(front.address, "/readyz").await;
    assert_eq!((answer.status, &answer.json()["services"]), (503, &json!(["auth", "cart"])));
    assert_eq!(get(front.address, "/livez").await.status, 200);
}

#[tokio::test]
async fn the_document_is_the_checked_in_one_for_this_shop() {
    let product = Service::start("product").await;
    let front = Front::before(&[&product]).await;
    let document = get(front.address, "/openapi.json").await.json();
    assert_eq!(document["info"]["title"], "Tea & Tools API");
    assert_eq!(document["info"]["version"], "1.2.3");
    for path in ["/product/products/{id}", "/products", "/order/create-order", "/health"] {
        assert!(document["paths"][path].is_object(), "{path}");
    }
    assert_eq!(get(front.address, "/docs").await.status, 200);
}

#[tokio::test]
async fn one_request_with_two_lengths_is_one_request_to_the_service() {
    let product = Service::start("product").await;
    let front = Front::before(&[&product]).await;
    let smuggled = "POST /product/count HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 0\r\n\r\n";
    let request = format!(
        "POST /product/count HTTP/1.1\r\nhost: shop.example\r\ncontent-length: {}\r\ntransfer-encoding: chunked\r\n\r\n\
         0\r\n\r\n{smuggled}",
        5 + smuggled.len()
    );
    let answer = Answer::parse(&exchange(front.address, request.as_bytes()).await);
    assert_eq!((answer.status, answer.header("connection")), (200, "close"));
    assert_eq!(product.count(), 1);
}

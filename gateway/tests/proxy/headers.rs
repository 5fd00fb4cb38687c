//! What a service hears of a client.

use axum::body::Bytes;
use futures::FutureExt as _;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;

use crate::client::{ask, ask_from, connect};
use crate::service::{Front, Service};

#[tokio::test]
async fn a_service_sees_the_client_s_address_and_nothing_that_was_forged() {
    let product = Service::start("product").await;
    let front = Front::before(&[&product]).await;
    let forged = "x-forwarded-for: 203.0.113.9\r\nx-forwarded-for: 203.0.113.8\r\nx-forwarded-host: evil.example\r\n\
        forwarded: for=203.0.113.9\r\nx-user-id: usr_admin\r\nx-internal-role: admin\r\nx-real-ip: 203.0.113.9\r\n\
        x-cartwright-not-processed: 1\r\nx-hop: 1\r\nconnection: x-hop\r\nte: trailers\r\n\
        authorization: Bearer token\r\nidempotency-key: key-1\r\n\
        traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nx-request-id: asked-7\r\n";

    let shown = ask_from("127.0.0.5", front.address, "GET", "/product/shown", forged, "").await.json();

    for (name, value) in [
        ("address", "127.0.0.5"),
        ("x-forwarded-for", "127.0.0.5"),
        ("x-forwarded-host", "shop.example"),
        ("x-forwarded-proto", "http"),
        ("host", "shop.example"),
        ("authorization", "Bearer token"),
        ("idempotency-key", "key-1"),
        ("x-request-id", "asked-7"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ] {
        assert_eq!(shown[name], value, "{name}");
    }
    for name in ["forwarded", "x-user-id", "x-internal-role", "x-real-ip", "x-cartwright-not-processed", "x-hop", "te"]
    {
        assert!(shown[name].is_null(), "{name} came through as {}", shown[name]);
    }
    let left: u64 = shown["x-request-deadline-ms"].as_str().unwrap().parse().unwrap();
    assert!((5_000..=10_000).contains(&left), "{left}");
}

#[tokio::test]
async fn without_certificates_whoever_is_on_this_machine_speaks_for_the_client() {
    let product = Service::start("product").await;
    let told = "x-forwarded-for: 203.0.113.9\r\n";
    let shown = ask(product.address, "GET", "/shown", told, "").await.json();
    assert_eq!(shown["address"], "203.0.113.9");
}

#[tokio::test]
async fn an_answer_keeps_what_is_for_the_client_and_loses_what_was_for_the_gateway() {
    let product = Service::start("product").await;
    let front = Front::before(&[&product]).await;
    let answer = ask(front.address, "GET", "/products", "", "").await;
    assert_eq!((answer.header("etag"), answer.header("x-inside")), ("\"7\"", ""));
    assert_eq!(answer.header("connection"), "close", "as the client asked");
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[tokio::test]
async fn a_request_by_http_2_reaches_a_service_that_speaks_http_1() {
    let product = Service::start("product").await;
    let front = Front::before(&[&product]).await;
    let stream = TokioIo::new(connect("127.0.0.5", front.address).await);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    front.tasks.spawn(connection.map(drop));
    let request =
        hyper::Request::get("http://shop.example/product/shown").header("cookie", "a=1").header("cookie", "b=2");
    let answer = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
    let shown: Value = serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap();
    assert_eq!((&shown["host"], &shown["cookie"]), (&"shop.example".into(), &"a=1; b=2".into()));
    assert_eq!(shown["address"], "127.0.0.5");
}

#[tokio::test]
async fn no_other_protocol_is_spoken() {
    let product = Service::start("product").await;
    let front = Front::before(&[&product]).await;
    let upgrade = "upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    let answer = ask(front.address, "GET", "/product/shown", upgrade, "").await;
    assert_eq!((answer.status, answer.problem().as_str()), (400, "bad_request"));
    assert_eq!(ask(front.address, "CONNECT", "shop.example:443", "", "").await.status, 400);
    assert_eq!(product.count(), 0);
}

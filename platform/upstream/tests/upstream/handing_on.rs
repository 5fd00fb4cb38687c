//! What a request hands on to the calls that are made for it.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use axum::routing::get;
use cartwright_http::{EdgeSettings, Limits, layers, serve};
use cartwright_runtime::{Clock, Ids, Tasks};
use cartwright_upstream::{CallError, Options};
use futures::FutureExt as _;
use tokio::net::TcpListener;

use crate::host::{PATIENCE, at, whole};

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Serves `router` behind an edge; its address.
async fn serving(router: Router, tasks: &Tasks) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let clock = Clock::system();
    let router = layers(router, EdgeSettings::new(clock.clone(), Ids::seeded(clock.clone(), 1)));
    tasks.spawn(serve(listener, router, Limits::default(), clock, tasks.clone()).map(drop));
    url
}

#[tokio::test]
async fn a_call_made_for_a_request_has_its_name_and_no_more_than_its_time() {
    let tasks = Tasks::new();
    let told = async |headers: HeaderMap| {
        let text = |name: &str| headers.get(name).map_or("none", |value| value.to_str().unwrap());
        format!("{} {} {}", text("x-request-id"), text("traceparent"), text("x-request-deadline-ms"))
    };
    let behind = at(&serving(Router::new().route("/told", get(told)), &tasks).await, Options::default());
    let asking = behind.clone();
    let ask = async move || {
        let request = Request::get("/told").body(Body::empty()).unwrap();
        whole(asking.call(request, PATIENCE).await).await.1
    };
    let front = at(&serving(Router::new().route("/ask", get(ask)), &tasks).await, Options::default());

    let request = Request::get("/ask").header("x-request-id", "asked-7").header("traceparent", TRACE);
    let answer = front.call(request.body(Body::empty()).unwrap(), Duration::from_secs(5)).await;

    let (_, told) = whole(answer).await;
    let left: u64 = told.strip_prefix(&format!("asked-7 {TRACE} ")).unwrap().parse().unwrap();
    assert!((1_000..=5_000).contains(&left), "{left}");
    let alone = whole(behind.call(Request::get("/told").body(Body::empty()).unwrap(), PATIENCE).await).await.1;
    assert!(!alone.starts_with("asked-7") && alone.contains("none"), "{alone}");
    tasks.stop();
}

#[tokio::test]
async fn a_call_without_time_is_not_made() {
    let upstream = at("http://127.0.0.1:1", Options::default());
    let request = Request::get("/").body(Body::empty()).unwrap();
    let late = upstream.call(request, Duration::ZERO).await.unwrap_err();
    assert_eq!(late, CallError::TooLate { upstream: "parcels", was_sent: false });
}

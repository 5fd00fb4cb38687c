//! Health, asked of a service whose store is well and of one whose store is gone.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use cartwright_http::{Leaving, health};
use cartwright_runtime::{Clock, Ids, Time};
use cartwright_store::{Database, MemoryBackend};
use serde_json::{Value, json};
use tower::ServiceExt;

const NOON: &str = "2026-11-22T12:00:00.000Z";

async fn service() -> (Router, MemoryBackend) {
    let backend = MemoryBackend::new();
    let clock = Clock::manual(NOON.parse::<Time>().unwrap());
    let database = Database::new(Arc::new(backend.clone()), clock.clone(), Ids::seeded(clock, 1));
    let store = database.scoped("cart", &[]).await.unwrap();
    (health("cart", store, Leaving::default()).into(), backend)
}

async fn ask(router: &Router, path: &str) -> (u16, Value) {
    let answer = router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn a_service_with_a_store_is_running() {
    let (router, _backend) = service().await;
    let health = json!({"status": "Cart Service is running!", "timestamp": NOON, "database": "connected"});
    assert_eq!(ask(&router, "/health").await, (200, health));
    assert_eq!(ask(&router, "/livez").await.0, 200);
    assert_eq!(ask(&router, "/readyz").await.0, 200);
}

#[tokio::test]
async fn a_service_without_its_store_lives_and_is_not_ready() {
    let (router, backend) = service().await;
    drop(backend.crash());
    let (status, health) = ask(&router, "/health").await;
    assert_eq!((status, &health["database"]), (503, &json!("disconnected")));
    assert_eq!(ask(&router, "/livez").await.0, 200);
    let (status, problem) = ask(&router, "/readyz").await;
    assert_eq!((status, &problem["code"]), (503, &json!("not_ready")));
}

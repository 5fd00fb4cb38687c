//! Calls by TLS, on which both sides prove who they are.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Request, Version};
use axum::routing::get;
use axum::{Extension, Router};
use cartwright_http::{Limits, PeerIdentity, Tls, serve_tls};
use cartwright_runtime::{Clock, Ids, Tasks};
use cartwright_tls::{Authority, Identity, IdentityFiles, service_named_in};
use cartwright_upstream::{CallError, InstanceState, Targets, Upstream};
use futures::FutureExt as _;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::host::{PATIENCE, quick, until, whole};

fn identity(folder: &TempDir, service: &str) -> Arc<Identity> {
    let clock = Clock::system();
    let authority = Authority::open_or_create(folder.path(), &clock).unwrap();
    authority.issue(service, Duration::from_secs(3_600)).unwrap();
    Identity::load(IdentityFiles::in_folder(folder.path(), service), &clock).unwrap()
}

/// The service `parcels`, which says who called it and how.
async fn serving(identity: &Identity, tasks: &Tasks) -> SocketAddr {
    let told =
        async |Extension(PeerIdentity(caller)): Extension<PeerIdentity>, version: Version, headers: HeaderMap| {
            format!("{caller} {version:?} {}", headers["host"].to_str().unwrap())
        };
    let router = Router::new().route("/told", get(told)).route("/readyz", get(async || "ready"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tls = Tls::mutual(identity.server_config(), service_named_in);
    tasks.spawn(serve_tls(listener, router, tls, Limits::default(), Clock::system(), tasks.clone()).map(drop));
    address
}

fn calling(address: SocketAddr, caller: &Identity, service: &str) -> Upstream {
    let clock = Clock::system();
    let targets = Targets::parse(&format!("https://{address}")).unwrap();
    let ids = Ids::seeded(clock.clone(), 1);
    Upstream::new("parcels", targets, quick(), Some(caller.client_config(service)), clock, ids).unwrap()
}

#[tokio::test]
async fn a_service_is_told_who_calls_and_the_host_that_was_asked_for() {
    let (folder, tasks) = (TempDir::new().unwrap(), Tasks::new());
    let address = serving(&identity(&folder, "parcels"), &tasks).await;
    let upstream = calling(address, &identity(&folder, "gateway"), "parcels");
    upstream.start(&tasks);
    until(|| upstream.is_ready()).await;

    let request = Request::get("/told").header("host", "shop.example").body(Body::empty()).unwrap();
    let (_, told) = whole(upstream.call(request, PATIENCE).await).await;

    assert_eq!(told, "gateway HTTP/1.1 shop.example");
    tasks.stop();
}

#[tokio::test]
async fn whoever_answers_with_another_service_s_certificate_is_not_spoken_to() {
    let (folder, tasks) = (TempDir::new().unwrap(), Tasks::new());
    let address = serving(&identity(&folder, "letters"), &tasks).await;
    let upstream = calling(address, &identity(&folder, "gateway"), "parcels");
    upstream.start(&tasks);
    until(|| upstream.snapshot()[0].state == InstanceState::Silent).await;
    let request = Request::get("/told").header("host", "shop.example").body(Body::empty()).unwrap();
    let error = upstream.call(request, PATIENCE).await.unwrap_err();
    assert_eq!(error, CallError::NotReached("parcels"));
    tasks.stop();
}

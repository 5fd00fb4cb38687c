//! Instances to be called, and upstreams that call them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use axum::routing::{get, post};
use cartwright_http::{Limits, serve};
use cartwright_runtime::{Clock, Ids, Tasks};
use cartwright_upstream::{CallError, Options, Targets, Upstream};
use futures::FutureExt as _;
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// Longer than anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// An instance of a service.
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    pub(crate) tasks: Tasks,
    /// How many calls reached `/count`, `/stuck` and `/slow`.
    pub(crate) count: Arc<AtomicUsize>,
    /// What `/readyz` says.
    pub(crate) is_ready: Arc<AtomicBool>,
    /// Told when `/stuck` or `/slow` was reached.
    pub(crate) reached: Arc<Notify>,
    /// Lets `/slow` answer.
    pub(crate) gate: Arc<Notify>,
}

impl Host {
    pub(crate) async fn start() -> Self {
        Self::at("127.0.0.1:0", Duration::ZERO).await
    }

    /// An instance at `address` that takes `pause` for each call of `/count`. It does not wait for anything when it stops.
    pub(crate) async fn at(address: &str, pause: Duration) -> Self {
        let (count, is_ready) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(true)));
        let (reached, gate) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let router = routes(&count, &is_ready, &reached, &gate, pause);
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let tasks = Tasks::new();
        let limits = Limits { drain_ms: 0, connections_per_address_max: 10_000, ..Limits::default() };
        tasks.spawn(serve(listener, router, limits, Clock::system(), tasks.clone()).map(drop));
        Self { address, tasks, count, is_ready, reached, gate }
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Cuts every connection and listens no more.
    pub(crate) async fn kill(&self) {
        assert!(self.tasks.drain(&Clock::system(), PATIENCE).await);
    }
}

fn routes(
    count: &Arc<AtomicUsize>,
    is_ready: &Arc<AtomicBool>,
    reached: &Arc<Notify>,
    gate: &Arc<Notify>,
    pause: Duration,
) -> Router {
    let counted = {
        let count = Arc::clone(count);
        async move || {
            count.fetch_add(1, Ordering::SeqCst);
            Clock::system().pause(pause).await;
            "counted"
        }
    };
    let stuck = {
        let (count, reached) = (Arc::clone(count), Arc::clone(reached));
        async move || -> &'static str {
            count.fetch_add(1, Ordering::SeqCst);
            reached.notify_one();
            std::future::pending().await
        }
    };
    let slow = {
        let (count, reached, gate) = (Arc::clone(count), Arc::clone(reached), Arc::clone(gate));
        async move || {
            count.fetch_add(1, Ordering::SeqCst);
            reached.notify_one();
            gate.notified().await;
            "done"
        }
    };
    let is_ready = Arc::clone(is_ready);
    let readyz = async move || match is_ready.load(Ordering::SeqCst) {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    let length = async |body: Body| to_bytes(body, usize::MAX).await.unwrap().len().to_string();
    let deadline = async |headers: HeaderMap| headers["x-request-deadline-ms"].to_str().unwrap().to_owned();
    Router::new()
        .route("/count", get(counted.clone()).post(counted))
        .route("/stuck", get(stuck.clone()).post(stuck))
        .route("/slow", get(slow.clone()).post(slow))
        .route("/length", post(length))
        .route("/deadline", get(deadline))
        .route("/error", get(async || StatusCode::INTERNAL_SERVER_ERROR))
        .route("/readyz", get(readyz))
}

/// Options under which everything happens soon.
pub(crate) fn quick() -> Options {
    Options { probe_every_ms: 20, resolve_every_ms: 20, ..Options::default() }
}

pub(crate) fn upstream(hosts: &[&Host], options: Options) -> Upstream {
    let targets: Vec<String> = hosts.iter().map(|host| format!("http://{}", host.address)).collect();
    at(&targets.join(","), options)
}

pub(crate) fn at(targets: &str, options: Options) -> Upstream {
    let clock = Clock::system();
    let ids = Ids::seeded(clock.clone(), 1);
    Upstream::new("parcels", Targets::parse(targets).unwrap(), options, None, clock, ids).unwrap()
}

pub(crate) async fn call(upstream: &Upstream, method: Method, path: &str) -> Result<Response<Body>, CallError> {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    upstream.call(request, PATIENCE).await
}

/// The status and the body of an answer.
pub(crate) async fn whole(answer: Result<Response<Body>, CallError>) -> (u16, String) {
    let answer = answer.unwrap();
    let status = answer.status().as_u16();
    let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// Waits until `condition` holds.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    let clock = Clock::system();
    let watch = clock.stopwatch();
    while !condition() {
        assert!(watch.elapsed() < PATIENCE, "it did not come about");
        clock.pause(Duration::from_millis(5)).await;
    }
}

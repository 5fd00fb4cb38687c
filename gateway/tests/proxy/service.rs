//! Services in processes of their own, as far as a socket can tell, and a gateway before them.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path};
use axum::http::HeaderMap;
use axum::response::sse::{Event, Sse};
use axum::routing::{get, post};
use cartwright_gateway::{GatewaySettings, Limiter, Proxied, gateway, limited};
use cartwright_http::{EdgeSettings, Forwarder, Json, Leaving, Limits, health, layers, serve, trust_forwarded};
use cartwright_runtime::{Clock, Ids, Tasks};
use cartwright_store::{Database, MemoryBackend};
use cartwright_upstream::{Options, Targets, Upstream};
use futures::{FutureExt as _, StreamExt as _};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::client::PATIENCE;

/// Serves `router` until the tasks stop, which cuts what is under way.
pub(crate) async fn serving(router: Router) -> (SocketAddr, Tasks) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, tasks) = (listener.local_addr().unwrap(), Tasks::new());
    let limits = Limits { drain_ms: 0, ..Limits::default() };
    tasks.spawn(serve(listener, router, limits, Clock::system(), tasks.clone()).map(drop));
    (address, tasks)
}

fn edge() -> EdgeSettings {
    let clock = Clock::system();
    EdgeSettings { waits, ..EdgeSettings::new(clock.clone(), Ids::seeded(clock, 1)) }
}

fn waits(path: &str) -> bool {
    path.ends_with("/create-order") || path.contains("/events/") || path.ends_with("/import")
}

/// A service with a route of each kind.
pub(crate) struct Service {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) tasks: Tasks,
    pub(crate) backend: MemoryBackend,
    /// How often a route was reached.
    pub(crate) count: Arc<AtomicUsize>,
    /// Told when `/slow` or `/create-order` was reached.
    pub(crate) reached: Arc<Notify>,
    /// Lets them answer.
    pub(crate) gate: Arc<Notify>,
    /// Event streams that are open.
    pub(crate) streams: Arc<AtomicUsize>,
}

impl Service {
    pub(crate) async fn start(name: &'static str) -> Self {
        let (count, streams) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (reached, gate) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let backend = MemoryBackend::new();
        let clock = Clock::system();
        let database = Database::new(Arc::new(backend.clone()), clock.clone(), Ids::seeded(clock, 1));
        let store = database.scoped(name, &[]).await.unwrap();
        let router = routes(&count, &streams, &reached, &gate).merge(health(name, store, Leaving::default()));
        let (address, tasks) = serving(trust_forwarded(layers(router, edge()), Forwarder::Loopback)).await;
        Self { name, address, tasks, backend, count, reached, gate, streams }
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    pub(crate) async fn kill(&self) {
        assert!(self.tasks.drain(&Clock::system(), PATIENCE).await);
    }

    /// This service, as a gateway has it.
    pub(crate) fn proxied(&self) -> Proxied {
        let clock = Clock::system();
        let targets = Targets::parse(&format!("http://{}", self.address)).unwrap();
        let ids = Ids::seeded(clock.clone(), 1);
        Proxied::new(Upstream::new(self.name, targets, Options::default(), None, clock, ids).unwrap(), waits)
    }
}

fn routes(count: &Arc<AtomicUsize>, streams: &Arc<AtomicUsize>, reached: &Arc<Notify>, gate: &Arc<Notify>) -> Router {
    let counted = {
        let count = Arc::clone(count);
        async move || {
            count.fetch_add(1, Ordering::SeqCst);
            "counted"
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
    let streams = Arc::clone(streams);
    let events = async move || {
        let open = Open::new(&streams);
        let first = futures::stream::once(async { Ok::<_, Infallible>(Event::default().data("first")) });
        Sse::new(first.chain(futures::stream::pending()).inspect(move |_| {
            let _open = &open;
        }))
    };
    let shown = async |headers: HeaderMap, ConnectInfo(address): ConnectInfo<SocketAddr>| {
        let mut shown: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in &headers {
            shown.entry(name.to_string()).or_default().push_str(value.to_str().unwrap());
        }
        shown.insert("address".to_owned(), address.ip().to_string());
        Json(shown)
    };
    let tagged = ([("etag", "\"7\""), ("connection", "x-inside"), ("x-inside", "secret")], "all products");
    Router::new()
        .route("/products", get(async move || tagged).post(counted.clone()))
        .route("/products/{id}", get(async |Path(id): Path<String>| format!("product {id}")))
        .route("/orders/{user}", get(async |Path(user): Path<String>| format!("orders of {user}")))
        .route("/count", get(counted.clone()).post(counted.clone()))
        .route("/apply-promotion", post(counted.clone()))
        .route("/quote", post(counted.clone()))
        .route("/peer/freeze", post(counted.clone()).get(counted.clone()))
        .route("/metrics", get(counted))
        .route("/echo", post(async |body: Bytes| body))
        .route("/import", post(async |body: Bytes| body.len().to_string()).layer(DefaultBodyLimit::max(64 << 20)))
        .route("/slow", get(slow.clone()).post(slow.clone()))
        .route("/create-order", post(slow))
        .route("/events/{id}", get(events))
        .route("/shown", get(shown))
}

/// An open event stream.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A gateway before `services`.
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    pub(crate) tasks: Tasks,
}

impl Front {
    pub(crate) async fn before(services: &[&Service]) -> Self {
        Self::with(services.iter().map(|service| service.proxied()).collect(), None, |edge| edge).await
    }

    pub(crate) async fn with(
        proxied: Vec<Proxied>,
        limiter: Option<Limiter>,
        adapt: impl FnOnce(EdgeSettings) -> EdgeSettings,
    ) -> Self {
        let (shop, version) = ("Tea & Tools".to_owned(), "1.2.3".to_owned());
        let settings = GatewaySettings { shop, version, clock: Clock::system() };
        let router = gateway(proxied, &settings).unwrap().router;
        let router = match limiter {
            Some(limiter) => limited(router, limiter),
            None => router,
        };
        let (address, tasks) = serving(layers(router, adapt(edge()))).await;
        Self { address, tasks }
    }
}

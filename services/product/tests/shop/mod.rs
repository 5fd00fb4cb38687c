//! A shop to test: product on the memory store, its jobs running, inventory's answers and events made by hand.
#![allow(dead_code, reason = "each test file uses its part")]

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request};
use axum::{Extension, Router};
use cartwright_bus::Broadcast;
use cartwright_bus::Subscription;
use cartwright_contracts::{Availability, Catalogue, LevelChanged, PeerError, Stock};
use cartwright_http::{Caller, Role, TokenRefused, Verifier};
use cartwright_product::{ImportFormat, ImportReport, Settings};
use cartwright_runtime::{Clock, Ids, Tasks, Time};
use cartwright_store::{Backend, Bookmark, Database, Envelope, Event, MemoryBackend, Store};
use cartwright_vocabulary::{Currency, ProductId};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

pub(crate) struct TestShop {
    pub(crate) store: Store,
    pub(crate) backend: MemoryBackend,
    pub(crate) clock: Clock,
    pub(crate) catalogue: Arc<dyn Catalogue>,
    pub(crate) tasks: Tasks,
    inventory: Arc<Inventory>,
    router: Router,
    subscriptions: Vec<Subscription>,
    events: AtomicU64,
}

/// Answers one number for everything; does not answer while that is negative.
struct Inventory(AtomicI64);

#[async_trait]
impl Stock for Inventory {
    async fn availability(&self, ids: &[ProductId]) -> Result<Vec<Availability>, PeerError> {
        let available = u32::try_from(self.0.load(Ordering::SeqCst))
            .map_err(|_| PeerError { peer: "inventory", cause: "it is away".to_owned() })?;
        Ok(ids.iter().map(|id| Availability { product: *id, on_hand: available, reserved: 0, available }).collect())
    }
}

struct Tokens;

impl Verifier for Tokens {
    fn verify(&self, token: &str) -> Result<Caller, TokenRefused> {
        let role = match token {
            "admin" => Role::Admin,
            "customer" => Role::Customer,
            _ => return Err(TokenRefused("unknown")),
        };
        let (id, session) = (token.to_owned(), "s".to_owned());
        Ok(Caller { id, role, session, expires_at: Time::from_millis(i64::MAX) })
    }
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text))
    }

    pub(crate) fn ok(&self) -> Value {
        assert!((200..300).contains(&self.status), "{} {}", self.status, self.text);
        self.json()
    }

    pub(crate) fn problem(&self) -> (u16, String) {
        (self.status, self.json()["code"].as_str().unwrap().to_owned())
    }

    pub(crate) fn pointers(&self) -> Vec<String> {
        let json = self.json();
        let errors = json["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect()
    }
}

impl TestShop {
    pub(crate) async fn new() -> Self {
        Self::on(MemoryBackend::new(), None).await
    }

    pub(crate) async fn on(backend: MemoryBackend, index_dir: Option<PathBuf>) -> Self {
        let clock = Clock::manual(Time::from_millis(1_795_340_000_000));
        let database = Database::new(Arc::new(backend.clone()), clock.clone(), Ids::random(clock.clone()));
        let store = cartwright_product::open(&database).await.unwrap();
        let inventory = Arc::new(Inventory(AtomicI64::new(-1)));
        let settings = Settings { index_dir, ..Settings::default() };
        let stock: Arc<dyn Stock> = Arc::clone(&inventory) as Arc<dyn Stock>;
        let service = cartwright_product::service(store.clone(), stock, settings, Broadcast::new()).await.unwrap();
        let tasks = Tasks::new();
        for job in &service.jobs {
            job.start(&tasks);
        }
        let (router, _) = service.routes.split_for_parts();
        let verifier: Arc<dyn Verifier> = Arc::new(Tokens);
        Self {
            catalogue: cartwright_product::peer(store.clone(), Duration::ZERO),
            store,
            backend,
            clock,
            tasks,
            inventory,
            router: router.layer(Extension(verifier)),
            subscriptions: service.subscriptions,
            events: AtomicU64::new(0),
        }
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Reply {
        let mut request = Request::builder().method(method).uri(path.replace(' ', "%20").replace('>', "%3E"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        Reply { status, headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, &[], Body::empty()).await
    }

    pub(crate) async fn as_admin(&self, method: Method, path: &str, body: &str) -> Reply {
        let headers = [("authorization", "Bearer admin"), ("content-type", "application/json")];
        self.send(method, path, &headers, body.to_owned()).await
    }

    /// Lists a product with these fields beside a name and a price; gives it as it was answered.
    pub(crate) async fn list(&self, sku: &str, fields: Value) -> Value {
        let mut body = json!({"sku": sku, "name": sku, "price": 10});
        for (name, value) in fields.as_object().unwrap() {
            body[name] = value.clone();
        }
        let reply = self.as_admin(Method::POST, "/products", &body.to_string()).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
        reply.json()
    }

    pub(crate) async fn import(&self, text: &str, format: ImportFormat) -> ImportReport {
        cartwright_product::import(&self.store, Currency::USD, text.as_bytes(), format, |_| {}).await.unwrap()
    }

    /// Delivers inventory's news as the bus would.
    pub(crate) async fn level(&self, product: &str, available: u32, version: u64) {
        let event = LevelChanged { product: product.parse().unwrap(), available, version };
        let number = self.events.fetch_add(1, Ordering::SeqCst);
        let envelope = Envelope {
            specversion: "1.0".to_owned(),
            id: format!("event-{number}"),
            source: "inventory".to_owned(),
            name: LevelChanged::NAME.to_owned(),
            subject: event.subject(),
            time: self.clock.now(),
            datacontenttype: "application/json".to_owned(),
            data: serde_json::value::to_raw_value(&event).unwrap().into(),
            traceparent: None,
        };
        for subscription in self.subscriptions.iter().filter(|it| it.event() == LevelChanged::NAME) {
            subscription.handle(envelope.clone()).await.unwrap();
        }
    }

    /// Inventory answers this from now on when it is asked.
    pub(crate) fn inventory_answers(&self, available: i64) {
        self.inventory.0.store(available, Ordering::SeqCst);
    }

    /// The events of this name that were published so far.
    pub(crate) async fn published(&self, name: &str) -> Vec<Value> {
        let all = self.backend.unsent(&Bookmark::default(), 10_000).await.unwrap();
        let wanted = all.into_iter().map(|(_, event)| event).filter(|event| event.name == name);
        wanted.map(|event| serde_json::from_str(event.data.get()).unwrap()).collect()
    }

    /// Asks until the answer is the wanted one, ten seconds at most.
    pub(crate) async fn until<T, F>(&self, wanted: T, ask: impl Fn() -> F)
    where
        T: PartialEq + std::fmt::Debug,
        F: Future<Output = T>,
    {
        let watch = self.clock.stopwatch();
        loop {
            let answer = ask().await;
            if answer == wanted {
                return;
            }
            assert!(watch.elapsed() < Duration::from_secs(10), "{answer:?} is not {wanted:?}");
            self.clock.pause(Duration::from_millis(10)).await;
        }
    }

    /// Waits until the list at `path` holds these SKUs, in this order.
    pub(crate) async fn until_listed(&self, path: &str, skus: &[&str]) {
        self.until(skus.iter().map(ToString::to_string).collect::<Vec<_>>(), || self.skus(path)).await;
    }

    pub(crate) async fn skus(&self, path: &str) -> Vec<String> {
        let items = self.get(path).await.ok()["items"].as_array().unwrap().clone();
        items.iter().map(|item| item["sku"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for TestShop {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

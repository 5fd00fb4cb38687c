//! A warehouse to test: the service on the memory store, a clock moved by hand, and an order service that says what it is told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::{Extension, Router};
use cartwright_bus::Subscription;
use cartwright_contracts::{
    CancelReason, LineQuantity, OrderCancelled, OrderConfirmed, OrderCreated, OrderFacts, OrderState, Orders, Payable,
    PeerError, ProductChanged, Settled, Stock,
};
use cartwright_http::{Caller, Role, TokenRefused, Verifier};
use cartwright_inventory::documents::{Movement, MovementKind, Reservation, ReservationState, StockLevel};
use cartwright_inventory::{Settings, open, peer, service};
use cartwright_runtime::{Clock, Ids, Tasks, Time};
use cartwright_service::Job;
use cartwright_store::{Bookmark, Database, Envelope, Event, MemoryBackend, Store};
use cartwright_vocabulary::{CartId, OrderId, ProductId, Quantity, UserId};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

pub(crate) struct Warehouse {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) orders: Arc<ToldOrders>,
    pub(crate) stock: Arc<dyn Stock>,
    database: Database,
    router: Router,
    subscriptions: Vec<Subscription>,
    jobs: Vec<Job>,
}

pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) replayed: bool,
    pub(crate) body: Value,
}

impl Warehouse {
    pub(crate) async fn new() -> Self {
        let clock = Clock::manual(Time::from_millis(1_795_340_000_000));
        let database = Database::new(Arc::new(MemoryBackend::new()), clock.clone(), Ids::seeded(clock.clone(), 1));
        let store = open(&database).await.unwrap();
        let orders = Arc::new(ToldOrders::default());
        let asked: Arc<dyn Orders> = Arc::<ToldOrders>::clone(&orders);
        let inventory = service(store.clone(), asked, Settings::default());
        let (router, _) = inventory.routes.split_for_parts();
        let verifier: Arc<dyn Verifier> = Arc::new(Badges);
        Self {
            stock: peer(store.clone()),
            router: router.layer(Extension(verifier)),
            subscriptions: inventory.subscriptions,
            jobs: inventory.jobs,
            store,
            clock,
            orders,
            database,
        }
    }

    pub(crate) async fn with_stock(self, product: ProductId, units: u32) -> Self {
        self.tell(&listed(product, Some(units))).await;
        self
    }

    /// Delivers `event` as a new one.
    pub(crate) async fn tell<E: Event>(&self, event: &E) {
        self.deliver(&self.envelope(event)).await;
    }

    pub(crate) async fn deliver(&self, envelope: &Envelope) {
        let wanted = self.subscriptions.iter().find(|it| it.event() == envelope.name).unwrap();
        wanted.handle(envelope.clone()).await.unwrap();
    }

    pub(crate) fn envelope<E: Event>(&self, event: &E) -> Envelope {
        Envelope {
            specversion: "1.0".to_owned(),
            id: self.store.ids().uuid().to_string(),
            source: "test".to_owned(),
            name: E::NAME.to_owned(),
            subject: event.subject(),
            time: self.clock.now(),
            datacontenttype: "application/json".to_owned(),
            data: Arc::from(serde_json::value::to_raw_value(event).unwrap()),
            traceparent: None,
        }
    }

    /// The events of one kind that were published so far.
    pub(crate) async fn events<E: Event>(&self) -> Vec<E> {
        let outbox = self.database.backend().unsent(&Bookmark::default(), 100_000).await.unwrap();
        let wanted = outbox.iter().filter(|(_, envelope)| envelope.name == E::NAME);
        wanted.map(|(_, envelope)| envelope.event().unwrap()).collect()
    }

    /// Runs one round of every job.
    pub(crate) async fn work(&self) {
        let tasks = Tasks::new();
        self.jobs.iter().for_each(|job| job.start(&tasks));
        // A job does its work once before it looks whether it should stop, and the manual clock does not move.
        assert!(tasks.drain(&Clock::system(), Duration::from_secs(20)).await);
    }

    pub(crate) async fn level(&self, product: ProductId) -> StockLevel {
        self.store.get(product.to_string()).await.unwrap().unwrap().doc
    }

    /// Available, held, sold and returned units.
    pub(crate) async fn counts(&self, product: ProductId) -> (u32, u32, u64, u64) {
        let level = self.level(product).await;
        (level.available(), level.held(), level.sold(), level.returned())
    }

    pub(crate) async fn reservation(&self, order: &str) -> Option<Reservation> {
        self.store.get(order).await.unwrap().map(|stored| stored.doc)
    }

    pub(crate) async fn state(&self, order: OrderId) -> Option<ReservationState> {
        self.reservation(&order.to_string()).await.map(|reservation| reservation.state())
    }

    pub(crate) async fn get(&self, badge: &str, path: &str) -> Reply {
        self.send(badge, "GET", path, None, None).await
    }

    pub(crate) async fn post(&self, badge: &str, path: &str, body: Value) -> Reply {
        self.send(badge, "POST", path, None, Some(body)).await
    }

    pub(crate) async fn send(
        &self,
        badge: &str,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: Option<Value>,
    ) -> Reply {
        let mut request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        if !badge.is_empty() {
            request = request.header("authorization", format!("Bearer {badge}"));
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let (status, replayed) = (response.status(), response.headers().contains_key("idempotent-replayed"));
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Reply { status, replayed, body: serde_json::from_slice(&body).unwrap_or(Value::Null) }
    }

    pub(crate) async fn reserve(&self, order: &str, items: &[(ProductId, u32)]) -> Reply {
        let items: Vec<Value> =
            items.iter().map(|(product, quantity)| json!({"productId": product, "quantity": quantity})).collect();
        self.post("service", "/reserve-items", json!({"orderId": order, "items": items})).await
    }

    /// Everything that must hold whatever was done (I1, I2, I3): the counters balance, the ledger adds up to them, and
    /// what is held and sold is what reservations say.
    pub(crate) async fn check(&self) -> Result<(), String> {
        let levels = self.store.scan::<StockLevel>().all().await.unwrap();
        let movements = self.store.scan::<Movement>().all().await.unwrap();
        let reservations = self.store.scan::<Reservation>().all().await.unwrap();
        for level in levels.iter().map(|level| &level.doc) {
            let ledger = |kind| -> i64 {
                let of = movements.iter().filter(|it| it.doc.product == level.product() && it.doc.kind == kind);
                of.map(|movement| movement.doc.delta).sum()
            };
            let lines = |wanted: &dyn Fn(&Reservation) -> bool| -> u64 {
                let counted = reservations.iter().filter(|reservation| wanted(&reservation.doc));
                let lines = counted.flat_map(|reservation| reservation.doc.lines().to_vec());
                lines.filter(|line| line.product == level.product()).map(|line| u64::from(line.quantity)).sum()
            };
            let expected = [
                (level.is_balanced(), "the counters do not balance"),
                (ledger(MovementKind::Opening) == i64::from(level.initial().unwrap_or(0)), "opening"),
                (ledger(MovementKind::Received).unsigned_abs() == level.received(), "received"),
                (ledger(MovementKind::WrittenOff).unsigned_abs() == level.written_off(), "written off"),
                (ledger(MovementKind::Sold).unsigned_abs() == level.sold(), "sold"),
                (ledger(MovementKind::Returned).unsigned_abs() == level.returned(), "returned"),
                (lines(&|it| it.state() == ReservationState::Held) == u64::from(level.held()), "held lines"),
                (lines(&|it| it.state() == ReservationState::Committed) == level.sold(), "sold lines"),
                (lines(&|it| it.restocked_at().is_some()) == level.returned(), "restocked lines"),
            ];
            if let Some((_, wrong)) = expected.iter().find(|(holds, _)| !holds) {
                return Err(format!("{wrong}: {level:?}"));
            }
        }
        Ok(())
    }
}

pub(crate) fn product(number: u128) -> ProductId {
    ProductId::new(Uuid::from_u128(number))
}

pub(crate) fn order(number: u128) -> OrderId {
    OrderId::new(Uuid::from_u128(number))
}

pub(crate) fn listed(product: ProductId, opening_stock: Option<u32>) -> ProductChanged {
    ProductChanged { product, sku: "TEA-250".parse().unwrap(), version: 1, opening_stock }
}

pub(crate) fn created(order: OrderId, items: &[(ProductId, u32)]) -> OrderCreated {
    let items = items
        .iter()
        .map(|(product, quantity)| LineQuantity { product: *product, quantity: Quantity::new(*quantity).unwrap() });
    OrderCreated { order, user: UserId::new(Uuid::from_u128(1)), items: items.collect() }
}

pub(crate) fn confirmed(order: OrderId) -> OrderConfirmed {
    OrderConfirmed { order, user: UserId::new(Uuid::from_u128(1)), cart: CartId::new(Uuid::from_u128(1)) }
}

pub(crate) fn cancelled(order: OrderId) -> OrderCancelled {
    OrderCancelled {
        order,
        user: UserId::new(Uuid::from_u128(1)),
        cart: CartId::new(Uuid::from_u128(1)),
        reason: CancelReason::ByCustomer,
    }
}

/// Tokens are the names of roles.
struct Badges;

impl Verifier for Badges {
    fn verify(&self, token: &str) -> Result<Caller, TokenRefused> {
        let role = match token {
            "guest" => Role::Guest,
            "customer" => Role::Customer,
            "admin" => Role::Admin,
            "service" => Role::Service,
            _ => return Err(TokenRefused("unknown badge")),
        };
        Ok(Caller { id: token.to_owned(), role, session: "s".to_owned(), expires_at: Time::from_millis(i64::MAX) })
    }
}

/// Says of each order what it was told, and nothing while it is away.
#[derive(Default)]
pub(crate) struct ToldOrders {
    states: Mutex<HashMap<OrderId, OrderState>>,
    away: Mutex<bool>,
}

impl ToldOrders {
    pub(crate) fn is(&self, order: OrderId, state: OrderState) {
        self.states.lock().unwrap().insert(order, state);
    }

    pub(crate) fn away(&self, away: bool) {
        *self.away.lock().unwrap() = away;
    }

    fn answer<T>(&self, answer: T) -> Result<T, PeerError> {
        if *self.away.lock().unwrap() {
            return Err(PeerError { peer: "order", cause: "away".to_owned() });
        }
        Ok(answer)
    }
}

#[async_trait]
impl Orders for ToldOrders {
    async fn settle(&self, _cart: CartId, _version: u64) -> Result<Settled, PeerError> {
        self.answer(Settled::Abandoned)
    }

    async fn state(&self, order: OrderId) -> Result<Option<OrderState>, PeerError> {
        self.answer(self.states.lock().unwrap().get(&order).copied())
    }

    async fn payable(&self, _order: OrderId) -> Result<Option<Payable>, PeerError> {
        self.answer(None)
    }

    async fn facts(&self, _order: OrderId) -> Result<Option<OrderFacts>, PeerError> {
        self.answer(None)
    }
}

//! A payment service over the memory store, the real sandbox and a provider that can be made to fail, on a driven clock.

#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::{Extension, Router};
use cartwright_bus::Broadcast;
use cartwright_contracts::{
    CancelReason, OrderCancelled, OrderConfirmed, OrderFacts, OrderState, Orders, Payable, PaymentRequested, PeerError,
    Settled,
};
use cartwright_http::{Caller, Role, TokenRefused, Verifier};
use cartwright_payment::documents::{AttemptState, Cause, JournalEntry, Payment};
use cartwright_payment::{PaymentProvider, ProviderError, Settings, Standing, open, service};
use cartwright_payment_sandbox::{Effect, LEDGER_FILE, LedgerEntry, Sandbox, read_ledger};
use cartwright_runtime::{Clock, Ids, Tasks, Time};
use cartwright_service::Service;
use cartwright_store::{Bookmark, Database, Envelope, Event, MemoryBackend, Store};
use cartwright_vocabulary::{CartId, Currency, Id, Money, OrderId, PaymentId, RefundId, UserId};
use http_body_util::BodyExt;
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;
use uuid::Uuid;

/// What every order here costs.
pub(crate) fn price() -> Money {
    Money::from_minor(4_999, Currency::USD)
}

pub(crate) fn order(number: u128) -> OrderId {
    Id::new(Uuid::from_u128(number))
}

pub(crate) fn shopper() -> UserId {
    Id::new(Uuid::from_u128(0xa))
}

/// Where a provider fails: at its n-th call, before or after the effect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) place: usize,
    pub(crate) after: bool,
}

/// The sandbox behind a connection that fails once.
pub(crate) struct Flaky {
    sandbox: Sandbox,
    fault: Option<Fault>,
    calls: AtomicUsize,
}

impl Flaky {
    async fn through<T>(&self, call: impl Future<Output = Result<T, ProviderError>>) -> Result<T, ProviderError> {
        let place = self.calls.fetch_add(1, Ordering::SeqCst);
        match self.fault {
            Some(fault) if fault.place == place => {
                if fault.after {
                    call.await?;
                }
                Err(ProviderError::Unknown("the connection was cut".to_owned()))
            }
            _ => call.await,
        }
    }
}

#[async_trait]
impl PaymentProvider for Flaky {
    async fn authorise(&self, key: PaymentId, amount: Money, method: &str) -> Result<Standing, ProviderError> {
        self.through(self.sandbox.authorise(key, amount, method)).await
    }

    async fn ask(&self, key: PaymentId) -> Result<Option<Standing>, ProviderError> {
        self.through(self.sandbox.ask(key)).await
    }

    async fn capture(&self, key: PaymentId, amount: Money) -> Result<Standing, ProviderError> {
        self.through(self.sandbox.capture(key, amount)).await
    }

    async fn void(&self, key: PaymentId) -> Result<Standing, ProviderError> {
        self.through(self.sandbox.void(key)).await
    }

    async fn refund(&self, key: PaymentId, refund: RefundId, amount: Money) -> Result<(), ProviderError> {
        self.through(self.sandbox.refund(key, refund, amount)).await
    }
}

/// Orders as the test says they are.
#[derive(Default)]
pub(crate) struct SaidOrders(Mutex<HashMap<OrderId, (Payable, OrderState)>>);

impl SaidOrders {
    pub(crate) fn say(&self, order: OrderId, awaiting_payment: bool, state: OrderState) {
        let payable = Payable { user: shopper(), amount: price(), awaiting_payment };
        self.0.lock().unwrap().insert(order, (payable, state));
    }
}

#[async_trait]
impl Orders for SaidOrders {
    async fn settle(&self, _cart: CartId, _version: u64) -> Result<Settled, PeerError> {
        Ok(Settled::Abandoned)
    }

    async fn state(&self, order: OrderId) -> Result<Option<OrderState>, PeerError> {
        Ok(self.0.lock().unwrap().get(&order).map(|(_, state)| *state))
    }

    async fn payable(&self, order: OrderId) -> Result<Option<Payable>, PeerError> {
        Ok(self.0.lock().unwrap().get(&order).map(|(payable, _)| payable.clone()))
    }

    async fn facts(&self, _order: OrderId) -> Result<Option<OrderFacts>, PeerError> {
        Ok(None)
    }
}

/// Takes `role:id` for a token.
struct Plain;

impl Verifier for Plain {
    fn verify(&self, token: &str) -> Result<Caller, TokenRefused> {
        let (role, id) = token.split_once(':').ok_or(TokenRefused("not a token"))?;
        let role = match role {
            "admin" => Role::Admin,
            "service" => Role::Service,
            "guest" => Role::Guest,
            _ => Role::Customer,
        };
        Ok(Caller { id: id.to_owned(), role, session: String::new(), expires_at: Time::from_millis(i64::MAX) })
    }
}

/// Everything of one test.
pub(crate) struct Counter {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) orders: Arc<SaidOrders>,
    pub(crate) sandbox: Sandbox,
    pub(crate) provider: Arc<Flaky>,
    backend: MemoryBackend,
    service: Service,
    router: Router,
    tasks: Tasks,
    folder: Arc<TempDir>,
    ids: Ids,
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

impl Counter {
    pub(crate) async fn new() -> Self {
        Self::with(None).await
    }

    pub(crate) async fn with(fault: Option<Fault>) -> Self {
        let clock = Clock::manual(Time::from_millis(1_795_340_000_000));
        let folder = Arc::new(TempDir::new().unwrap());
        Self::on(MemoryBackend::new(), folder, clock, Arc::default(), fault, 1).await
    }

    async fn on(
        backend: MemoryBackend,
        folder: Arc<TempDir>,
        clock: Clock,
        orders: Arc<SaidOrders>,
        fault: Option<Fault>,
        seed: u64,
    ) -> Self {
        let ids = Ids::seeded(clock.clone(), seed);
        let settings = cartwright_payment_sandbox::Settings { cut_after: Duration::ZERO, ..Default::default() };
        let sandbox = Sandbox::open(folder.path(), clock.clone(), settings).unwrap();
        let provider = Arc::new(Flaky { sandbox: sandbox.clone(), fault, calls: AtomicUsize::new(0) });
        let database = Database::new(Arc::new(backend.clone()), clock.clone(), ids.clone());
        let store = open(&database).await.unwrap();
        let (asked, charged): (Arc<dyn Orders>, Arc<dyn PaymentProvider>) = (orders.clone(), provider.clone());
        let service = service(store.clone(), asked, charged, Settings::default(), Broadcast::new());
        let verifier: Arc<dyn Verifier> = Arc::new(Plain);
        let router = service.routes.clone().split_for_parts().0.layer(Extension(verifier));
        let tasks = Tasks::new();
        service.jobs.iter().for_each(|job| job.start(&tasks));
        Self { store, clock, orders, sandbox, provider, backend, service, router, tasks, folder, ids }
    }

    /// The same after a crash: what was committed, and the provider's ledger, are there; nothing else is.
    pub(crate) async fn crash(self) -> Self {
        let backend = self.backend.crash();
        // What was under way at the provider takes effect there, and nobody is left to record it.
        assert!(self.tasks.drain(&self.clock, Duration::from_secs(10)).await);
        Self::on(backend, self.folder.clone(), self.clock.clone(), self.orders.clone(), None, 2).await
    }

    pub(crate) fn calls(&self) -> usize {
        self.provider.calls.load(Ordering::SeqCst)
    }

    pub(crate) async fn deliver<E: Event>(&self, event: &E) {
        let envelope = Envelope {
            specversion: "1.0".to_owned(),
            id: self.ids.uuid().to_string(),
            source: "order".to_owned(),
            name: E::NAME.to_owned(),
            subject: event.subject(),
            time: self.clock.now(),
            datacontenttype: "application/json".to_owned(),
            data: Arc::from(serde_json::value::to_raw_value(event).unwrap()),
            traceparent: None,
        };
        let wanted = self.service.subscriptions.iter().find(|it| it.event() == E::NAME).unwrap();
        wanted.handle(envelope.clone()).await.unwrap();
        wanted.handle(envelope).await.unwrap();
    }

    pub(crate) async fn request(&self, order: OrderId, method: &str) {
        let (user, amount, payment_method) = (shopper(), price(), method.to_owned());
        self.deliver(&PaymentRequested { order, user, amount, payment_method }).await;
    }

    pub(crate) async fn confirm(&self, order: OrderId) {
        let (user, cart) = (shopper(), Id::new(Uuid::from_u128(0xc)));
        self.deliver(&OrderConfirmed { order, user, cart }).await;
    }

    pub(crate) async fn cancel(&self, order: OrderId) {
        let (user, cart, reason) = (shopper(), Id::new(Uuid::from_u128(0xc)), CancelReason::ByCustomer);
        self.deliver(&OrderCancelled { order, user, cart, reason }).await;
    }

    pub(crate) async fn payment(&self, order: OrderId) -> Payment {
        self.store.get::<Payment>(order.to_string()).await.unwrap().unwrap().doc
    }

    /// Drives the clock, only while nobody acts, until `done` holds for the payment.
    pub(crate) async fn until(&self, order: OrderId, done: impl Fn(&Payment) -> bool) -> Payment {
        let watch = self.clock.stopwatch();
        loop {
            let payment = self.payment(order).await;
            if done(&payment) {
                return payment;
            }
            assert!(watch.elapsed() < Duration::from_secs(30), "it never came to that: {payment:#?}");
            self.tick(&payment).await;
        }
    }

    async fn tick(&self, payment: &Payment) {
        if payment.lease.holder.is_none() {
            let wait = payment.lease.due.since(self.clock.now());
            self.clock.advance(wait.max(Duration::from_millis(500)));
        }
        self.clock.pause(Duration::from_millis(1)).await;
    }

    /// Until nothing is left to do by itself: it may still wait for the shopper.
    pub(crate) async fn settle(&self, order: OrderId) -> Payment {
        let waits = |payment: &Payment| {
            let last = payment.attempts.last().is_some_and(|last| last.state == AttemptState::RequiresAction);
            last && !payment.closed && payment.attempts.iter().filter(|it| it.state.is_open()).count() == 1
        };
        self.until(order, |payment| payment.next_step().is_none() || waits(payment)).await
    }

    /// The names of all events so far.
    pub(crate) async fn news(&self) -> Vec<String> {
        use cartwright_store::Backend;
        self.backend
            .unsent(&Bookmark::default(), 10_000)
            .await
            .unwrap()
            .into_iter()
            .map(|(_, event)| event.name)
            .collect()
    }

    pub(crate) async fn count(&self, name: &str) -> usize {
        self.news().await.iter().filter(|it| *it == name).count()
    }

    pub(crate) fn ledger(&self) -> Vec<LedgerEntry> {
        read_ledger(&self.folder.path().join(LEDGER_FILE)).unwrap()
    }

    /// Fails unless the documents, the journal and the provider's own ledger tell one story, and at most one attempt of
    /// the order has money.
    pub(crate) async fn agrees(&self, order: OrderId) {
        let payment = self.payment(order).await;
        let ledger = self.ledger();
        for attempt in &payment.attempts {
            let of = |wanted: fn(&Effect) -> bool| {
                ledger.iter().filter(|it| it.key == attempt.payment && wanted(&it.effect)).count()
            };
            let authorised = of(|it| matches!(it, Effect::Authorised { .. }));
            let captured = of(|it| matches!(it, Effect::Captured { .. }));
            let voided = of(|it| matches!(it, Effect::Voided));
            let expected = match attempt.state {
                AttemptState::Authorized => (1, 0, 0),
                AttemptState::Captured => (1, 1, 0),
                AttemptState::Voided => (1, 0, 1),
                AttemptState::Failed => (0, 0, voided),
                AttemptState::Processing | AttemptState::RequiresAction => (0, 0, 0),
            };
            // What was approved and superseded at the same moment may never have been seen to hold money.
            let unseen = attempt.state == AttemptState::Failed && (authorised, captured, voided) == (1, 0, 1);
            assert!(unseen || (authorised, captured, voided) == expected, "{payment:#?}\n{ledger:#?}");
        }
        let with_money = payment.attempts.iter().filter(|attempt| attempt.state.has_money()).count();
        assert!(with_money <= 1, "{payment:#?}");
        let orphans = ledger.iter().filter(|it| payment.attempt(it.key).is_none()).count();
        assert_eq!(orphans, 0, "{payment:#?}\n{ledger:#?}");
        self.journal_agrees(&payment, &ledger).await;
    }

    async fn journal_agrees(&self, payment: &Payment, ledger: &[LedgerEntry]) {
        let journal = self.store.scan::<JournalEntry>().all().await.unwrap();
        let (mut taken, mut back) = (0, 0);
        for entry in journal.iter().map(|stored| &stored.doc) {
            assert_ne!(entry.debit, entry.credit);
            match entry.cause {
                Cause::Capture { .. } => taken += entry.amount.minor(),
                Cause::Refund { .. } => back += entry.amount.minor(),
            }
        }
        let (mut captured, mut refunded) = (0, 0);
        for entry in ledger {
            match &entry.effect {
                Effect::Captured { amount } => captured += amount.minor(),
                Effect::Refunded { amount, .. } => refunded += amount.minor(),
                Effect::Pending { .. }
                | Effect::ActionRequired { .. }
                | Effect::Authorised { .. }
                | Effect::Declined { .. }
                | Effect::Voided => {}
            }
        }
        assert_eq!((taken, back), (captured, refunded), "{payment:#?}\n{ledger:#?}");
        assert!(back <= taken);
    }

    /// Sends a request and drives the clock while it is answered.
    pub(crate) async fn send(&self, order: OrderId, request: Request<Body>) -> Answer {
        let answering = self.router.clone().oneshot(request);
        tokio::pin!(answering);
        let response = loop {
            tokio::select! {
                biased;
                response = &mut answering => break response.unwrap(),
                () = async {
                    match self.store.get::<Payment>(order.to_string()).await.unwrap() {
                        Some(stored) => self.tick(&stored.doc).await,
                        None => self.clock.pause(Duration::from_millis(1)).await,
                    }
                } => {}
            }
        };
        let status = response.status();
        let replayed = response.headers().contains_key("idempotent-replayed");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Answer { status, replayed, body: serde_json::from_slice(&body).unwrap_or(Value::Null) }
    }

    pub(crate) async fn post(&self, order: OrderId, token: &str, path: &str, body: &Value) -> Answer {
        self.send(order, posting(token, path, body)).await
    }

    pub(crate) async fn get(&self, order: OrderId, token: &str, path: &str) -> Answer {
        let request = Request::get(path).header("authorization", format!("Bearer {token}"));
        self.send(order, request.body(Body::empty()).unwrap()).await
    }
}

pub(crate) fn posting(token: &str, path: &str, body: &Value) -> Request<Body> {
    Request::post(path)
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap()
}

/// An answer of the service.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) replayed: bool,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn is(&self, status: u16, code: &str) {
        assert_eq!((self.status.as_u16(), self.body["code"].as_str()), (status, Some(code)), "{self:?}");
    }
}

//! Notification on the memory engine, with peers and a mail server that a test drives.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use axum::{Extension, Router};
use cartwright_bus::Subscription;
use cartwright_contracts::{Contact, OrderFacts, OrderItem, OrderState, Orders, Payable, PeerError, Settled, Users};
use cartwright_http::{Caller, Role, TokenRefused, Verifier};
use cartwright_notification::{
    KeptMail, Mail, MailError, Mailbox, MailboxError, Mailer, Notification, Settings, Status, open, service,
};
use cartwright_runtime::{Clock, Ids, Tasks, Time};
use cartwright_store::{Database, Envelope, Event, MemoryBackend, Store};
use cartwright_vocabulary::{Address, CartId, Currency, Money, OrderId, ProductId, Quantity, UserId};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;
use uuid::Uuid;

pub(crate) const ORDER: OrderId = OrderId::new(Uuid::from_u128(0x0a));
pub(crate) const ADA: UserId = UserId::new(Uuid::from_u128(0x0b));
pub(crate) const STRANGER: UserId = UserId::new(Uuid::from_u128(0x0c));

/// Who exists, what was ordered, and whether the peers answer.
#[derive(Default)]
pub(crate) struct Peers {
    pub(crate) away: Mutex<bool>,
}

impl Peers {
    fn here(&self) -> Result<(), PeerError> {
        let away = *self.away.lock().unwrap();
        if away { Err(PeerError { peer: "auth", cause: "connection refused".to_owned() }) } else { Ok(()) }
    }
}

#[async_trait]
impl Users for Peers {
    async fn contact(&self, user: UserId) -> Result<Option<Contact>, PeerError> {
        self.here()?;
        let ada = Contact { email: "ada@example.com".parse().unwrap(), name: Some("Ada <Byron>".to_owned()) };
        Ok((user == ADA).then_some(ada))
    }
}

#[async_trait]
impl Orders for Peers {
    async fn settle(&self, _cart: CartId, _version: u64) -> Result<Settled, PeerError> {
        panic!("notification has no business with carts")
    }

    async fn state(&self, _order: OrderId) -> Result<Option<OrderState>, PeerError> {
        panic!("notification has no business with states")
    }

    async fn payable(&self, _order: OrderId) -> Result<Option<Payable>, PeerError> {
        panic!("notification has no business with payments")
    }

    async fn facts(&self, order: OrderId) -> Result<Option<OrderFacts>, PeerError> {
        self.here()?;
        Ok((order == ORDER).then(facts))
    }
}

fn facts() -> OrderFacts {
    let usd = |minor| Money::from_minor(minor, Currency::USD);
    let text = |text: &str| text.to_owned();
    let item = |name: &str, quantity, unit, line| OrderItem {
        product: ProductId::new(Uuid::from_u128(7)),
        name: text(name),
        image: text("/tea.png"),
        quantity: Quantity::new(quantity).unwrap(),
        unit_price: usd(unit),
        price_version: 1,
        line_total: usd(line),
    };
    OrderFacts {
        id: ORDER,
        number: text("CW-1001"),
        user: ADA,
        email: "gifts@example.com".parse().unwrap(),
        shipping_address: Address {
            name: text("Charles"),
            line1: text("12 Dorset Street"),
            line2: None,
            city: text("London"),
            region: None,
            postal_code: text("W1U 6QS"),
            country: text("GB"),
            phone: None,
        },
        items: vec![item("Green tea & honey", 2, 1250, 2500), item("Cup", 1, 999, 999)],
        currency: Currency::USD,
        subtotal: usd(3499),
        discount_total: usd(350),
        shipping: usd(490),
        tax: usd(260),
        total: usd(3899),
        reason: None,
    }
}

/// A mail server that says what a test wants, and takes everything else.
#[derive(Default)]
pub(crate) struct Post {
    pub(crate) mails: Mutex<Vec<Mail>>,
    pub(crate) answers: Mutex<VecDeque<Result<(), MailError>>>,
    /// Ends this store as a crash would when a mail was taken, before anybody hears of it.
    pub(crate) crashes: Mutex<Option<MemoryBackend>>,
    pub(crate) local: bool,
}

#[async_trait]
impl Mailer for Post {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Ok(()));
        if answer.is_ok() {
            self.mails.lock().unwrap().push(mail.clone());
        }
        if let Some(backend) = self.crashes.lock().unwrap().take() {
            drop(backend.crash());
        }
        answer
    }

    fn mailbox(&self) -> Option<&dyn Mailbox> {
        self.local.then_some(self as &dyn Mailbox)
    }
}

#[async_trait]
impl Mailbox for Post {
    async fn mails(&self, limit: usize, after: Option<&str>) -> Result<Vec<KeptMail>, MailboxError> {
        let mails = self.mails.lock().unwrap();
        let kept = mails.iter().rev().map(|mail| KeptMail {
            name: mail.notification.to_string(),
            message_id: mail.message_id.clone(),
            to: mail.to.as_str().to_owned(),
            subject: mail.subject.clone(),
            text: mail.text.clone(),
            date: mail.date,
        });
        let skipped = kept.skip_while(|mail| after.is_some_and(|after| mail.name != after));
        Ok(skipped.skip(usize::from(after.is_some())).take(limit).collect())
    }
}

/// Knows the tokens `admin`, `service` and `customer`.
struct Tokens;

impl Verifier for Tokens {
    fn verify(&self, token: &str) -> Result<Caller, TokenRefused> {
        let role = match token {
            "admin" => Role::Admin,
            "service" => Role::Service,
            "customer" => Role::Customer,
            _ => return Err(TokenRefused("unknown token")),
        };
        let expires_at = Time::from_millis(i64::MAX);
        Ok(Caller { id: token.to_owned(), role, session: "session".to_owned(), expires_at })
    }
}

/// Notification, its peers and its mail server.
pub(crate) struct Desk {
    pub(crate) clock: Clock,
    pub(crate) backend: MemoryBackend,
    pub(crate) store: Store,
    pub(crate) peers: Arc<Peers>,
    pub(crate) post: Arc<Post>,
    subscriptions: Vec<Subscription>,
    router: Router,
    tasks: Tasks,
    ids: Ids,
}

impl Desk {
    pub(crate) async fn new() -> Self {
        Self::on(MemoryBackend::new(), Post::default()).await
    }

    pub(crate) async fn on(backend: MemoryBackend, post: Post) -> Self {
        let clock = Clock::manual("2026-11-22T09:30:00Z".parse().unwrap());
        let ids = Ids::random(clock.clone());
        let database = Database::new(Arc::new(backend.clone()), clock.clone(), ids.clone());
        let store = open(&database).await.unwrap();
        let (peers, post) = (Arc::new(Peers::default()), Arc::new(post));
        let settings = Settings {
            shop_name: "Tea & Cups".to_owned(),
            from: "shop@tea.example".parse().unwrap(),
            base_url: "https://tea.example".to_owned(),
        };
        let (users, orders) = (Arc::clone(&peers), Arc::clone(&peers));
        let service = service(store.clone(), users, orders, Arc::clone(&post) as Arc<dyn Mailer>, settings);
        let tasks = Tasks::new();
        service.jobs.iter().for_each(|job| job.start(&tasks));
        let (router, _) = service.routes.split_for_parts();
        let router = router.layer(Extension(Arc::new(Tokens) as Arc<dyn Verifier>));
        Self { clock, backend, store, peers, post, subscriptions: service.subscriptions, router, tasks, ids }
    }

    /// Delivers `event` as a new event, and then once more as a broker may.
    pub(crate) async fn hear<E: Event>(&self, event: &E) {
        let envelope = Envelope {
            specversion: "1.0".to_owned(),
            id: self.ids.uuid().to_string(),
            source: E::NAME.split('.').next().unwrap().to_owned(),
            name: E::NAME.to_owned(),
            subject: event.subject(),
            time: self.clock.now(),
            datacontenttype: "application/json".to_owned(),
            data: Arc::from(serde_json::value::to_raw_value(event).unwrap()),
            traceparent: None,
        };
        let subscription = self.subscriptions.iter().find(|it| it.event() == E::NAME).unwrap();
        subscription.handle(envelope.clone()).await.unwrap();
        subscription.handle(envelope).await.unwrap();
    }

    pub(crate) async fn notifications(&self) -> Vec<Notification> {
        let all = self.store.find::<Notification>("by-time", Vec::new()).all().await.unwrap();
        all.into_iter().map(|stored| stored.doc).collect()
    }

    pub(crate) fn mails(&self) -> Vec<Mail> {
        self.post.mails.lock().unwrap().clone()
    }

    /// Waits until every message is sent or given up.
    pub(crate) async fn settle(&self) {
        until("every message ended", || async {
            self.notifications().await.iter().all(|message| message.status != Status::Queued)
        })
        .await;
    }

    /// Waits until some message was tried so often.
    pub(crate) async fn tried(&self, attempts: u32) {
        until("a message was tried", || async {
            self.notifications().await.iter().any(|message| message.attempts >= attempts)
        })
        .await;
    }

    /// Sends a request with the token `role` and gives the status and the body.
    pub(crate) async fn call(&self, role: &str, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        self.call_keyed(role, method, path, body, None).await
    }

    pub(crate) async fn call_keyed(
        &self,
        role: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
        key: Option<&str>,
    ) -> (StatusCode, Value) {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {role}"))
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

/// Looks again and again until `holds`, for ten seconds at most.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let clock = Clock::system();
    let watch = clock.stopwatch();
    while !holds().await {
        assert!(watch.elapsed() < Duration::from_secs(10), "waited in vain until {what}");
        clock.pause(Duration::from_millis(2)).await;
    }
}

//! A whole shop in one test, called without a socket between.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, header};
use axum::response::Response;
use cartwright::role::Role;
use cartwright::shop::{Ground, Outside, Settings, Shop, Stores};
use cartwright::verify::{Report, verify};
use cartwright_bus::{Broker, InProcessBroker};
use cartwright_gateway::GatewaySettings;
use cartwright_http::{EdgeSettings, Limits, layers, serve};
use cartwright_mail_smtp::LocalMailbox;
use cartwright_payment_sandbox::{LEDGER_FILE, Sandbox, read_ledger};
use cartwright_runtime::{Clock, Ids, LogFormat, Secret, Tasks, Time};
use cartwright_store::{Backend, Database, MemoryBackend};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tower::ServiceExt as _;

use crate::cluster::{Cluster, Meeting, Plan, open_mongo};
use crate::{EventStream, FaultyBackend, FaultyProvider, HostileBroker, Reply};

/// How much shop time [`TestShop::settle`] lets pass at most.
const SETTLE_WITHIN: Duration = Duration::from_secs(30 * 60);
/// How much shop time passes at once where nothing moves.
const STEP: Duration = Duration::from_secs(5);
const ADMIN_PASSWORD: &str = "correct horse battery";
/// Real time without a commit after which nothing moves in one process.
const STILL: Duration = Duration::from_millis(15);
/// The same where steps travel between processes.
const STILL_BETWEEN: Duration = Duration::from_millis(120);

/// Which store engine a shop stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// The memory backend.
    Memory,
    /// SQLite on a file of the test's own.
    Sqlite,
    /// A real MongoDB, with databases of the test's own.
    Mongo,
}

/// Of how many parts a shop is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parts {
    /// One process.
    One,
    /// Two of each service and a gateway, over RabbitMQ and mutual TLS.
    Many,
}

/// What a shop is built of.
#[derive(Clone, Copy, Debug)]
pub struct TestShopBuilder {
    engine: Engine,
    parts: Parts,
    seed: u64,
    hostile: bool,
    over_http: bool,
}

impl TestShopBuilder {
    /// Requests go over a socket, through the accept loop that a real shop has.
    #[must_use]
    pub const fn over_http(mut self) -> Self {
        self.over_http = true;
        self
    }

    /// Another store engine, in one process.
    #[must_use]
    pub const fn on(mut self, engine: Engine) -> Self {
        self.engine = engine;
        self.parts = Parts::One;
        self
    }

    /// Events arrive late, twice and in an order that `seed` decides.
    #[must_use]
    pub const fn with_hostile_events(mut self, seed: u64) -> Self {
        self.seed = seed;
        self.hostile = true;
        self
    }

    /// Starts the shop.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(self) -> TestShop {
        if let Ok(log) = std::env::var("CARTWRIGHT_LOG") {
            cartwright_runtime::start_telemetry(LogFormat::Text, &log);
        }
        let clock = Clock::manual(Time::from_millis(1_795_000_000_000));
        let kept = match self.engine {
            Engine::Memory | Engine::Sqlite => None,
            Engine::Mongo => Some(meeting(self.parts).await),
        };
        let left = Left {
            memory: MemoryBackend::new(),
            folder: TempDir::new().expect("a temporary folder can be made"),
            kept,
            clock,
        };
        self.start_on(left).await
    }

    /// Starts the shop on what an earlier one left.
    async fn start_on(self, left: Left) -> TestShop {
        let (tasks, clock, folder) = (Tasks::new(), left.clock.clone(), left.folder.path());
        let ids = Ids::seeded(clock.clone(), self.seed);
        let backend = FaultyBackend::new(self.open(&left, &tasks).await);
        let sandbox = Sandbox::open(folder, clock.clone(), Default::default()).expect("the ledger can be opened");
        let provider = FaultyProvider::new(Arc::new(sandbox.clone()), &backend);
        let mailbox = LocalMailbox::new(folder.join("mailbox")).expect("a mailbox can be made");
        let outside = Outside { provider: Arc::new(provider.clone()), mailer: Arc::new(mailbox) };
        let hostile = self.hostile.then(|| HostileBroker::start(self.seed, &tasks));
        let broker: Option<Arc<dyn Broker>> = hostile.clone().map(|broker| Arc::new(broker) as Arc<dyn Broker>);
        let ground =
            Ground { backend: Arc::new(backend.clone()), clock: clock.clone(), ids: ids.clone(), tasks: tasks.clone() };
        let (parts, router, brokers) = match (&left.kept, self.parts) {
            (Some(meeting), Parts::Many) => {
                let (settings, page) = (&settings(), sandbox.routes());
                let (clock, tasks, outside, backend) = (&clock, &tasks, &outside, &backend);
                let plan = Plan {
                    meeting,
                    clock,
                    tasks,
                    seed: self.seed,
                    outside,
                    settings,
                    folder,
                    broker,
                    backend,
                    page,
                    upstreams: Mutex::default(),
                };
                let Cluster { parts, router, brokers } = Cluster::start(plan).await;
                (parts, router, brokers)
            }
            (None | Some(_), Parts::One | Parts::Many) => {
                let broker = broker.unwrap_or_else(|| Arc::new(InProcessBroker::new(tasks.clone())));
                let (shop, router) = whole(ground, outside, &broker, &sandbox).await;
                (vec![shop], router, vec![broker])
            }
        };
        let edge = EdgeSettings { waits: cartwright::shop::waits, ..EdgeSettings::new(clock.clone(), ids.clone()) };
        let router = layers(router, edge);
        let database = Database::new(Arc::new(backend.clone()), clock.clone(), ids);
        let stores = Stores::open(&database, &settings()).await.expect("the stores can be opened");
        make_admin(&parts).await;
        let socket = if self.over_http { Some(Socket::open(router.clone(), &clock, &tasks).await) } else { None };
        let mut test = TestShop {
            kind: self,
            router,
            socket,
            stores,
            brokers,
            _parts: parts,
            clock,
            tasks,
            backend,
            provider,
            hostile,
            left: Some(left),
            admin: String::new(),
        };
        test.admin = test.log_in("admin@example.com", ADMIN_PASSWORD).await;
        test
    }

    async fn open(self, left: &Left, tasks: &Tasks) -> Arc<dyn Backend> {
        match (self.engine, &left.kept) {
            (Engine::Mongo, Some(meeting)) => open_mongo(&meeting.mongodb_uri, &left.clock, tasks).await,
            (Engine::Sqlite, _) => {
                let path = left.folder.path().join("shop.db");
                let opened =
                    cartwright_store_sqlite::SqliteBackend::open(&path, left.clock.clone(), Default::default());
                Arc::new(opened.expect("the file can be opened"))
            }
            (Engine::Memory | Engine::Mongo, _) => Arc::new(left.memory.clone()),
        }
    }
}

/// What a shop leaves behind.
struct Left {
    memory: MemoryBackend,
    folder: TempDir,
    kept: Option<Meeting>,
    clock: Clock,
}

/// Databases and a broker's names that no other test has.
async fn meeting(parts: Parts) -> Meeting {
    let name = format!("spec{}", uuid_like());
    let uri = cartwright_servers::mongo::shared().await;
    let amqp_url = match parts {
        Parts::One => String::new(),
        Parts::Many => cartwright_servers::rabbitmq::shared().await,
    };
    Meeting { mongodb_uri: uri.replacen("/?", &format!("/{name}?"), 1), amqp_url, prefix: name }
}

fn uuid_like() -> String {
    Ids::random(Clock::system()).uuid().simple().to_string()
}

/// A whole shop in one process.
async fn whole(ground: Ground, outside: Outside, broker: &Arc<dyn Broker>, sandbox: &Sandbox) -> (Shop, Router) {
    let about = GatewaySettings { shop: "Test shop".to_owned(), version: "0".to_owned(), clock: ground.clock.clone() };
    let mut shop = Shop::assemble(ground, outside, settings()).await.expect("the shop can be put together");
    shop.start_on(Arc::clone(broker)).await.expect("the shop can be started");
    let gateway = shop.take_gateway(&about).expect("the routes fit together");
    let router = gateway.router.nest("/payment", sandbox.routes());
    (shop, router)
}

async fn make_admin(parts: &[Shop]) {
    let email = "admin@example.com".parse().expect("an address");
    let password = Secret::new(ADMIN_PASSWORD.to_owned());
    let auth = parts.iter().find_map(Shop::auth).expect("auth runs somewhere");
    auth.create_admin(&email, &password).await.expect("an admin can be made");
}

fn settings() -> Settings {
    let currency = cartwright_vocabulary::Currency::USD;
    let cheap = cartwright_auth::Hashing { memory_kib: 8, passes: 1, ..Default::default() };
    Settings {
        auth: cartwright_auth::Settings {
            hashing: cheap,
            exempt_loopback: true,
            // Tests let hours pass.
            jwt_expires_in: Duration::from_secs(7 * 24 * 3600),
            ..Default::default()
        },
        // What was changed is seen by the next request, whichever process answers it.
        product: cartwright_product::Settings { index_dir: None, currency, fresh_for: Duration::ZERO },
        inventory: Default::default(),
        payment: Default::default(),
        order: cartwright_order::Settings { currency, ..Default::default() },
        notification: cartwright_notification::Settings {
            shop_name: "Test shop".to_owned(),
            from: "shop@example.com".parse().expect("an address"),
            base_url: "http://localhost:3001".to_owned(),
        },
    }
}

/// A running shop.
pub struct TestShop {
    kind: TestShopBuilder,
    router: Router,
    socket: Option<Socket>,
    stores: Stores,
    brokers: Vec<Arc<dyn Broker>>,
    /// Lives as long as the shop does.
    _parts: Vec<Shop>,
    clock: Clock,
    tasks: Tasks,
    backend: FaultyBackend,
    provider: FaultyProvider,
    hostile: Option<HostileBroker>,
    left: Option<Left>,
    admin: String,
}

/// The shop's address on loopback, and a client of it.
struct Socket {
    base: String,
    client: reqwest::Client,
}

impl Socket {
    async fn open(router: Router, clock: &Clock, tasks: &Tasks) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let base = format!("http://{}", listener.local_addr().expect("a bound listener has an address"));
        let limits = Limits { loopback_exempt: true, ..Limits::default() };
        let (clock, stopping) = (clock.clone(), tasks.clone());
        tasks.spawn(async move {
            serve(listener, router, limits, clock, stopping).await;
        });
        Self { base, client: reqwest::Client::new() }
    }

    async fn answer_to(&self, request: Request<Body>) -> Response {
        let (mut parts, body) = request.into_parts();
        parts.headers.remove(header::HOST);
        let body = body.collect().await.expect("a whole body").to_bytes();
        let request = self.client.request(parts.method, format!("{}{}", self.base, parts.uri)).headers(parts.headers);
        let answer = request.body(body).send().await.expect("the shop answers");
        let mut response = Response::new(Body::empty());
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        *response.body_mut() = Body::from_stream(answer.bytes_stream());
        response
    }
}

impl Drop for TestShop {
    fn drop(&mut self) {
        self.tasks.stop();
        if let Some(meeting) = self.left.as_mut().and_then(|left| left.kept.take()) {
            meeting.forget();
        }
    }
}

impl TestShop {
    /// A shop on the memory store with well-behaved events.
    pub async fn new() -> Self {
        Self::builder().start().await
    }

    /// A shop of another kind.
    ///
    /// The variable `CARTWRIGHT_SPECS` says what it stands on where the test does not: `memory`, `sqlite`, `mongodb`, or
    /// `cluster`, which is MongoDB and RabbitMQ with two of each service.
    ///
    /// # Panics
    /// When it says something else.
    pub fn builder() -> TestShopBuilder {
        let said = std::env::var("CARTWRIGHT_SPECS").unwrap_or_default();
        let (engine, parts) = match said.as_str() {
            "" | "memory" => (Engine::Memory, Parts::One),
            "sqlite" => (Engine::Sqlite, Parts::One),
            "mongodb" => (Engine::Mongo, Parts::One),
            "cluster" => (Engine::Mongo, Parts::Many),
            other => panic!("CARTWRIGHT_SPECS is {other}; it may be memory, sqlite, mongodb or cluster"),
        };
        TestShopBuilder { engine, parts, seed: 1, hostile: false, over_http: false }
    }

    /// The store, to let it fail.
    pub const fn backend(&self) -> &FaultyBackend {
        &self.backend
    }

    /// The provider, to let it fail.
    pub const fn provider(&self) -> &FaultyProvider {
        &self.provider
    }

    /// An admin's token.
    pub fn admin(&self) -> &str {
        &self.admin
    }

    /// Lets shop time pass.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Sends a request with headers.
    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<String>) -> Reply {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        self.reply_to(request.body(Body::from(body.unwrap_or_default())).expect("a request")).await
    }

    /// Sends any request; gives the answer with its body unread.
    ///
    /// # Panics
    /// When it goes over a socket and the connection breaks; the router itself answers everything.
    pub async fn answer_to(&self, request: Request<Body>) -> Response {
        if let Some(socket) = &self.socket {
            return socket.answer_to(request).await;
        }
        self.router.clone().oneshot(request).await.expect("the router does not fail")
    }

    /// Sends any request.
    ///
    /// # Panics
    /// When the answer breaks off.
    pub async fn reply_to(&self, request: Request<Body>) -> Reply {
        let response = self.answer_to(request).await;
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
        let headers = headers.collect();
        let body = response.into_body().collect().await.expect("a whole body").to_bytes();
        Reply { status, headers, body: serde_json::from_slice(&body).unwrap_or(Value::Null) }
    }

    /// Sends a request with a token.
    pub async fn call(&self, method: Method, path: &str, token: &str, body: Option<Value>) -> Reply {
        let bearer = format!("Bearer {token}");
        self.send(method, path, &[("authorization", &bearer)], body.map(|body| body.to_string())).await
    }

    /// Sends a GET.
    pub async fn get(&self, path: &str, token: &str) -> Reply {
        self.call(Method::GET, path, token, None).await
    }

    /// Opens a stream of events.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn events(&self, path: &str, token: &str) -> EventStream {
        let request = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {token}"));
        let response = self.answer_to(request.body(Body::empty()).expect("a request")).await;
        assert_eq!(response.status().as_u16(), 200, "{path}");
        EventStream::new(response.into_body())
    }

    /// Sends a POST.
    pub async fn post(&self, path: &str, token: &str, body: Value) -> Reply {
        self.call(Method::POST, path, token, Some(body)).await
    }

    async fn log_in(&self, email: &str, password: &str) -> String {
        let reply = self.send(
            Method::POST,
            "/auth/login",
            &[],
            Some(json!({"email": email, "password": password}).to_string()),
        );
        text(&reply.await.expect(200)["token"])
    }

    /// Puts a product on sale with `stock` units of it; gives its id.
    pub async fn product(&self, sku: &str, price: &str, stock: u32) -> String {
        let price: Value = serde_json::from_str(price).expect("a number");
        let product = json!({
            "sku": sku, "name": format!("Product {sku}"), "description": "", "price": price, "currency": "USD",
            "category": "things", "status": "active", "image": "/pictures/thing.svg",
        });
        let id = text(&self.post("/product/products", &self.admin, product).await.expect(201)["_id"]);
        self.settle().await;
        self.stock(&id, stock).await;
        id
    }

    /// Sets how many units of a product are on the shelf.
    pub async fn stock(&self, product: &str, on_hand: u32) {
        let body = json!({"productId": product, "onHand": on_hand, "reason": "counted"});
        self.post("/inventory/update-inventory", &self.admin, body).await.expect(200);
    }

    /// What a new order can still get of a product, and how many are held.
    pub async fn available(&self, product: &str) -> (u64, u64) {
        let reply = self.get(&format!("/inventory/check-stock?productId={product}"), &self.admin).await.expect(200);
        let item = &reply["items"][0];
        (item["available"].as_u64().unwrap_or(0), item["reserved"].as_u64().unwrap_or(0))
    }

    /// A new registered shopper.
    pub async fn shopper(&self, name: &str) -> Shopper<'_> {
        let body = json!({"email": format!("{name}@example.com"), "password": "a fine password 7", "name": name});
        let reply = self.send(Method::POST, "/auth/register", &[], Some(body.to_string())).await.expect(201);
        Shopper { shop: self, id: text(&reply["user"]["id"]), token: text(&reply["token"]) }
    }

    /// A new guest.
    pub async fn guest(&self) -> Shopper<'_> {
        let reply = self.send(Method::POST, "/auth/guest", &[], None).await.expect(201);
        Shopper { shop: self, id: text(&reply["userId"]), token: text(&reply["token"]) }
    }

    /// Somebody who has a token already, for example from before a restart.
    pub fn returning(&self, id: &str, token: &str) -> Shopper<'_> {
        Shopper { shop: self, id: id.to_owned(), token: token.to_owned() }
    }

    /// Checks the invariants now.
    ///
    /// # Panics
    /// When the store cannot be read.
    pub async fn verify(&self) -> Report {
        let ledger = read_ledger(&self.folder().join(LEDGER_FILE)).expect("the ledger can be read");
        let mut report = verify(&self.stores, &self.backend, Some(self.clock.now()), Some(ledger))
            .await
            .expect("the stores can be read");
        report.quiet &= self.nothing_waits().await;
        report
    }

    /// Whether the brokers have delivered everything.
    async fn nothing_waits(&self) -> bool {
        let Some(broker) = self.brokers.first() else { return true };
        for role in Role::consumers() {
            if broker.lag(role.name()).await.expect("the broker tells") > 0 {
                return false;
            }
        }
        true
    }

    /// Runs the shop until it is at rest, letting time pass where it waits for it, and checks every invariant.
    ///
    /// # Panics
    /// When it does not come to rest within half an hour of its time, or an invariant is broken.
    pub async fn settle(&self) {
        let start = self.clock.now();
        loop {
            self.stand_still().await;
            let report = self.verify().await;
            if report.quiet && report.violations.is_empty() {
                return;
            }
            if self.clock.now().since(start) > SETTLE_WITHIN {
                let violations: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
                panic!("not at rest after half an hour ({:?}):\n{}", report.read, violations.join("\n"));
            }
            self.clock.advance(STEP);
        }
    }

    /// Waits until nothing was committed for a moment and no event is on its way.
    pub async fn stand_still(&self) {
        let real = Clock::system();
        loop {
            let before = self.backend.commits();
            real.pause(if self.kind.parts == Parts::One { STILL } else { STILL_BETWEEN }).await;
            let idle = self.hostile.as_ref().is_none_or(HostileBroker::is_idle);
            if idle && before == self.backend.commits() {
                return;
            }
        }
    }

    /// The mails in the local mailbox whose subject holds `word`, as they were written.
    ///
    /// # Panics
    /// When the mailbox cannot be read.
    pub async fn mails(&self, word: &str) -> Vec<Value> {
        let reply = self.get("/notification/admin/mailbox?limit=100", &self.admin).await.expect(200);
        let items = reply["items"].as_array().cloned().unwrap_or_default();
        items
            .into_iter()
            .filter(|mail| mail["subject"].as_str().is_some_and(|subject| subject.contains(word)))
            .collect()
    }

    /// Ends all processes as a crash would and starts the shop again on what was committed. Not on SQLite, whose file is still
    /// open then.
    ///
    /// # Panics
    /// When it does not start again.
    pub async fn restart(mut self) -> Self {
        self.tasks.stop();
        let mut left = self.left.take().expect("a running shop has its folder");
        left.memory = left.memory.crash();
        // Seeded identifiers must not come again.
        let kind = TestShopBuilder { seed: self.kind.seed + 1000, ..self.kind };
        kind.start_on(left).await
    }

    /// Where the shop keeps its files: the store's, where it stands on one, the mailbox and the sandbox's ledger.
    ///
    /// # Panics
    /// Never.
    pub fn folder(&self) -> &std::path::Path {
        self.left.as_ref().expect("a running shop has its folder").folder.path()
    }

    /// Every role's documents.
    pub fn store(&self, role: Role) -> &cartwright_store::Store {
        self.stores.of(role)
    }
}

/// Somebody who shops.
#[derive(Clone)]
pub struct Shopper<'a> {
    shop: &'a TestShop,
    /// Their id.
    pub id: String,
    /// Their token.
    pub token: String,
}

impl Shopper<'_> {
    /// Adds units of a product to the cart.
    pub async fn add(&self, product: &str, quantity: u32) -> Reply {
        self.shop.post("/cart/add-to-cart", &self.token, json!({"productId": product, "quantity": quantity})).await
    }

    /// The cart.
    pub async fn cart(&self) -> Value {
        self.shop.get(&format!("/cart/get-cart/{}", self.id), &self.token).await.expect(200)
    }

    /// What an order of the cart says, paid with `method`.
    pub fn order_body(&self, method: &str) -> Value {
        let address =
            json!({"name": "Ada", "line1": "1 Main St", "city": "Springfield", "postalCode": "12345", "country": "US"});
        json!({"shippingAddress": address, "shippingMethod": "standard", "paymentMethod": method, "email": "ada@example.com"})
    }

    /// Orders the cart, paid with `method`.
    pub async fn order(&self, method: &str) -> Reply {
        self.shop.post("/order/create-order", &self.token, self.order_body(method)).await
    }

    /// Orders the cart under a key.
    pub async fn order_with_key(&self, key: &str, body: &Value) -> Reply {
        let bearer = format!("Bearer {}", self.token);
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
        self.shop.send(Method::POST, "/order/create-order", &headers, Some(body.to_string())).await
    }

    /// The order as it is now.
    pub async fn order_now(&self, order: &str) -> Value {
        self.shop.get(&format!("/order/{order}"), &self.token).await.expect(200)
    }

    /// All orders, newest first.
    pub async fn orders(&self) -> Vec<Value> {
        let reply = self.shop.get(&format!("/orders/{}", self.id), &self.token).await.expect(200);
        reply["items"].as_array().cloned().unwrap_or_default()
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

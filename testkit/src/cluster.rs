//! A shop of many parts in one test: two of each service, each with a store handle, a broker connection and sockets of its
//! own, behind a gateway. They share a clock, so that a test drives all of them, and nothing else that processes would not.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use cartwright::callers::{self, GATEWAY};
use cartwright::role::Role;
use cartwright::shop::{Ground, Outside, Part, Settings, Shop, waits};
use cartwright_bus::{Backlog, Broker};
use cartwright_bus_rabbitmq::RabbitBroker;
use cartwright_contracts::over_http::Line;
use cartwright_gateway::{GatewaySettings, Proxied, gateway};
use cartwright_http::{EdgeSettings, Forwarder, Limits, Tls, layers, permit, serve_tls, trust_forwarded};
use cartwright_runtime::{Clock, Ids, Secret, Tasks};
use cartwright_store::Backend;
use cartwright_store_mongo::{MongoBackend, Target};
use cartwright_tls::{Authority, Identity, IdentityFiles, service_named_in};
use cartwright_upstream::{Options, Targets, Upstream};
use futures::future::join_all;
use tokio::net::TcpListener;

use crate::FaultyBackend;

/// How many of each service there are.
const EACH: usize = 2;

/// Where the servers are that the parts meet on.
pub(crate) struct Meeting {
    /// MongoDB, with a database name of this test alone.
    pub(crate) mongodb_uri: String,
    /// RabbitMQ.
    pub(crate) amqp_url: String,
    /// What the names of this test begin with at the broker.
    pub(crate) prefix: String,
}

impl Meeting {
    /// Drops the databases, so that a long run of tests does not fill the server. A test's own runtime may be ending, so this
    /// is done on another one; what cannot be dropped goes when the server does.
    pub(crate) fn forget(self) {
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let dropped = runtime.block_on(cartwright_servers::mongo::drop_databases(&self.mongodb_uri, &self.prefix));
            dropped.map_err(std::io::Error::other)
        });
        if let Ok(Err(error)) = dropped.join() {
            eprintln!("the test's databases were not dropped: {error}");
        }
    }
}

/// What all parts are made of.
pub(crate) struct Plan<'a> {
    pub(crate) meeting: &'a Meeting,
    pub(crate) clock: &'a Clock,
    pub(crate) tasks: &'a Tasks,
    pub(crate) seed: u64,
    pub(crate) outside: &'a Outside,
    pub(crate) settings: &'a Settings,
    pub(crate) folder: &'a std::path::Path,
    /// A broker for all parts instead of a connection each, where a test decides how events travel.
    pub(crate) broker: Option<Arc<dyn Broker>>,
    /// Beside which the stores of the parts stand: they count and fail together.
    pub(crate) backend: &'a FaultyBackend,
    /// Payment's hosted page.
    pub(crate) page: Router,
    /// Ways between the parts, to be watched once all parts answer.
    pub(crate) upstreams: Mutex<Vec<Upstream>>,
}

/// The running parts.
pub(crate) struct Cluster {
    /// All parts, so that one that runs auth can be asked to make an admin.
    pub(crate) parts: Vec<Shop>,
    /// What the gateway answers.
    pub(crate) router: Router,
    /// The brokers' connections, to ask for what waits.
    pub(crate) brokers: Vec<Arc<dyn Broker>>,
}

/// The sockets of one instance.
struct Place {
    role: Role,
    public: TcpListener,
    peers: TcpListener,
}

/// An own handle on the test's databases.
pub(crate) async fn open_mongo(uri: &str, clock: &Clock, tasks: &Tasks) -> Arc<dyn Backend> {
    let target = Target { uri: Secret::new(uri.to_owned()), overrides: Vec::new() };
    let opened = MongoBackend::open(target, clock.clone(), tasks.clone(), Default::default()).await;
    Arc::new(opened.expect("the test's MongoDB can be opened"))
}

impl Cluster {
    /// Starts every part.
    pub(crate) async fn start(plan: Plan<'_>) -> Self {
        let authority = Authority::open_or_create(plan.folder, plan.clock).expect("an authority can be made");
        for name in Role::ALL.iter().map(|role| role.name()).chain([GATEWAY]) {
            authority.issue(name, Duration::from_secs(30 * 24 * 3600)).expect("a certificate can be made");
        }
        let mut places = Vec::new();
        for role in Role::ALL {
            for _ in 0..EACH {
                places.push(Place { role, public: listener().await, peers: listener().await });
            }
        }
        let addresses: Vec<(Role, String, String)> =
            places.iter().map(|place| (place.role, url(&place.public), url(&place.peers))).collect();
        // Auth first: the others ask it before they serve anybody.
        let (auth, others): (Vec<_>, Vec<_>) =
            places.into_iter().enumerate().partition(|(_, place)| place.role == Role::Auth);
        let mut started = join_all(auth.into_iter().map(|(number, place)| plan.part(number, place, &addresses))).await;
        started.extend(join_all(others.into_iter().map(|(number, place)| plan.part(number, place, &addresses))).await);
        let (parts, brokers) = started.into_iter().unzip();
        let router = plan.gateway(&addresses);
        plan.upstreams
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .for_each(|upstream| upstream.start(plan.tasks));
        Self { parts, brokers, router }
    }
}

impl Plan<'_> {
    async fn part(
        &self,
        number: usize,
        Place { role, public, peers }: Place,
        addresses: &[(Role, String, String)],
    ) -> (Shop, Arc<dyn Broker>) {
        let (clock, tasks) = (self.clock, self.tasks);
        let identity = self.identity(role.name());
        let ids = Ids::seeded(clock.clone(), self.seed * 1000 + u64::try_from(number).unwrap_or(0));
        let own = open_mongo(&self.meeting.mongodb_uri, clock, tasks).await;
        let ground = Ground {
            backend: Arc::new(self.backend.beside(own)),
            clock: clock.clone(),
            ids: ids.clone(),
            tasks: tasks.clone(),
        };
        let rabbit = cartwright_bus_rabbitmq::Settings {
            url: Secret::new(self.meeting.amqp_url.clone()),
            prefix: self.meeting.prefix.clone(),
            authority: None,
        };
        let rabbit = RabbitBroker::open(rabbit, clock.clone(), tasks.clone()).await;
        let rabbit = rabbit.expect("the test's RabbitMQ can be reached");
        let wire = Arc::new(rabbit.wire());
        let broker = self.broker.clone().unwrap_or_else(|| Arc::new(rabbit));
        let lines = Role::ALL.into_iter().filter(|other| *other != role).map(|other| {
            let targets = addresses.iter().filter(|(it, ..)| *it == other).map(|(_, _, peers)| peers.as_str());
            let upstream = self.upstream(other, &targets.collect::<Vec<_>>().join(","), &identity, &ids);
            (other, Arc::new(cartwright::neighbours::PeerLine(upstream)) as Arc<dyn Line>)
        });
        let part = Part { roles: vec![role], lines: lines.collect(), wire: Some(wire), backlog: Backlog::default() };
        let shop = Shop::assemble_part(ground, self.outside.clone(), self.settings.clone(), part).await;
        let mut shop = shop.expect("a part can be put together");
        shop.start_on(Arc::clone(&broker)).await.expect("a part can be started");
        let mut routes = shop.take_routes(role);
        if role == Role::Payment {
            routes = routes.merge(self.page.clone());
        }
        self.serve(public, permit(routes, callers::of_public_routes()), &identity, &ids);
        self.serve(peers, permit(shop.peer_routes(role), callers::of_peer_routes()), &identity, &ids);
        (shop, broker)
    }

    fn identity(&self, name: &str) -> Arc<Identity> {
        Identity::load(IdentityFiles::in_folder(self.folder, name), self.clock).expect("a certificate can be loaded")
    }

    fn upstream(&self, role: Role, targets: &str, identity: &Identity, ids: &Ids) -> Upstream {
        let targets = Targets::parse(targets).expect("addresses of this machine");
        let tls = Some(identity.client_config(role.name()));
        let (clock, ids) = (self.clock.clone(), ids.clone());
        // Fifteen parts of one test process that ask each other every second would do little else.
        let options = Options { probe_every_ms: 3_000, ..Options::default() };
        let upstream = Upstream::new(role.name(), targets, options, tls, clock, ids);
        let upstream = upstream.expect("TLS is there");
        self.upstreams.lock().unwrap_or_else(PoisonError::into_inner).push(upstream.clone());
        upstream
    }

    fn serve(&self, listener: TcpListener, router: Router, identity: &Identity, ids: &Ids) {
        let router = trust_forwarded(router, Forwarder::Peer(GATEWAY.to_owned()));
        let edge = EdgeSettings { waits, ..EdgeSettings::new(self.clock.clone(), ids.clone()) };
        let tls = Tls::mutual(identity.server_config(), service_named_in);
        let limits = Limits { loopback_exempt: true, ..Limits::default() };
        let (clock, stopping) = (self.clock.clone(), self.tasks.clone());
        self.tasks.spawn(async move {
            serve_tls(listener, layers(router, edge), tls, limits, clock, stopping).await;
        });
    }

    fn gateway(&self, addresses: &[(Role, String, String)]) -> Router {
        let identity = self.identity(GATEWAY);
        let ids = Ids::seeded(self.clock.clone(), self.seed * 1000 + 999);
        let services = Role::ALL.map(|role| {
            let targets = addresses.iter().filter(|(it, ..)| *it == role).map(|(_, public, _)| public.as_str());
            Proxied::new(self.upstream(role, &targets.collect::<Vec<_>>().join(","), &identity, &ids), waits)
        });
        let about =
            GatewaySettings { shop: "Test shop".to_owned(), version: "0".to_owned(), clock: self.clock.clone() };
        gateway(services.into(), &about).expect("seven services of different names").router
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port")
}

fn url(listener: &TcpListener) -> String {
    format!("https://{}", listener.local_addr().expect("a bound listener has an address"))
}

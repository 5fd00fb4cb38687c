//! The shop, or the part of it that runs in one process: stores, peers, services, bus and gateway, put together in this
//! order.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::Router;
use cartwright_auth::{Auth, AuthError, TokenChecker};
use cartwright_bus::{Backlog, Broadcast, Broker, InProcessBroker, Relay, Subscription, Wire};
use cartwright_cart::Peers as CartPeers;
use cartwright_contracts::over_http::{self, Line, Remote};
use cartwright_contracts::{Carts, Catalogue, Orders, Stock, TokenGuard, Users};
use cartwright_gateway::{Gateway, GatewayError, GatewaySettings, Mounted, gateway};
use cartwright_http::{Leaving, Verifier, health};
use cartwright_notification::Mailer;
use cartwright_payment::PaymentProvider;
use cartwright_runtime::{Clock, Ids, Tasks};
use cartwright_service::{Job, Service};
use cartwright_store::{Backend, Database, Store, StoreError, be_at_work, forget_old};
use utoipa_axum::router::OpenApiRouter;

use crate::role::Role;

/// How often each role forgets what is too old to be asked for.
const FORGET_EVERY: Duration = Duration::from_secs(600);
/// How often each role says that somebody is at work.
const PRESENT_EVERY: Duration = Duration::from_secs(3);
/// How long a process without auth waits for it at the start.
const AUTH_WITHIN: Duration = Duration::from_secs(60);
/// How often it asks meanwhile.
const AUTH_ASKED_EVERY: Duration = Duration::from_millis(100);

/// What the shop's owner decides about each service.
#[derive(Clone)]
pub struct Settings {
    /// Accounts and tokens.
    pub auth: cartwright_auth::Settings,
    /// Catalogue and search.
    pub product: cartwright_product::Settings,
    /// Stock.
    pub inventory: cartwright_inventory::Settings,
    /// Payments.
    pub payment: cartwright_payment::Settings,
    /// Orders; also the shop's currency.
    pub order: cartwright_order::Settings,
    /// Messages.
    pub notification: cartwright_notification::Settings,
}

/// What the shop stands on: engine, time, chance.
#[derive(Clone)]
pub struct Ground {
    /// Where documents are kept.
    pub backend: Arc<dyn Backend>,
    /// The time.
    pub clock: Clock,
    /// Identifiers.
    pub ids: Ids,
    /// Background work.
    pub tasks: Tasks,
}

/// Who the shop deals with outside.
#[derive(Clone)]
pub struct Outside {
    /// Who moves the money.
    pub provider: Arc<dyn PaymentProvider>,
    /// Who delivers mail.
    pub mailer: Arc<dyn Mailer>,
}

/// Why the shop did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Accounts and tokens.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// Catalogue and search.
    #[error(transparent)]
    Product(#[from] cartwright_product::IndexError),
    /// The bus.
    #[error(transparent)]
    Bus(#[from] cartwright_bus::BrokerError),
    /// The gateway.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// A role of this process asks another one, and nobody said where that is.
    #[error(
        "{role} does not run in this process and is needed by what does: set {} to where it answers, or let it run here too",
        role.url_setting().to_ascii_uppercase()
    )]
    NoPeer {
        /// The one that is asked.
        role: Role,
    },
}

/// Each role's part of the database, for the roles of this process.
#[derive(Clone)]
pub struct Stores(Vec<(Role, Store)>);

impl Stores {
    /// Opens every role's part.
    ///
    /// # Errors
    /// When a collection cannot be prepared.
    pub async fn open(database: &Database, settings: &Settings) -> Result<Self, StoreError> {
        Self::open_of(&Role::ALL, database, settings).await
    }

    async fn open_of(roles: &[Role], database: &Database, settings: &Settings) -> Result<Self, StoreError> {
        let mut stores = Vec::new();
        for role in roles {
            stores.push((*role, role.open(database, settings).await?));
        }
        Ok(Self(stores))
    }

    /// The part of `role`, where it is of this process.
    pub fn get(&self, role: Role) -> Option<&Store> {
        self.0.iter().find(|(it, _)| *it == role).map(|(_, store)| store)
    }

    /// The part of `role`, which is of this process.
    ///
    /// # Panics
    /// When it is not.
    #[expect(clippy::expect_used, reason = "whoever asks has opened it")]
    pub fn of(&self, role: Role) -> &Store {
        self.get(role).expect("a role's part is opened before it is used")
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Store> {
        self.0.iter().map(|(_, store)| store)
    }
}

/// What of the shop runs in a process, and how it reaches the rest.
#[derive(Clone, Default)]
pub struct Part {
    /// The roles that run here; all of them where none is named.
    pub roles: Vec<Role>,
    /// The ways to the others.
    pub lines: Vec<(Role, Arc<dyn Line>)>,
    /// What carries hints to other processes, where there are any.
    pub wire: Option<Arc<dyn Wire>>,
    /// How many events may wait for the broker.
    pub backlog: Backlog,
}

impl Part {
    fn roles(&self) -> Vec<Role> {
        if self.roles.is_empty() { Role::ALL.to_vec() } else { self.roles.clone() }
    }
}

/// How the services ask each other: in this process, or another one.
#[derive(Clone, Default)]
pub struct Peers {
    users: Option<Arc<dyn Users>>,
    tokens: Option<Arc<dyn TokenGuard>>,
    catalogue: Option<Arc<dyn Catalogue>>,
    stock: Option<Arc<dyn Stock>>,
    orders: Option<Arc<dyn Orders>>,
    carts: Option<Arc<dyn Carts>>,
}

/// A peer that a role needs and nobody told the way to.
fn known<P>(peer: Option<&P>, role: Role) -> Result<P, StartError>
where
    P: Clone,
{
    peer.cloned().ok_or(StartError::NoPeer { role })
}

impl Peers {
    pub(crate) fn users(&self) -> Result<Arc<dyn Users>, StartError> {
        known(self.users.as_ref(), Role::Auth)
    }

    pub(crate) fn tokens(&self) -> Result<Arc<dyn TokenGuard>, StartError> {
        known(self.tokens.as_ref(), Role::Auth)
    }

    pub(crate) fn stock(&self) -> Result<Arc<dyn Stock>, StartError> {
        known(self.stock.as_ref(), Role::Inventory)
    }

    pub(crate) fn orders(&self) -> Result<Arc<dyn Orders>, StartError> {
        known(self.orders.as_ref(), Role::Order)
    }

    pub(crate) fn carts(&self) -> Result<Arc<dyn Carts>, StartError> {
        known(self.carts.as_ref(), Role::Cart)
    }

    pub(crate) fn for_cart(&self) -> Result<CartPeers, StartError> {
        let catalogue = known(self.catalogue.as_ref(), Role::Product)?;
        Ok(CartPeers { catalogue, stock: self.stock()?, orders: self.orders()? })
    }

    /// Peers in other processes.
    fn remote(part: &Part, settings: &Settings, clock: &Clock, hints: &Hints) -> Self {
        let line = |role: Role| {
            let (_, line) = part.lines.iter().find(|(it, _)| *it == role)?;
            Some(Arc::new(Remote::new(role.name(), Arc::clone(line))))
        };
        let auth = line(Role::Auth);
        let catalogue = line(Role::Product).map(|product| {
            cartwright_product::cached_peer(product, settings.product.fresh_for, clock.clone(), &hints.of_one_role())
        });
        Self {
            users: auth.clone().map(|auth| auth as Arc<dyn Users>),
            tokens: auth.map(|auth| auth as Arc<dyn TokenGuard>),
            catalogue,
            stock: line(Role::Inventory).map(|stock| stock as Arc<dyn Stock>),
            orders: line(Role::Order).map(|orders| orders as Arc<dyn Orders>),
            carts: line(Role::Cart).map(|carts| carts as Arc<dyn Carts>),
        }
    }

    /// The same, with those of this process in place of others.
    fn with_local(
        mut self,
        stores: &Stores,
        auth: Option<&Auth>,
        settings: &Settings,
        hints: &Hints,
    ) -> Result<Self, StartError> {
        if let Some(auth) = auth {
            self.users = Some(auth.users());
            self.tokens = Some(auth.token_guard());
        }
        let store = |role| stores.get(role).cloned();
        self.catalogue = store(Role::Product)
            .map(|store| cartwright_product::peer(store, settings.product.fresh_for))
            .or(self.catalogue);
        self.stock = store(Role::Inventory).map(cartwright_inventory::peer).or(self.stock);
        self.orders = store(Role::Order).map(cartwright_order::peer).or(self.orders);
        if let Some(cart) = store(Role::Cart) {
            let asked = self.for_cart()?;
            self.carts = Some(cartwright_cart::peer(cart, asked, settings.order.currency, hints.of_one_role()));
        }
        Ok(self)
    }

    /// What peers in other processes may ask of `role`.
    fn routes(&self, role: Role) -> Result<Router, StartError> {
        Ok(match role {
            Role::Auth => over_http::auth_routes(&self.users()?, &self.tokens()?),
            Role::Cart => over_http::carts_routes(&self.carts()?),
            Role::Product => over_http::catalogue_routes(&known(self.catalogue.as_ref(), role)?),
            Role::Inventory => over_http::stock_routes(&self.stock()?),
            Role::Order => over_http::orders_routes(&self.orders()?),
            Role::Payment | Role::Notification => Router::new(),
        })
    }
}

/// Makes a broadcast for each role, over the wire where there is one.
#[derive(Clone)]
pub(crate) struct Hints {
    wire: Option<Arc<dyn Wire>>,
    tasks: Tasks,
}

impl Hints {
    pub(crate) fn of_one_role(&self) -> Broadcast {
        match &self.wire {
            Some(wire) => Broadcast::wired(Arc::clone(wire), &self.tasks),
            None => Broadcast::new(),
        }
    }
}

/// Everything that a role is made of.
pub(crate) struct Deps {
    pub(crate) stores: Stores,
    pub(crate) peers: Peers,
    pub(crate) outside: Outside,
    pub(crate) settings: Settings,
    pub(crate) auth: Option<Auth>,
    pub(crate) hints: Hints,
    pub(crate) backlog: Backlog,
}

/// A shop, or a part of one, that is put together; [`Shop::start`] sets it going.
pub struct Shop {
    ground: Ground,
    database: Database,
    stores: Stores,
    auth: Option<Auth>,
    verifier: Arc<dyn Verifier>,
    services: Vec<(Role, Service)>,
    peer_routes: Vec<(Role, Router)>,
    jobs: Vec<Job>,
    backlog: Backlog,
    leaving: Leaving,
}

impl Shop {
    /// Puts a whole shop together.
    ///
    /// # Errors
    /// See [`StartError`]; each says how to mend it.
    pub async fn assemble(ground: Ground, outside: Outside, settings: Settings) -> Result<Self, StartError> {
        Self::assemble_part(ground, outside, settings, Part::default()).await
    }

    /// Puts a part of a shop together.
    ///
    /// # Errors
    /// See [`StartError`]; each says how to mend it.
    pub async fn assemble_part(
        ground: Ground,
        outside: Outside,
        settings: Settings,
        part: Part,
    ) -> Result<Self, StartError> {
        let roles = part.roles();
        let database = Database::new(ground.backend.clone(), ground.clock.clone(), ground.ids.clone());
        let stores = Stores::open_of(&roles, &database, &settings).await?;
        let auth = match stores.get(Role::Auth) {
            Some(store) => Some(cartwright_auth::start(store.clone(), settings.auth.clone()).await?),
            None => None,
        };
        let hints = Hints { wire: part.wire.clone(), tasks: ground.tasks.clone() };
        let peers = Peers::remote(&part, &settings, &ground.clock, &hints);
        let peers = peers.with_local(&stores, auth.as_ref(), &settings, &hints)?;
        let (verifier, jobs) = match &auth {
            Some(auth) => (auth.verifier(), Vec::new()),
            None => {
                let checker = awaited_checker(peers.tokens()?, &settings.auth, &ground.clock).await?;
                (checker.verifier(), vec![checker.job()])
            }
        };
        let backlog = part.backlog;
        let deps = Deps { stores, peers, outside, settings, auth, hints, backlog };
        let (mut services, mut peer_routes) = (Vec::new(), Vec::new());
        for role in roles {
            services.push((role, role.build(&deps).await?));
            peer_routes.push((role, deps.peers.routes(role)?));
        }
        let Deps { stores, auth, backlog, .. } = deps;
        let leaving = Leaving::default();
        Ok(Self { ground, database, stores, auth, verifier, services, peer_routes, jobs, backlog, leaving })
    }

    /// The documents of each role that runs here.
    pub const fn stores(&self) -> &Stores {
        &self.stores
    }

    /// Accounts and tokens, where auth runs here.
    pub const fn auth(&self) -> Option<&Auth> {
        self.auth.as_ref()
    }

    /// Knows whose token it is.
    pub fn verifier(&self) -> Arc<dyn Verifier> {
        Arc::clone(&self.verifier)
    }

    /// The engine below.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        self.database.backend()
    }

    /// All subscriptions, for replaying dead letters.
    pub fn subscriptions(&self) -> Vec<Subscription> {
        self.services.iter().flat_map(|(_, service)| service.subscriptions.iter().cloned()).collect()
    }

    /// Starts relay, consumers and jobs over the in-process broker; takes the routes out.
    ///
    /// # Errors
    /// When the broker takes no subscription.
    pub async fn start(&mut self) -> Result<(), StartError> {
        let broker: Arc<dyn Broker> = Arc::new(InProcessBroker::new(self.ground.tasks.clone()));
        self.start_on(broker).await
    }

    /// The same over another broker.
    ///
    /// # Errors
    /// When the broker takes no subscription.
    pub async fn start_on(&mut self, broker: Arc<dyn Broker>) -> Result<(), StartError> {
        broker.expect(Role::interests()).await?;
        broker.subscribe(self.subscriptions()).await?;
        let Ground { tasks, clock, .. } = &self.ground;
        let relay = Relay::new(&self.database, broker, tasks.clone(), clock.clone()).reporting(self.backlog.clone());
        tasks.spawn(relay.run());
        let jobs = self.services.iter().flat_map(|(_, service)| &service.jobs);
        jobs.chain(&self.jobs).chain(&self.forgetting()).chain(&self.presence()).for_each(|job| job.start(tasks));
        Ok(())
    }

    /// One job a role that removes receipts and inbox marks that nobody can ask for any more.
    fn forgetting(&self) -> Vec<Job> {
        let forget = |store: &Store| {
            let forgotten = store.clone();
            Job::by_turns(FORGET_EVERY, store, "forget old receipts and marks", move || {
                let store = forgotten.clone();
                async move {
                    while forget_old(&store).await? > 0 {}
                    Ok::<_, StoreError>(())
                }
            })
        };
        self.stores.iter().map(forget).collect()
    }

    /// One job a role that says that somebody is at work, for those who need a shop that stands still.
    fn presence(&self) -> Vec<Job> {
        let be_present = |store: &Store| {
            let present = store.clone();
            Job::every(PRESENT_EVERY, self.ground.clock.clone(), "say that somebody is at work", move || {
                let store = present.clone();
                async move { be_at_work(&store).await }
            })
        };
        self.stores.iter().map(be_present).collect()
    }

    /// Everything that the shop answers at its one address, and the OpenAPI document of it. Once: the routes are moved out.
    ///
    /// # Errors
    /// When two services claim the same place, which no setting can cause.
    pub fn take_gateway(&mut self, settings: &GatewaySettings) -> Result<Gateway, StartError> {
        let (stores, leaving) = (&self.stores, &self.leaving);
        let mounted = self.services.iter_mut().map(|(role, service)| Mounted {
            name: service.name,
            routes: std::mem::take(&mut service.routes).merge(health(
                role.name(),
                stores.of(*role).clone(),
                leaving.clone(),
            )),
        });
        let Gateway { router, openapi } = gateway(mounted.collect(), settings)?;
        Ok(Gateway { router: self.checking_tokens(router), openapi })
    }

    /// What `role` answers shoppers, at the paths that it has alone. Once: the routes are moved out.
    pub fn take_routes(&mut self, role: Role) -> Router {
        let service = self.services.iter_mut().find(|(it, _)| *it == role);
        let routes = service.map(|(_, service)| std::mem::take(&mut service.routes)).unwrap_or_default();
        self.checking_tokens(routes.merge(self.health_of(role)).split_for_parts().0)
    }

    /// How those who send requests here learn that this process is about to stop.
    pub const fn leaving(&self) -> &Leaving {
        &self.leaving
    }

    /// What `role` answers its peers. Never to be served to anybody else.
    pub fn peer_routes(&self, role: Role) -> Router {
        let routes = self.peer_routes.iter().find(|(it, _)| *it == role).map(|(_, routes)| routes.clone());
        routes.unwrap_or_default().merge(self.health_of(role).split_for_parts().0)
    }

    fn health_of(&self, role: Role) -> OpenApiRouter {
        health(role.name(), self.stores.of(role).clone(), self.leaving.clone())
    }

    fn checking_tokens(&self, router: Router) -> Router {
        router.layer(Extension(Arc::clone(&self.verifier)))
    }
}

/// The check of tokens in a process without auth. It must know what was revoked before it lets anybody in, so auth is
/// awaited for a while: processes that are started together are up in any order.
pub(crate) async fn awaited_checker(
    auth: Arc<dyn TokenGuard>,
    settings: &cartwright_auth::Settings,
    clock: &Clock,
) -> Result<TokenChecker, StartError> {
    let watch = clock.stopwatch();
    loop {
        match TokenChecker::start(Arc::clone(&auth), settings, clock.clone()).await {
            Err(AuthError::Peer(error)) if watch.elapsed() < AUTH_WITHIN => {
                tracing::info!(%error, "waiting for auth");
                clock.pause(AUTH_ASKED_EVERY).await;
            }
            result => return Ok(result?),
        }
    }
}

/// Whether the route with this path template only waits: it then takes no turn from those that work.
pub fn waits(path: &str) -> bool {
    let waiting = ["/create-order", "/process-payment", "/import"];
    waiting.iter().any(|end| path.ends_with(end)) || path.contains("/events/")
}

//! The whole shop in one process: stores, peers, services, bus and gateway, put together in this order.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use cartwright_auth::Auth;
use cartwright_bus::{Broker, InProcessBroker, Relay, Subscription};
use cartwright_cart::Peers as CartPeers;
use cartwright_contracts::{Carts, Catalogue, Orders, Stock, Users};
use cartwright_gateway::{Gateway, GatewayError, GatewaySettings, Mounted, gateway};
use cartwright_http::health;
use cartwright_notification::Mailer;
use cartwright_payment::PaymentProvider;
use cartwright_runtime::{Clock, Ids, Tasks};
use cartwright_service::{Job, Service};
use cartwright_store::{Backend, Database, Store, StoreError, forget_old};

use crate::role::Role;

/// How often each role forgets what is too old to be asked for.
const FORGET_EVERY: Duration = Duration::from_secs(600);

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
    Auth(#[from] cartwright_auth::AuthError),
    /// Catalogue and search.
    #[error(transparent)]
    Product(#[from] cartwright_product::IndexError),
    /// The bus.
    #[error(transparent)]
    Bus(#[from] cartwright_bus::BrokerError),
    /// The gateway.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
}

/// Each role's part of the database.
#[derive(Clone)]
pub struct Stores(Vec<(Role, Store)>);

impl Stores {
    /// Opens every role's part.
    ///
    /// # Errors
    /// When a collection cannot be prepared.
    pub async fn open(database: &Database, settings: &Settings) -> Result<Self, StoreError> {
        let mut stores = Vec::new();
        for role in Role::ALL {
            stores.push((role, role.open(database, settings).await?));
        }
        Ok(Self(stores))
    }

    /// The part of `role`.
    ///
    /// # Panics
    /// Never: all roles are opened together.
    #[expect(clippy::expect_used, reason = "Stores::open opens all roles")]
    pub fn of(&self, role: Role) -> &Store {
        self.0.iter().find(|(it, _)| *it == role).map(|(_, store)| store).expect("all roles are opened")
    }
}

/// How the services ask each other.
#[derive(Clone)]
pub struct Peers {
    pub(crate) users: Arc<dyn Users>,
    pub(crate) catalogue: Arc<dyn Catalogue>,
    pub(crate) stock: Arc<dyn Stock>,
    pub(crate) orders: Arc<dyn Orders>,
    pub(crate) carts: Arc<dyn Carts>,
}

impl Peers {
    /// Peers that answer from the stores of this process.
    fn local(stores: &Stores, auth: &Auth, settings: &Settings) -> Self {
        let catalogue = cartwright_product::peer(stores.of(Role::Product).clone());
        let stock = cartwright_inventory::peer(stores.of(Role::Inventory).clone());
        let orders = cartwright_order::peer(stores.of(Role::Order).clone());
        let asked = CartPeers { catalogue: catalogue.clone(), stock: stock.clone(), orders: orders.clone() };
        let carts = cartwright_cart::peer(stores.of(Role::Cart).clone(), asked, settings.order.currency);
        Self { users: auth.users(), catalogue, stock, orders, carts }
    }

    pub(crate) fn for_cart(&self) -> CartPeers {
        CartPeers { catalogue: self.catalogue.clone(), stock: self.stock.clone(), orders: self.orders.clone() }
    }
}

/// Everything that a role is made of.
pub(crate) struct Deps {
    pub(crate) stores: Stores,
    pub(crate) peers: Peers,
    pub(crate) outside: Outside,
    pub(crate) settings: Settings,
    pub(crate) auth: Auth,
}

/// A shop that is put together; [`Shop::start`] sets it going.
pub struct Shop {
    ground: Ground,
    database: Database,
    stores: Stores,
    auth: Auth,
    services: Vec<Service>,
}

impl Shop {
    /// Puts a shop together.
    ///
    /// # Errors
    /// See [`StartError`]; each says how to mend it.
    pub async fn assemble(ground: Ground, outside: Outside, settings: Settings) -> Result<Self, StartError> {
        let database = Database::new(ground.backend.clone(), ground.clock.clone(), ground.ids.clone());
        let stores = Stores::open(&database, &settings).await?;
        let auth = cartwright_auth::start(stores.of(Role::Auth).clone(), settings.auth.clone()).await?;
        let peers = Peers::local(&stores, &auth, &settings);
        let deps = Deps { stores: stores.clone(), peers, outside, settings, auth: auth.clone() };
        let mut services = Vec::new();
        for role in Role::ALL {
            services.push(role.build(&deps).await?);
        }
        Ok(Self { ground, database, stores, auth, services })
    }

    /// Each role's part of the database.
    pub const fn stores(&self) -> &Stores {
        &self.stores
    }

    /// Accounts and tokens.
    pub const fn auth(&self) -> &Auth {
        &self.auth
    }

    /// The engine below.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        self.database.backend()
    }

    /// All subscriptions, for replaying dead letters.
    pub fn subscriptions(&self) -> Vec<Subscription> {
        self.services.iter().flat_map(|service| service.subscriptions.iter().cloned()).collect()
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
        broker.subscribe(self.subscriptions()).await?;
        let Ground { tasks, clock, .. } = &self.ground;
        let relay = Relay::new(&self.database, broker, tasks.clone(), clock.clone());
        tasks.spawn(relay.run());
        for job in self.services.iter().flat_map(|service| &service.jobs).chain(&self.forgetting()) {
            job.start(tasks);
        }
        Ok(())
    }

    /// One job a role that removes receipts and inbox marks that nobody can ask for any more.
    fn forgetting(&self) -> Vec<Job> {
        let forget = |role: Role| {
            let store = self.stores.of(role).clone();
            Job::every(FORGET_EVERY, self.ground.clock.clone(), "forget old receipts and marks", move || {
                let store = store.clone();
                async move {
                    while forget_old(&store).await? > 0 {}
                    Ok::<_, StoreError>(())
                }
            })
        };
        Role::ALL.into_iter().map(forget).collect()
    }

    /// Everything that the shop answers at its one address, and the OpenAPI document of it. Once: the routes are moved out.
    ///
    /// # Errors
    /// When two services claim the same place, which no setting can cause.
    pub fn take_gateway(&mut self, settings: &GatewaySettings) -> Result<Gateway, StartError> {
        let mounted = Role::ALL.iter().zip(&mut self.services).map(|(role, service)| Mounted {
            name: service.name,
            routes: std::mem::take(&mut service.routes).merge(health(role.name(), self.stores.of(*role).clone())),
        });
        let Gateway { router, openapi } = gateway(mounted.collect(), settings)?;
        Ok(Gateway { router: router.layer(Extension(self.auth.verifier())), openapi })
    }
}

/// Whether the route with this path template only waits: it then takes no turn from those that work.
pub fn waits(path: &str) -> bool {
    let waiting = ["/create-order", "/process-payment", "/import"];
    waiting.iter().any(|end| path.ends_with(end)) || path.contains("/events/")
}

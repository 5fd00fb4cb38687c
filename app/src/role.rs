//! The roles that a process can have, and the only place where a role becomes a service.

use std::fmt;

use cartwright_bus::Interest;
use cartwright_contracts::{
    LevelChanged, OrderCancelled, OrderConfirmed, OrderCreated, PaymentActionRequired, PaymentAuthorized,
    PaymentDeclined, PaymentRefunded, PaymentRequested, ProductChanged, StockRefused, StockReserved, UserRegistered,
};
use cartwright_service::Service;
use cartwright_store::{Database, Event as _, Store, StoreError};

use crate::shop::{Deps, Settings, StartError};

/// One of the seven services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Who is calling.
    Auth,
    /// What a shopper means to buy.
    Cart,
    /// What is sold.
    Product,
    /// How many there are.
    Inventory,
    /// Moving money.
    Payment,
    /// The checkout process.
    Order,
    /// Telling people.
    Notification,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Auth, Self::Cart, Self::Product, Self::Inventory, Self::Payment, Self::Order, Self::Notification];

    /// The service's name, which is also its prefix at the gateway.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Cart => "cart",
            Self::Product => "product",
            Self::Inventory => "inventory",
            Self::Payment => "payment",
            Self::Order => "order",
            Self::Notification => "notification",
        }
    }

    /// The service's name for people, as `/health` says it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Auth => "Auth",
            Self::Cart => "Cart",
            Self::Product => "Product",
            Self::Inventory => "Inventory",
            Self::Payment => "Payment",
            Self::Order => "Order",
            Self::Notification => "Notification",
        }
    }

    /// The setting that says where it answers.
    pub const fn url_setting(self) -> &'static str {
        match self {
            Self::Auth => "auth_url",
            Self::Cart => "cart_url",
            Self::Product => "product_url",
            Self::Inventory => "inventory_url",
            Self::Payment => "payment_url",
            Self::Order => "order_url",
            Self::Notification => "notification_url",
        }
    }

    /// The setting that says where it answers its peers.
    pub const fn peer_url_setting(self) -> &'static str {
        match self {
            Self::Auth => "auth_peer_url",
            Self::Cart => "cart_peer_url",
            Self::Product => "product_peer_url",
            Self::Inventory => "inventory_peer_url",
            Self::Payment => "payment_peer_url",
            Self::Order => "order_peer_url",
            Self::Notification => "notification_peer_url",
        }
    }

    /// The setting that says where its database is, where that is not where all are.
    pub const fn mongodb_setting(self) -> &'static str {
        match self {
            Self::Auth => "auth_mongodb_uri",
            Self::Cart => "cart_mongodb_uri",
            Self::Product => "product_mongodb_uri",
            Self::Inventory => "inventory_mongodb_uri",
            Self::Payment => "payment_mongodb_uri",
            Self::Order => "order_mongodb_uri",
            Self::Notification => "notification_mongodb_uri",
        }
    }

    /// Opens the role's part of the database.
    pub(crate) async fn open(self, database: &Database, settings: &Settings) -> Result<Store, StoreError> {
        match self {
            Self::Auth => cartwright_auth::open(database).await,
            Self::Cart => cartwright_cart::open(database).await,
            Self::Product => cartwright_product::open(database).await,
            Self::Inventory => cartwright_inventory::open(database).await,
            Self::Payment => cartwright_payment::open(database).await,
            Self::Order => cartwright_order::open(database, settings.order).await,
            Self::Notification => cartwright_notification::open(database).await,
        }
    }

    /// Makes the role a service.
    pub(crate) async fn build(self, deps: &Deps) -> Result<Service, StartError> {
        let store = deps.stores.of(self).clone();
        let (peers, outside, settings) = (&deps.peers, &deps.outside, &deps.settings);
        let hints = || deps.hints.of_one_role();
        Ok(match self {
            Self::Auth => deps.auth.as_ref().ok_or(StartError::NoPeer { role: self })?.service(),
            Self::Cart => cartwright_cart::service(store, peers.for_cart()?, settings.order.currency, hints()),
            Self::Product => {
                cartwright_product::service(store, peers.stock()?, settings.product.clone(), hints()).await?
            }
            Self::Inventory => cartwright_inventory::service(store, peers.orders()?, settings.inventory),
            Self::Payment => {
                let provider = outside.provider.clone();
                cartwright_payment::service(store, peers.orders()?, provider, settings.payment, hints())
            }
            Self::Order => {
                let asked = cartwright_order::Peers { carts: peers.carts()?, users: peers.users()? };
                cartwright_order::service(store, asked, settings.order, hints(), deps.backlog.clone())
            }
            Self::Notification => {
                let (users, orders) = (peers.users()?, peers.orders()?);
                let (mailer, settings) = (outside.mailer.clone(), settings.notification.clone());
                cartwright_notification::service(store, users, orders, mailer, settings)
            }
        })
    }

    /// The events that it reacts to.
    const fn reacts_to(self) -> &'static [&'static str] {
        match self {
            Self::Auth => &[],
            Self::Cart => &[OrderConfirmed::NAME, OrderCancelled::NAME],
            Self::Product => &[LevelChanged::NAME],
            Self::Inventory => &[ProductChanged::NAME, OrderCreated::NAME, OrderConfirmed::NAME, OrderCancelled::NAME],
            Self::Payment => &[PaymentRequested::NAME, OrderConfirmed::NAME, OrderCancelled::NAME],
            Self::Order => &[
                StockReserved::NAME,
                StockRefused::NAME,
                PaymentAuthorized::NAME,
                PaymentDeclined::NAME,
                PaymentActionRequired::NAME,
            ],
            Self::Notification => {
                &[UserRegistered::NAME, OrderConfirmed::NAME, OrderCancelled::NAME, PaymentRefunded::NAME]
            }
        }
    }

    /// The roles that react to anything.
    pub fn consumers() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|role| !role.reacts_to().is_empty())
    }

    /// What all roles react to, wherever they run: a broker must keep it for those that were never started yet.
    pub fn interests() -> Vec<Interest> {
        let of = |role: Self| {
            let interest =
                move |event: &&str| Interest { consumer: role.name().to_owned(), event: (*event).to_owned() };
            role.reacts_to().iter().map(interest)
        };
        Self::ALL.into_iter().flat_map(of).collect()
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

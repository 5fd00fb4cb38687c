//! The roles that a process can have, and the only place where a role becomes a service.

use std::fmt;

use cartwright_service::Service;
use cartwright_store::{Database, Store, StoreError};

use crate::shop::{Deps, Settings, StartError};

/// One of the seven services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
        Ok(match self {
            Self::Auth => deps.auth.service(),
            Self::Cart => cartwright_cart::service(store, peers.for_cart(), settings.order.currency),
            Self::Product => cartwright_product::service(store, peers.stock.clone(), settings.product.clone()).await?,
            Self::Inventory => cartwright_inventory::service(store, peers.orders.clone(), settings.inventory),
            Self::Payment => {
                let provider = outside.provider.clone();
                cartwright_payment::service(store, peers.orders.clone(), provider, settings.payment)
            }
            Self::Order => cartwright_order::service(store, peers.carts.clone(), peers.users.clone(), settings.order),
            Self::Notification => {
                let (users, orders) = (peers.users.clone(), peers.orders.clone());
                cartwright_notification::service(
                    store,
                    users,
                    orders,
                    outside.mailer.clone(),
                    settings.notification.clone(),
                )
            }
        })
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

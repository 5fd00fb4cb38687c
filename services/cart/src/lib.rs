//! Cart: what a shopper means to buy.
//!
//! Promises that no add is lost, that prices are the catalogue's and never the client's, and that a cart frozen for an
//! order keeps its contents until the order has ended.

mod api;
pub mod documents;
pub mod domain;
mod error;
mod operations;
mod peer;
mod reactions;

use std::sync::Arc;
use std::time::Duration;

use cartwright_bus::{Broadcast, Subscription};
use cartwright_contracts::{Carts, Catalogue, OrderCancelled, OrderConfirmed, Orders, Stock};
use cartwright_service::{Job, Service};
use cartwright_store::{Database, Lane, Store, StoreError};
use cartwright_vocabulary::Currency;

use crate::documents::Cart;
pub use crate::error::CartError;

/// How often freezes whose order was not heard of are settled.
const SETTLE_EVERY: Duration = Duration::from_secs(5);

/// What cart needs to know beside its own documents.
#[derive(Clone)]
pub struct Peers {
    /// Names and prices.
    pub catalogue: Arc<dyn Catalogue>,
    /// How many there are.
    pub stock: Arc<dyn Stock>,
    /// What became of an order.
    pub orders: Arc<dyn Orders>,
}

/// All that cart's operations work with.
#[derive(Clone)]
pub(crate) struct Shop {
    pub(crate) store: Store,
    pub(crate) peers: Peers,
    pub(crate) currency: Currency,
    pub(crate) broadcast: Broadcast,
}

/// Cart's part of the database.
///
/// # Errors
/// When its collections cannot be prepared.
pub async fn open(database: &Database) -> Result<Store, StoreError> {
    database.scoped("cart", &documents::collections()).await
}

/// Cart as order asks it.
pub fn peer(store: Store, peers: Peers, currency: Currency, broadcast: Broadcast) -> Arc<dyn Carts> {
    Arc::new(peer::LocalCarts::new(Shop { store, peers, currency, broadcast }))
}

/// The cart service; `currency` is the shop's, `broadcast` reaches every instance of it.
pub fn service(store: Store, peers: Peers, currency: Currency, broadcast: Broadcast) -> Service {
    let shop = Shop { store: store.clone(), peers, currency, broadcast };
    let (announcing, settling) = (shop.clone(), shop.clone());
    Service {
        name: "cart",
        routes: api::routes(shop),
        subscriptions: vec![
            Subscription::new(
                &store,
                |event: &OrderConfirmed| Lane::of::<Cart>(event.user.to_string()),
                reactions::on_order_confirmed,
            ),
            Subscription::new(
                &store,
                |event: &OrderCancelled| Lane::of::<Cart>(event.user.to_string()),
                reactions::on_order_cancelled,
            ),
        ],
        jobs: vec![
            Job::running("announce changed carts", move |tasks| {
                announcing.broadcast.clone().hint_writes::<Cart>(announcing.store.clone(), tasks)
            }),
            Job::by_turns(SETTLE_EVERY, &store, "settle old freezes", move || {
                let shop = settling.clone();
                async move { operations::settle_freezes(&shop).await }
            }),
        ],
    }
}

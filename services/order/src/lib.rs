//! Order: the checkout process, and the orders that come of it.
//!
//! Promises that one cart version makes at most one order, that stock is held before money is asked for, and that every
//! order ends: sold and paid, or released and unpaid.

mod api;
pub mod documents;
pub mod domain;
mod error;
mod operations;
mod peer;
mod reactions;
mod seed;

use std::sync::Arc;
use std::time::Duration;

use cartwright_bus::{Backlog, Broadcast, Subscription};
use cartwright_contracts::{
    Carts, Orders, PaymentActionRequired, PaymentAuthorized, PaymentDeclined, StockRefused, StockReserved, Users,
};
use cartwright_service::{Job, Service};
use cartwright_store::{Database, Lane, Store, StoreError};
use cartwright_vocabulary::Currency;

use crate::documents::Order;
pub use crate::error::OrderError;

/// How often orders past their deadline are looked for.
const DEADLINES_EVERY: Duration = Duration::from_secs(1);

/// What the shop decides about orders.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long an order waits for its payment.
    pub payment_deadline: Duration,
    /// The shop's currency, for the shipping methods of a new shop.
    pub currency: Currency,
}

impl Default for Settings {
    fn default() -> Self {
        Self { payment_deadline: Duration::from_secs(15 * 60), currency: Currency::USD }
    }
}

/// Whom order asks.
#[derive(Clone)]
pub struct Peers {
    /// What a shopper means to buy.
    pub carts: Arc<dyn Carts>,
    /// How to reach a shopper.
    pub users: Arc<dyn Users>,
}

/// All that order's operations work with.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) store: Store,
    pub(crate) carts: Arc<dyn Carts>,
    pub(crate) users: Arc<dyn Users>,
    pub(crate) settings: Settings,
    pub(crate) broadcast: Broadcast,
    pub(crate) backlog: Backlog,
}

/// Order's part of the database; a new one gets shipping methods and tax rates to start with.
///
/// # Errors
/// When its collections cannot be prepared.
pub async fn open(database: &Database, settings: Settings) -> Result<Store, StoreError> {
    let store = database.scoped("order", &documents::collections()).await?;
    seed::seed(&store, settings.currency).await?;
    Ok(store)
}

/// Order as the other services ask it.
pub fn peer(store: Store) -> Arc<dyn Orders> {
    Arc::new(peer::LocalOrders::new(store))
}

/// The order service; `broadcast` reaches every instance of it. While `backlog` is full no new order is taken.
pub fn service(store: Store, peers: Peers, settings: Settings, broadcast: Broadcast, backlog: Backlog) -> Service {
    let Peers { carts, users } = peers;
    let desk = Desk { store: store.clone(), carts, users, settings, broadcast, backlog };
    let (announcing, expiring) = (desk.clone(), desk.clone());
    let deadline = settings.payment_deadline;
    Service {
        name: "order",
        routes: api::routes(desk),
        subscriptions: vec![
            Subscription::new(
                &store,
                |event: &StockReserved| Lane::of::<Order>(event.order.to_string()),
                reactions::on_stock_reserved,
            ),
            Subscription::new(
                &store,
                |event: &StockRefused| Lane::of::<Order>(event.order.to_string()),
                reactions::on_stock_refused,
            ),
            Subscription::new(
                &store,
                |event: &PaymentAuthorized| Lane::of::<Order>(event.order.to_string()),
                reactions::on_payment_authorized,
            ),
            Subscription::new(
                &store,
                |event: &PaymentDeclined| Lane::of::<Order>(event.order.to_string()),
                move |store, event| reactions::on_payment_declined(store, event, deadline),
            ),
            Subscription::new(
                &store,
                |event: &PaymentActionRequired| Lane::of::<Order>(event.order.to_string()),
                move |store, event| reactions::on_payment_action_required(store, event, deadline),
            ),
        ],
        jobs: vec![
            Job::running("announce changed orders", move |tasks| {
                announcing.broadcast.clone().hint_writes::<Order>(announcing.store.clone(), tasks)
            }),
            Job::by_turns(DEADLINES_EVERY, &store, "cancel orders past their deadline", move || {
                let desk = expiring.clone();
                async move { operations::expire_orders(&desk).await }
            }),
        ],
    }
}

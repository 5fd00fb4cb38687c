//! Inventory: how many of each product there are, and for whom some are held.
//!
//! Promises that a unit is held or sold once, that an order gets every line or none, and that the ledger explains every
//! level. Takes nobody's word for how an order ended but the order's.

use std::sync::Arc;
use std::time::Duration;

use cartwright_bus::DeadLetter;
use cartwright_contracts::{Orders, Stock};
use cartwright_service::{Job, Service};
use cartwright_store::{Database, Document, Store, StoreError};

mod api;
pub mod documents;
mod domain;
mod error;
mod expiry;
mod operations;
mod peer;
mod reactions;

use documents::{Movement, Reservation, StockLevel};
use error::InventoryError;

/// The service's name, its prefix at the gateway and its scope in the database.
pub const NAME: &str = "inventory";

/// How often overdue holds are looked after (reliability R-I 4).
const ROUND: Duration = Duration::from_secs(1);

/// How long stock is held.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// After how long inventory asks what became of an order it holds stock for: the payment deadline and two minutes.
    pub hold_ttl: Duration,
    /// How long a reservation made by name is held where nothing else was asked for.
    pub direct_hold_ttl: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { hold_ttl: Duration::from_secs(17 * 60), direct_hold_ttl: Duration::from_secs(15 * 60) }
    }
}

/// Inventory's part of `database`.
///
/// # Errors
/// When the engine cannot prepare its collections.
pub async fn open(database: &Database) -> Result<Store, StoreError> {
    let collections = [StockLevel::spec(), Reservation::spec(), Movement::spec(), DeadLetter::spec()];
    database.scoped(NAME, &collections).await
}

/// Inventory as its peers in this process ask it.
pub fn peer(store: Store) -> Arc<dyn Stock> {
    Arc::new(peer::LocalStock(store))
}

/// The service.
pub fn service(store: Store, orders: Arc<dyn Orders>, settings: Settings) -> Service {
    let subscriptions = reactions::subscriptions(&store, settings.hold_ttl);
    let held = store.clone();
    let look_after_holds = Job::by_turns(ROUND, &store, "look after holds", move || {
        let (store, orders) = (held.clone(), Arc::clone(&orders));
        async move { expiry::look_after_holds(&store, &orders).await }
    });
    Service { name: NAME, routes: api::routes(store, settings), subscriptions, jobs: vec![look_after_holds] }
}

//! Moving money through a provider, and the record of every attempt to.
//!
//! Promises that an order is charged at most once, that an attempt is written down before the provider hears of it, that
//! an answer that never came is asked for and not guessed, and that a cancelled order keeps no money. Card numbers are
//! refused at the door.

mod api;
pub mod documents;
mod domain;
mod error;
mod operations;
mod performing;
pub mod provider;
mod reactions;
mod till;
mod views;

use std::sync::Arc;
use std::time::Duration;

use cartwright_bus::{Broadcast, DeadLetter};
use cartwright_contracts::Orders;
use cartwright_service::{Job, Service};
use cartwright_store::{Database, Document, Store, StoreError};

pub use domain::payment::{MOST_ATTEMPTS, PATIENCE};
pub use error::PaymentError;
pub use provider::{PaymentProvider, ProviderError, Standing};

use till::Till;

/// How patient the service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long after an answer that did not come the provider is asked; the pauses double from then on.
    pub ask_first_after: Duration,
    /// How long a request waits for the outcome of what it began before it answers with what is known.
    pub outcome_within: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { ask_first_after: Duration::from_secs(1), outcome_within: Duration::from_secs(10) }
    }
}

/// The service's own part of `database`.
///
/// # Errors
/// When the engine cannot prepare the collections; the text says how to mend it.
pub async fn open(database: &Database) -> Result<Store, StoreError> {
    let mut specs = documents::specs().to_vec();
    specs.push(DeadLetter::spec());
    database.scoped("payment", &specs).await
}

/// The payment service on its own part of a database; `broadcast` reaches every instance of it.
pub fn service(
    store: Store,
    orders: Arc<dyn Orders>,
    provider: Arc<dyn PaymentProvider>,
    settings: Settings,
    broadcast: Broadcast,
) -> Service {
    let till = Till::new(store.clone(), orders, Arc::clone(&provider), settings, broadcast);
    let performer = (store.clone(), provider, settings.ask_first_after);
    let hinting = till.clone();
    Service {
        name: "payment",
        routes: api::routes(till),
        subscriptions: reactions::subscriptions(&store),
        jobs: vec![
            Job::running("payments", move |tasks| {
                let (store, provider, ask_first_after) = performer.clone();
                performing::perform(store, provider, ask_first_after, tasks)
            }),
            Job::running("payment hints", move |tasks| hinting.clone().pass_hints_on(tasks)),
        ],
    }
}

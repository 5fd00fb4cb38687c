//! Product: what is sold. The catalogue, its categories, and finding things in it.
//!
//! Promises to be the only source of names and prices, that a price's version names that price for ever, and that what an
//! admin changed is what the next cart reads. Stock belongs to inventory; here is only the last news of it.

mod api;
mod documents;
mod domain;
mod error;
mod import;
mod operations;
mod peer;
mod reactions;
mod search;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cartwright_bus::Broadcast;
use cartwright_contracts::Stock;
use cartwright_service::{Job, Service};
use cartwright_store::Store;
use cartwright_vocabulary::Currency;

use crate::api::Shop;
use crate::search::{SearchIndex, keep_up};

pub use documents::open;
pub use domain::{Listing, Product, ProductOption, Shelf};
pub use import::{ImportError, ImportFormat, ImportReport, Progress, RejectedLine, import};
pub use peer::{cached_peer, peer};
pub use search::IndexError;

/// What the shop's owner decides about its catalogue.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder of the search index, which belongs to it alone; in memory where there is none.
    pub index_dir: Option<PathBuf>,
    /// The currency of all prices.
    pub currency: Currency,
    /// How long other processes may go on with a name and a price that changed; zero has them ask each time.
    pub fresh_for: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { index_dir: None, currency: Currency::USD, fresh_for: Duration::from_secs(2) }
    }
}

/// The service. Its index is up to date a moment after its jobs have started. `broadcast` reaches the processes that keep
/// products in mind.
///
/// # Errors
/// When the search index can neither be opened nor made; the text says why.
pub async fn service(
    store: Store,
    stock: Arc<dyn Stock>,
    settings: Settings,
    broadcast: Broadcast,
) -> Result<Service, IndexError> {
    let Settings { index_dir, currency, fresh_for: _ } = settings;
    let index = Arc::new(SearchIndex::open(index_dir.as_deref())?);
    let shop = Shop { store: store.clone(), stock, index: Arc::clone(&index), currency };
    let subscriptions = reactions::subscriptions(&store);
    let indexed = store.clone();
    let jobs = vec![
        Job::running("search-index", move |tasks| keep_up(indexed.clone(), Arc::clone(&index), tasks)),
        Job::running("announce changed products", move |tasks| {
            peer::announce_changes(store.clone(), broadcast.clone(), tasks)
        }),
    ];
    Ok(Service { name: "product", routes: api::routes(shop), subscriptions, jobs })
}

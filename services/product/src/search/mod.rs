//! Finding products: a tantivy index of the catalogue, made from the store and made again whenever it does not fit.
//!
//! The index answers which products match and in which order; what is shown of them is read from the store.

mod index;
mod indexer;
mod matching;
mod page;
mod schema;

pub use index::IndexError;
pub(crate) use index::SearchIndex;
pub(crate) use indexer::keep_up;
pub(crate) use page::{Count, Facets, Found, Place, Sort};

use cartwright_contracts::{ProductStatus, StockStatus};

/// What is wanted of the index.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// What the shopper typed; empty for everything.
    pub(crate) text: String,
    /// A category and all below it.
    pub(crate) category: Option<String>,
    /// Products of one maker.
    pub(crate) brand: Option<String>,
    /// Not cheaper, in minor units.
    pub(crate) min_price: Option<u64>,
    /// Not dearer, in minor units.
    pub(crate) max_price: Option<u64>,
    /// What can be bought now, or what cannot.
    pub(crate) in_stock: Option<bool>,
    /// Products in one state; `None` for every state.
    pub(crate) status: Option<ProductStatus>,
    /// What comes first.
    pub(crate) sort: Sort,
    /// Where the page before ended.
    pub(crate) after: Option<Place>,
    /// Products on the page.
    pub(crate) limit: usize,
    /// Whether to count what matches by category, brand, price and availability.
    pub(crate) facets: bool,
}

impl Wanted {
    /// Everything that shoppers see, counted.
    pub(crate) fn counted() -> Self {
        Self {
            text: String::new(),
            category: None,
            brand: None,
            min_price: None,
            max_price: None,
            in_stock: None,
            status: Some(ProductStatus::Active),
            sort: Sort::Newest,
            after: None,
            limit: 0,
            facets: true,
        }
    }
}

/// A state as the index holds it.
const fn status_word(status: ProductStatus) -> &'static str {
    match status {
        ProductStatus::Draft => "draft",
        ProductStatus::Active => "active",
        ProductStatus::Archived => "archived",
    }
}

/// The words for availability, in the order of the numbers that the index holds for them.
const LEVELS: [StockStatus; 3] = [StockStatus::OutOfStock, StockStatus::LowStock, StockStatus::InStock];

/// The number of a word for availability; the greater, the more there is.
const fn level(status: StockStatus) -> u64 {
    match status {
        StockStatus::OutOfStock => 0,
        StockStatus::LowStock => 1,
        StockStatus::InStock => 2,
    }
}

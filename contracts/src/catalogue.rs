//! Asking product what something is and costs.

use async_trait::async_trait;
use cartwright_vocabulary::{Money, ProductId, Sku};
use serde::{Deserialize, Serialize};

use crate::PeerError;

/// The only source of names and prices.
#[async_trait]
pub trait Catalogue: Send + Sync + 'static {
    /// The products among `ids` that exist, in any order and state.
    ///
    /// # Errors
    /// When product does not answer.
    async fn products(&self, ids: &[ProductId]) -> Result<Vec<ProductSnapshot>, PeerError>;
}

/// A product as it is now, as far as a cart and an order need it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProductSnapshot {
    /// The product.
    pub id: ProductId,
    /// The shop's own name of it.
    pub sku: Sku,
    /// Its title.
    pub name: String,
    /// The address of its picture.
    pub image: String,
    /// Its unit price.
    pub price: Money,
    /// Raised by each change of the price.
    pub price_version: u64,
    /// How it is taxed, a name that order's tax table knows.
    pub tax_category: String,
    /// Whether it can be bought.
    pub status: ProductStatus,
}

/// Whether a product can be bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProductStatus {
    /// Not shown yet.
    Draft,
    /// On sale.
    Active,
    /// No longer sold.
    Archived,
}

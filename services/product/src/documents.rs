//! What product keeps: products and what is known of their stock; their keys, indexes and finders.

use cartwright_bus::DeadLetter;
use cartwright_runtime::Time;
use cartwright_store::{Database, Document, Index, IndexEntry, Store, StoreError, Stored};
use cartwright_vocabulary::{ProductId, Sku};

use crate::domain::{Product, Shelf};

const BY_SKU: &str = "by-sku";
const BY_SLUG: &str = "by-slug";
const BY_UPDATE: &str = "by-update";
const BY_STATUS_CHANGE: &str = "by-status-change";

impl Document for Product {
    const COLLECTION: &'static str = "products";
    const INDEXES: &'static [Index] =
        &[Index::unique(BY_SKU, &["sku"]), Index::unique(BY_SLUG, &["slug"]), Index::many(BY_UPDATE, &["updatedAt"])];

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn index_entries(&self) -> Vec<IndexEntry> {
        vec![
            IndexEntry::new(BY_SKU, [self.listing.sku.as_str().into()]),
            IndexEntry::new(BY_SLUG, [self.slug.as_str().into()]),
            IndexEntry::new(BY_UPDATE, [self.updated_at.into()]),
        ]
    }
}

impl Document for Shelf {
    const COLLECTION: &'static str = "shelves";
    const INDEXES: &'static [Index] = &[Index::many(BY_STATUS_CHANGE, &["statusChangedAt"])];

    fn key(&self) -> String {
        self.product.to_string()
    }

    fn index_entries(&self) -> Vec<IndexEntry> {
        vec![IndexEntry::new(BY_STATUS_CHANGE, [self.status_changed_at.into()])]
    }
}

/// Product's part of the database.
///
/// # Errors
/// When the engine cannot prepare the collections; the text says how to mend it.
pub async fn open(database: &Database) -> Result<Store, StoreError> {
    database.scoped("product", &[Product::spec(), Shelf::spec(), DeadLetter::spec()]).await
}

/// The product with this SKU.
pub(crate) async fn with_sku(store: &Store, sku: &Sku) -> Result<Option<Stored<Product>>, StoreError> {
    Ok(store.find::<Product>(BY_SKU, vec![sku.as_str().into()]).page(1).await?.pop())
}

/// The product with this part of an address.
pub(crate) async fn with_slug(store: &Store, slug: &str) -> Result<Option<Stored<Product>>, StoreError> {
    Ok(store.find::<Product>(BY_SLUG, vec![slug.into()]).page(1).await?.pop())
}

/// What is known of the stock of one product.
pub(crate) async fn shelf(store: &Store, product: ProductId) -> Result<Shelf, StoreError> {
    let stored = store.get::<Shelf>(product.to_string()).await?;
    Ok(stored.map_or_else(|| Shelf::unknown(product), |stored| stored.doc))
}

/// Products changed at `since` or later.
pub(crate) async fn changed_since(store: &Store, since: Time) -> Result<Vec<Stored<Product>>, StoreError> {
    store.find::<Product>(BY_UPDATE, Vec::new()).from(since).all().await
}

/// Shelves whose word for shoppers changed at `since` or later.
pub(crate) async fn flipped_since(store: &Store, since: Time) -> Result<Vec<Stored<Shelf>>, StoreError> {
    store.find::<Shelf>(BY_STATUS_CHANGE, Vec::new()).from(since).all().await
}

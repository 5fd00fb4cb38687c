//! Lists a product for the first time.

use std::collections::HashSet;

use cartwright_contracts::{ProductArchived, ProductChanged, ProductStatus};
use cartwright_store::{Changes, Decision, Store};
use cartwright_vocabulary::ProductId;

use super::slugs::free_slug;
use crate::documents;
use crate::domain::{Draft, Product};
use crate::error::ProductError;

/// Lists a product under a new id. Inventory makes its stock of the event, with the opening stock that was said.
///
/// # Errors
/// When another product has the SKU, or the address that was asked for.
pub(crate) async fn list_product(store: &Store, draft: &Draft) -> Result<Decision<Product>, ProductError> {
    if documents::with_sku(store, &draft.listing.sku).await?.is_some() {
        return Err(ProductError::SkuTaken(draft.listing.sku.clone()));
    }
    let id = ProductId::new(store.ids().uuid());
    let slug = free_slug(store, id, &draft.slug, &draft.listing.sku, &mut HashSet::new()).await?;
    let product = Product::new(id, slug, draft.listing.clone(), store.clock().now());
    let changes = announce(Changes::new().insert(&product), &product, draft.opening_stock);
    Ok(Decision::new(changes, product))
}

/// Adds the event that tells others about the product as it is after the change.
pub(crate) fn announce(changes: Changes, product: &Product, opening_stock: Option<u32>) -> Changes {
    let (id, version) = (product.id, product.version);
    let changed = ProductChanged { product: id, sku: product.listing.sku.clone(), version, opening_stock };
    let changes = changes.publish(&changed);
    match product.listing.status {
        ProductStatus::Archived => changes.publish(&ProductArchived { product: id, version }),
        ProductStatus::Draft | ProductStatus::Active => changes,
    }
}

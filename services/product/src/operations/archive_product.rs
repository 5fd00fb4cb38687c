//! Takes a product out of the shop. It stays in the store: orders and carts still name it.

use cartwright_contracts::{ProductArchived, ProductStatus};
use cartwright_store::{Changes, Decision, Store};
use cartwright_vocabulary::ProductId;

use super::amend_product::check_version;
use crate::domain::{Listing, Product};
use crate::error::ProductError;

/// Archives a product; one that is archived already stays as it is.
///
/// # Errors
/// When there is no such product, or it has another version than `expected`.
pub(crate) async fn archive_product(
    store: &Store,
    id: ProductId,
    expected: Option<u64>,
) -> Result<Decision<Product>, ProductError> {
    let mut stored = store.get::<Product>(id.to_string()).await?.ok_or(ProductError::Unknown)?;
    check_version(&stored, expected)?;
    let listing = Listing { status: ProductStatus::Archived, ..stored.doc.listing.clone() };
    let slug = stored.doc.slug.clone();
    match stored.doc.amended(listing, slug, store.clock().now()) {
        Some(archived) => {
            stored.doc = archived;
            let event = ProductArchived { product: id, version: stored.doc.version };
            Ok(Decision::new(Changes::new().replace(&stored).publish(&event), stored.doc))
        }
        None => Ok(Decision::unchanged(stored.doc)),
    }
}

//! Finds a part of an address that no other product has.

use std::collections::HashSet;

use cartwright_store::Store;
use cartwright_vocabulary::{ProductId, Sku};

use crate::documents;
use crate::domain::{SlugWish, slug};
use crate::error::ProductError;

/// A free slug for a product: the one that was asked for exactly, else one like it, else one that also names the SKU.
///
/// `promised` are those that the same change already gives to others; the answer is among them afterwards.
pub(super) async fn free_slug(
    store: &Store,
    product: ProductId,
    wish: &SlugWish,
    sku: &Sku,
    promised: &mut HashSet<String>,
) -> Result<String, ProductError> {
    let candidates = match wish {
        SlugWish::Exactly(wanted) => vec![wanted.clone()],
        SlugWish::Like(wanted) => {
            let with_sku = slug(&format!("{wanted} {}", sku.as_str()));
            let with_id = format!("{with_sku}-{}", product.uuid().simple());
            vec![wanted.clone(), with_sku, with_id]
        }
    };
    for candidate in candidates {
        if candidate.is_empty() || candidate.starts_with('-') || promised.contains(&candidate) {
            continue;
        }
        let holder = documents::with_slug(store, &candidate).await?;
        if holder.is_none_or(|holder| holder.doc.id == product) {
            promised.insert(candidate.clone());
            return Ok(candidate);
        }
    }
    match wish {
        SlugWish::Exactly(wanted) => Err(ProductError::SlugTaken(wanted.clone())),
        // Names without one ASCII letter, and SKUs without one: the id alone is left.
        SlugWish::Like(_) => Ok(product.uuid().simple().to_string()),
    }
}

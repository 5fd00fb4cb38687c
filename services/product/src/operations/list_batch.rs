//! Lists or amends many products in one commit, each by its SKU.

use std::collections::HashSet;

use cartwright_store::{Changes, Decision, Store};
use cartwright_vocabulary::ProductId;

use super::list_product::announce;
use super::slugs::free_slug;
use crate::documents;
use crate::domain::{Draft, Product, SlugWish};
use crate::error::ProductError;

/// Drafts with the line of the file that each stands on; no two have one SKU.
pub(crate) type Batch = [(u64, Draft)];

/// What came of a batch.
#[derive(Clone, Debug, Default)]
pub(crate) struct BatchOutcome {
    pub(crate) created: u64,
    pub(crate) updated: u64,
    pub(crate) unchanged: u64,
    pub(crate) rejected: Vec<(u64, String)>,
}

/// Lists what is new and amends what is known by its SKU. The stock of a known product is never touched.
///
/// # Errors
/// When the store does not answer. A draft that does not fit the catalogue is among the rejected.
pub(crate) async fn list_batch(store: &Store, batch: &Batch) -> Result<Decision<BatchOutcome>, ProductError> {
    let mut outcome = BatchOutcome::default();
    let mut changes = Changes::new();
    let mut promised = HashSet::new();
    for (line, draft) in batch {
        let known = documents::with_sku(store, &draft.listing.sku).await?;
        let id = known.as_ref().map_or_else(|| ProductId::new(store.ids().uuid()), |known| known.doc.id);
        let slug = match (&known, &draft.slug) {
            (Some(known), SlugWish::Like(_)) => Ok(known.doc.slug.clone()),
            (Some(_), SlugWish::Exactly(_)) | (None, _) => {
                free_slug(store, id, &draft.slug, &draft.listing.sku, &mut promised).await
            }
        };
        let slug = match slug {
            Ok(slug) => slug,
            Err(ProductError::Store(error)) => return Err(error.into()),
            Err(refused) => {
                outcome.rejected.push((*line, refused.to_string()));
                continue;
            }
        };
        let now = store.clock().now();
        let Some(mut known) = known else {
            let product = Product::new(id, slug, draft.listing.clone(), now);
            changes = announce(changes.insert(&product), &product, draft.opening_stock);
            outcome.created += 1;
            continue;
        };
        match known.doc.amended(draft.listing.clone(), slug, now) {
            Some(product) => {
                known.doc = product;
                changes = announce(changes.replace(&known), &known.doc, None);
                outcome.updated += 1;
            }
            None => outcome.unchanged += 1,
        }
    }
    Ok(Decision::new(changes, outcome))
}

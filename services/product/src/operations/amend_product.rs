//! Says something else about a product: all of it anew, or some fields of it.

use std::collections::{BTreeMap, HashSet};

use cartwright_store::{Changes, Decision, Store, Stored};
use cartwright_vocabulary::{Currency, ProductId};
use serde_json::value::RawValue;

use super::list_product::announce;
use super::slugs::free_slug;
use crate::api::ProductView;
use crate::documents;
use crate::domain::{Draft, Flaw, Product, ProductInput, SlugWish};
use crate::error::ProductError;

/// What is to be said.
#[derive(Clone, Debug)]
pub(crate) enum Amendment {
    /// All of it anew; what is not named is as if it had never been said.
    Whole(Box<Draft>),
    /// These fields as JSON; `null` takes one away (RFC 7396). Objects and arrays within are replaced as a whole.
    Fields(BTreeMap<String, Box<RawValue>>),
}

/// Applies an amendment to the product as it is now. One that changes nothing leaves its version.
///
/// # Errors
/// When there is no such product, it has another version than `expected`, the SKU or address belongs to another one, or
/// the result would not be valid.
pub(crate) async fn amend_product(
    store: &Store,
    id: ProductId,
    expected: Option<u64>,
    amendment: &Amendment,
    currency: Currency,
) -> Result<Decision<Product>, ProductError> {
    let mut stored = store.get::<Product>(id.to_string()).await?.ok_or(ProductError::Unknown)?;
    check_version(&stored, expected)?;
    let draft = match amendment {
        Amendment::Whole(draft) => draft.as_ref().clone(),
        Amendment::Fields(fields) => patched(&stored.doc, fields, currency)?,
    };
    let holder = documents::with_sku(store, &draft.listing.sku).await?;
    if holder.is_some_and(|holder| holder.doc.id != id) {
        return Err(ProductError::SkuTaken(draft.listing.sku));
    }
    let slug = match &draft.slug {
        SlugWish::Exactly(_) => free_slug(store, id, &draft.slug, &draft.listing.sku, &mut HashSet::new()).await?,
        SlugWish::Like(_) => stored.doc.slug.clone(),
    };
    match stored.doc.amended(draft.listing, slug, store.clock().now()) {
        Some(product) => {
            stored.doc = product;
            let changes = announce(Changes::new().replace(&stored), &stored.doc, None);
            Ok(Decision::new(changes, stored.doc))
        }
        None => Ok(Decision::unchanged(stored.doc)),
    }
}

/// Refuses a change of something that the caller has not seen.
pub(super) fn check_version(stored: &Stored<Product>, expected: Option<u64>) -> Result<(), ProductError> {
    match expected {
        Some(expected) if expected != stored.doc.version => Err(ProductError::Changed { present: stored.doc.version }),
        Some(_) | None => Ok(()),
    }
}

/// The product's own fields with `fields` laid over them, checked as if they had been sent together.
fn patched(
    product: &Product,
    fields: &BTreeMap<String, Box<RawValue>>,
    currency: Currency,
) -> Result<Draft, ProductError> {
    let unreadable = |error: serde_json::Error| ProductError::Invalid(vec![Flaw::new("", error)]);
    let own = serde_json::to_string(&ProductView::of(product)).map_err(unreadable)?;
    let mut all: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&own).map_err(unreadable)?;
    for (name, value) in fields {
        if value.get() == "null" {
            all.remove(name);
        } else {
            all.insert(name.clone(), value.clone());
        }
    }
    if fields.contains_key("images") && !fields.contains_key("image") {
        // The first picture goes with the list it was the first of.
        all.remove("image");
    }
    let text = serde_json::to_string(&all).map_err(unreadable)?;
    let input: ProductInput =
        serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(&text)).map_err(flaw)?;
    input.draft(currency).map_err(ProductError::Invalid)
}

/// What is wrong with a field. One that may not be taken away is missing, and named all the same.
fn flaw(error: serde_path_to_error::Error<serde_json::Error>) -> ProductError {
    let text = error.inner().to_string();
    let detail = text.split(" at line ").next().unwrap_or_default();
    let missing = detail.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    let path = error.path().to_string();
    let path = missing.unwrap_or(&path).replace('.', "/");
    let pointer = format!("/{}", path.replace(['[', ']'], ""));
    ProductError::Invalid(vec![Flaw::new(pointer.trim_end_matches("/?"), detail)])
}

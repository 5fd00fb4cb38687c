//! What can be wrong with a request about products, and the one mapping to problem documents.

use cartwright_http::Problem;
use cartwright_store::{KeyReused, StoreError};
use cartwright_vocabulary::Sku;

use crate::domain::Flaw;

/// Why a request was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProductError {
    /// No such product, or none that the caller may see.
    #[error("there is no such product")]
    Unknown,
    /// Another product has this SKU.
    #[error("another product has the SKU {0}")]
    SkuTaken(Sku),
    /// Another product has this part of an address.
    #[error("another product has the address {0}")]
    SlugTaken(String),
    /// It changed since the version that the caller names.
    #[error("it has version {present} now")]
    Changed {
        /// The present version.
        present: u64,
    },
    /// The input cannot be kept.
    #[error("some of the input is not valid")]
    Invalid(Vec<Flaw>),
    /// The search index did not answer.
    #[error("the search index did not answer: {0}")]
    Search(#[from] tantivy::TantivyError),
    /// The key belongs to another request.
    #[error(transparent)]
    KeyReused(#[from] KeyReused),
    /// The store's own error.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ProductError> for Problem {
    fn from(error: ProductError) -> Self {
        let text = error.to_string();
        match error {
            ProductError::Unknown => Self::not_found("product_unknown", "There is no such product."),
            ProductError::SkuTaken(sku) => Self::conflict("sku_taken", text).with_fact("sku", sku),
            ProductError::SlugTaken(slug) => Self::conflict("slug_taken", text).with_fact("slug", slug),
            ProductError::Changed { present } => Self::precondition_failed(present),
            ProductError::Invalid(flaws) => {
                let problem = Self::bad_request("invalid_input", "Some of the input is not valid.");
                flaws.iter().fold(problem, |problem, flaw| problem.with_error(&flaw.pointer, &flaw.detail))
            }
            ProductError::Search(_) => Self::internal(&text),
            ProductError::KeyReused(error) => error.into(),
            ProductError::Store(error) => error.into(),
        }
    }
}

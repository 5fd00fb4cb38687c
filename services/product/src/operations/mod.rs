//! What can be done to the catalogue: a product is listed, amended, archived; many are imported.

mod amend_product;
mod archive_product;
mod list_batch;
mod list_product;
mod slugs;

pub(crate) use amend_product::{Amendment, amend_product};
pub(crate) use archive_product::archive_product;
pub(crate) use list_batch::list_batch;
pub(crate) use list_product::list_product;

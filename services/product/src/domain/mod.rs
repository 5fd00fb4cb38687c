//! What a product is, and the rules about it. Pure: nothing here waits, reads or tells the time.

mod category;
mod draft;
mod plain_text;
mod product;
mod shelf;
mod words;

pub(crate) use category::{ancestors, key as category_key};
pub(crate) use draft::{Draft, Flaw, ProductInput, SlugWish, plain_json};
pub(crate) use plain_text::plain_text;
pub use product::{Listing, Product, ProductOption};
pub use shelf::Shelf;
pub(crate) use words::{ANALYZER, analyzer, fold, slug, words};

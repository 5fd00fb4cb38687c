//! The shape of the index. A change of it needs a new [`SCHEMA_VERSION`]: an index of another version is made anew.

use cartwright_contracts::StockStatus;
use tantivy::TantivyDocument;
use tantivy::schema::{FAST, Field, INDEXED, IndexRecordOption, STRING, Schema, TextFieldIndexing, TextOptions};

use super::{level, status_word};
use crate::domain::{ANALYZER, Product, ancestors, category_key, fold};

/// Raised with each change of the shape or of how text is cut into words.
pub(super) const SCHEMA_VERSION: u32 = 1;

/// Names of the columns that are read by document.
pub(super) mod columns {
    pub(in super::super) const ID_HIGH: &str = "id_high";
    pub(in super::super) const ID_LOW: &str = "id_low";
    pub(in super::super) const VERSION: &str = "version";
    pub(in super::super) const LEVEL: &str = "level";
    pub(in super::super) const PRICE: &str = "price";
    pub(in super::super) const CREATED: &str = "created";
    pub(in super::super) const NAME: &str = "name_order";
    pub(in super::super) const CATEGORY: &str = "category";
    pub(in super::super) const BRAND: &str = "brand";
}

/// The fields of the index.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    /// The product's id, by which a document is replaced.
    pub(super) id: Field,
    id_high: Field,
    id_low: Field,
    version: Field,
    /// Availability as a number, see [`level`].
    pub(super) level: Field,
    /// Minor units.
    pub(super) price: Field,
    created: Field,
    name_order: Field,
    category: Field,
    brand: Field,
    /// The keys of the category and of those above it.
    pub(super) category_key: Field,
    /// The folded brand.
    pub(super) brand_key: Field,
    /// The product's state.
    pub(super) status: Field,
    /// The whole SKU in lower case.
    pub(super) sku: Field,
    /// Words of the name, brand, category, SKU, and of everything else.
    pub(super) name_words: Field,
    pub(super) brand_words: Field,
    pub(super) category_words: Field,
    pub(super) sku_words: Field,
    pub(super) other_words: Field,
}

/// The schema and its fields.
pub(super) fn schema() -> (Schema, Fields) {
    let mut schema = Schema::builder();
    let words = || {
        let indexing =
            TextFieldIndexing::default().set_tokenizer(ANALYZER).set_index_option(IndexRecordOption::WithFreqs);
        TextOptions::default().set_indexing_options(indexing)
    };
    let column = || TextOptions::default().set_fast("raw");
    let fields = Fields {
        id: schema.add_text_field("id", STRING),
        id_high: schema.add_u64_field(columns::ID_HIGH, FAST),
        id_low: schema.add_u64_field(columns::ID_LOW, FAST),
        version: schema.add_u64_field(columns::VERSION, FAST),
        level: schema.add_u64_field(columns::LEVEL, FAST | INDEXED),
        price: schema.add_u64_field(columns::PRICE, FAST | INDEXED),
        created: schema.add_u64_field(columns::CREATED, FAST),
        name_order: schema.add_text_field(columns::NAME, column()),
        category: schema.add_text_field(columns::CATEGORY, column()),
        brand: schema.add_text_field(columns::BRAND, column()),
        category_key: schema.add_text_field("category_key", STRING),
        brand_key: schema.add_text_field("brand_key", STRING),
        status: schema.add_text_field("status", STRING),
        sku: schema.add_text_field("sku", STRING),
        name_words: schema.add_text_field("name_words", words()),
        brand_words: schema.add_text_field("brand_words", words()),
        category_words: schema.add_text_field("category_words", words()),
        sku_words: schema.add_text_field("sku_words", words()),
        other_words: schema.add_text_field("other_words", words()),
    };
    (schema.build(), fields)
}

impl Fields {
    /// The index's document of a product.
    pub(super) fn document(&self, product: &Product, stock: StockStatus) -> TantivyDocument {
        let listing = &product.listing;
        let mut document = TantivyDocument::default();
        let id = product.id.uuid().as_u128();
        document.add_text(self.id, product.id.to_string());
        document.add_u64(self.id_high, high(id));
        document.add_u64(self.id_low, low(id));
        document.add_u64(self.version, product.version);
        document.add_u64(self.level, level(stock));
        document.add_u64(self.price, u64::try_from(listing.price.minor()).unwrap_or(0));
        document.add_u64(self.created, u64::try_from(product.created_at.millis()).unwrap_or(0));
        document.add_text(self.name_order, fold(&listing.name));
        for path in ancestors(&listing.category) {
            document.add_text(self.category_key, category_key(&path));
            document.add_text(self.category, path);
        }
        if !listing.brand.is_empty() {
            document.add_text(self.brand, &listing.brand);
            document.add_text(self.brand_key, fold(&listing.brand));
        }
        document.add_text(self.status, status_word(listing.status));
        document.add_text(self.sku, listing.sku.as_str().to_lowercase());
        document.add_text(self.name_words, &listing.name);
        document.add_text(self.brand_words, &listing.brand);
        document.add_text(self.category_words, &listing.category);
        document.add_text(self.sku_words, listing.sku.as_str());
        document.add_text(self.other_words, &listing.description);
        let options = listing.options.iter().map(|option| &option.value);
        for text in listing.tags.iter().chain(options) {
            document.add_text(self.other_words, text);
        }
        document
    }
}

/// The upper half of an id.
pub(super) fn high(id: u128) -> u64 {
    u64::try_from(id >> 64).unwrap_or(u64::MAX)
}

/// The lower half of an id.
pub(super) fn low(id: u128) -> u64 {
    u64::try_from(id & u128::from(u64::MAX)).unwrap_or(u64::MAX)
}

/// The id of its halves.
pub(super) fn joined(high: u64, low: u64) -> u128 {
    u128::from(high) << 64 | u128::from(low)
}

//! Products as the public routes write them.

use cartwright_contracts::{Availability, ProductStatus, StockStatus};
use cartwright_runtime::Time;
use cartwright_vocabulary::{Amount, Currency, Money, ProductId, Sku};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{Product, ProductOption};
use crate::search::{Count, Facets};

/// A product.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Product)]
pub(crate) struct ProductView {
    /// Its id.
    #[serde(rename = "_id")]
    id: ProductId,
    /// The shop's own name of it.
    sku: Sku,
    /// Its title.
    name: String,
    /// Its part of an address.
    slug: String,
    /// Plain text.
    description: String,
    /// What one costs.
    price: Amount,
    /// What one cost before.
    #[serde(skip_serializing_if = "Option::is_none")]
    compare_at_price: Option<Amount>,
    /// The currency of both.
    currency: Currency,
    /// A path, `Kitchen > Tea`.
    category: String,
    /// Who makes it; may be empty.
    brand: String,
    /// The address of its first picture; may be empty.
    image: String,
    /// The addresses of all its pictures.
    images: Vec<String>,
    /// What tells it from the other variants of its group.
    options: Vec<ProductOption>,
    /// The group of variants that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    item_group_id: Option<String>,
    /// How it is taxed.
    tax_category: String,
    /// Further words by which it is found.
    tags: Vec<String>,
    /// `draft`, `active` or `archived`.
    #[schema(value_type = String)]
    status: ProductStatus,
    /// Raised by each change.
    version: u64,
    /// When it was first listed.
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Time,
    /// How many there are; a hint, since only an order holds anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    availability: Option<AvailabilityView>,
}

/// How many there are.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct AvailabilityView {
    /// What a new order can still get.
    available: u32,
    /// `in_stock`, `low_stock` or `out_of_stock`.
    #[schema(value_type = String)]
    status: StockStatus,
}

impl From<&Availability> for AvailabilityView {
    fn from(availability: &Availability) -> Self {
        Self { available: availability.available, status: availability.status() }
    }
}

impl ProductView {
    /// The product alone.
    pub(crate) fn of(product: &Product) -> Self {
        let listing = product.listing.clone();
        Self {
            id: product.id,
            sku: listing.sku,
            name: listing.name,
            slug: product.slug.clone(),
            description: listing.description,
            price: listing.price.into(),
            compare_at_price: listing.compare_at_price.map(Amount),
            currency: listing.price.currency(),
            category: listing.category,
            brand: listing.brand,
            image: listing.image,
            images: listing.images,
            options: listing.options,
            item_group_id: listing.item_group_id,
            tax_category: listing.tax_category,
            tags: listing.tags,
            status: listing.status,
            version: product.version,
            created_at: product.created_at,
            updated_at: product.updated_at,
            availability: None,
        }
    }

    /// The product and how many there are.
    pub(crate) fn with(product: &Product, availability: &Availability) -> Self {
        Self { availability: Some(availability.into()), ..Self::of(product) }
    }
}

/// Products of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProductList {
    /// The page.
    pub(crate) items: Vec<ProductView>,
    /// Where the next page starts; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_cursor: Option<String>,
    /// How many match.
    pub(crate) total: u64,
}

/// Products that were asked for by id.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProductBatch {
    /// Those that exist and are shown, in the order of the ids.
    pub(crate) items: Vec<ProductView>,
    /// The ids of the others.
    pub(crate) missing: Vec<String>,
}

/// What a search found.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SearchResult {
    /// The page.
    pub(crate) items: Vec<ProductView>,
    /// Where the next page starts; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_cursor: Option<String>,
    /// How many match.
    pub(crate) total: u64,
    /// How all that match divide.
    pub(crate) facets: FacetsView,
    /// What may have been meant, where something of it is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) suggestion: Option<String>,
}

/// How what was found divides.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FacetsView {
    /// By category; a product counts for each step of its path.
    category: Vec<ValueCount>,
    /// By brand.
    brand: Vec<ValueCount>,
    /// By price, cheapest first.
    price: Vec<PriceBucket>,
    /// By availability.
    availability: Vec<ValueCount>,
}

/// So many have this value.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ValueCount {
    /// The value, as the filter of that name takes it.
    value: String,
    /// How many.
    count: u64,
}

/// So many cost this much.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PriceBucket {
    /// At least.
    min: Amount,
    /// Less than.
    below: Amount,
    /// The currency of both.
    currency: Currency,
    /// How many.
    count: u64,
}

impl FacetsView {
    /// The facets in the shop's currency.
    pub(crate) fn of(facets: Facets, currency: Currency) -> Self {
        let amount = |minor: u64| Amount(Money::from_minor(i64::try_from(minor).unwrap_or(i64::MAX), currency));
        let text = |Count { value, count }| ValueCount { value, count };
        let price = facets.price.iter().map(|step| PriceBucket {
            min: amount(step.from),
            below: amount(step.below),
            currency,
            count: step.count,
        });
        Self {
            price: price.collect(),
            category: facets.category.into_iter().map(text).collect(),
            brand: facets.brand.into_iter().map(text).collect(),
            availability: facets
                .availability
                .into_iter()
                .map(|Count { value, count }| ValueCount { value: word(value).to_owned(), count })
                .collect(),
        }
    }
}

const fn word(status: StockStatus) -> &'static str {
    match status {
        StockStatus::InStock => "in_stock",
        StockStatus::LowStock => "low_stock",
        StockStatus::OutOfStock => "out_of_stock",
    }
}

/// The tree of categories.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CategoryTree {
    /// The categories at the top, by name.
    pub(crate) items: Vec<CategoryView>,
}

/// A category with those below it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CategoryView {
    /// Its name.
    name: String,
    /// Its whole path, as the filter `category` takes it.
    path: String,
    /// The same as part of an address; the filter takes it too.
    slug: String,
    /// Products in it and below it.
    count: u64,
    /// The categories below it, by name.
    #[schema(no_recursion)]
    children: Vec<CategoryView>,
}

impl CategoryTree {
    /// The tree of these paths, each with its count.
    pub(crate) fn of(mut counts: Vec<Count<String>>) -> Self {
        counts.sort_by(|left, right| left.value.cmp(&right.value));
        Self { items: below(None, &counts) }
    }
}

fn below(parent: Option<&str>, counts: &[Count<String>]) -> Vec<CategoryView> {
    let children = counts.iter().filter(|it| it.value.rsplit_once(" > ").map(|(parent, _)| parent) == parent);
    children
        .map(|Count { value, count }| CategoryView {
            name: value.rsplit_once(" > ").map_or(value.as_str(), |(_, name)| name).to_owned(),
            path: value.clone(),
            slug: crate::domain::category_key(value),
            count: *count,
            children: below(Some(value), counts),
        })
        .collect()
}

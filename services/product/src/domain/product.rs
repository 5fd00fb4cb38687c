//! A product: what the shop says about it, and how often that and its price changed.
//!
//! `version` counts every change, `price_version` those of the price alone, so that an order line names the price it was
//! sold at. A change that changes nothing raises neither.

use cartwright_contracts::{ProductSnapshot, ProductStatus};
use cartwright_runtime::Time;
use cartwright_vocabulary::{Money, ProductId, Sku};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What the shop says about a product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listing {
    /// The shop's own name of it.
    pub sku: Sku,
    /// Its title.
    pub name: String,
    /// Plain text.
    pub description: String,
    /// What one costs.
    pub price: Money,
    /// What one cost before, or costs elsewhere; more than the price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare_at_price: Option<Money>,
    /// Where it stands in the shop: a path, `Kitchen > Tea`.
    pub category: String,
    /// Who makes it; empty where that was not said.
    pub brand: String,
    /// The address of its first picture; empty where there is none.
    pub image: String,
    /// The addresses of all its pictures, the first one included.
    pub images: Vec<String>,
    /// What tells it from the other variants of its group.
    pub options: Vec<ProductOption>,
    /// The group of variants that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item_group_id: Option<String>,
    /// How it is taxed.
    pub tax_category: String,
    /// Further words by which it is found.
    pub tags: Vec<String>,
    /// Whether it can be bought.
    pub status: ProductStatus,
}

/// One choice of a variant: `Size` is `M`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProductOption {
    /// What is chosen, for example `Size`.
    pub name: String,
    /// What it is here, for example `M`.
    pub value: String,
}

/// A product of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Product {
    /// Its id.
    #[serde(rename = "_id")]
    pub id: ProductId,
    /// Its part of an address, unique in the shop.
    pub slug: String,
    /// Raised by each change.
    pub version: u64,
    /// Raised by each change of the price.
    pub price_version: u64,
    /// When it was first listed.
    pub created_at: Time,
    /// When it was last changed.
    pub updated_at: Time,
    /// What the shop says about it.
    #[serde(flatten)]
    pub listing: Listing,
}

impl Product {
    /// A product that is listed for the first time.
    pub fn new(id: ProductId, slug: String, listing: Listing, now: Time) -> Self {
        Self { id, slug, version: 1, price_version: 1, created_at: now, updated_at: now, listing }
    }

    /// The product as it is after this is said about it; `None` where nothing changes.
    #[must_use]
    pub fn amended(&self, listing: Listing, slug: String, now: Time) -> Option<Self> {
        if self.listing == listing && self.slug == slug {
            return None;
        }
        let price_version = self.price_version + u64::from(self.listing.price != listing.price);
        let updated_at = now.max(self.updated_at);
        Some(Self { slug, version: self.version + 1, price_version, updated_at, listing, ..self.clone() })
    }

    /// Whether shoppers see it.
    pub fn is_public(&self) -> bool {
        self.listing.status == ProductStatus::Active
    }

    /// What a cart and an order need of it.
    pub fn snapshot(&self) -> ProductSnapshot {
        ProductSnapshot {
            id: self.id,
            sku: self.listing.sku.clone(),
            name: self.listing.name.clone(),
            image: self.listing.image.clone(),
            price: self.listing.price,
            price_version: self.price_version,
            tax_category: self.listing.tax_category.clone(),
            status: self.listing.status,
        }
    }
}

#[cfg(test)]
mod tests {
    use cartwright_vocabulary::Currency;

    use super::*;

    fn listing(minor: i64, name: &str) -> Listing {
        Listing {
            sku: "TEA-250".parse().unwrap(),
            name: name.to_owned(),
            description: String::new(),
            price: Money::from_minor(minor, Currency::USD),
            compare_at_price: None,
            category: "Tea".to_owned(),
            brand: String::new(),
            image: String::new(),
            images: Vec::new(),
            options: Vec::new(),
            item_group_id: None,
            tax_category: "standard".to_owned(),
            tags: Vec::new(),
            status: ProductStatus::Active,
        }
    }

    #[test]
    fn the_price_version_counts_changes_of_the_price_alone() {
        let id = "prd_00000000000000000000000000000001".parse().unwrap();
        let slug = || "tea".to_owned();
        let now = Time::from_millis(1);
        let product = Product::new(id, slug(), listing(100, "Tea"), now);
        let renamed = product.amended(listing(100, "Good tea"), slug(), now).unwrap();
        assert_eq!((renamed.version, renamed.price_version), (2, 1));
        let dearer = renamed.amended(listing(101, "Good tea"), slug(), now).unwrap();
        assert_eq!((dearer.version, dearer.price_version), (3, 2));
        assert_eq!(dearer.amended(listing(101, "Good tea"), slug(), now), None);
    }

    #[test]
    fn a_clock_that_went_back_does_not_hide_a_change() {
        let id = "prd_00000000000000000000000000000001".parse().unwrap();
        let product = Product::new(id, "tea".to_owned(), listing(100, "Tea"), Time::from_millis(50));
        let changed = product.amended(listing(99, "Tea"), "tea".to_owned(), Time::from_millis(3)).unwrap();
        assert_eq!(changed.updated_at, Time::from_millis(50));
    }
}

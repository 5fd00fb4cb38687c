//! What a new shop starts with: two shipping methods and a small tax table, which its owner may change.

use cartwright_store::{Changes, Decision, Lane, Store, StoreError, change};
use cartwright_vocabulary::{Currency, Money};

use crate::documents::{ShippingMethod, TaxRate, shipping_methods};

/// `(country, region, category, title, millionths)`. Standard rates as published by the countries' tax authorities in 2026;
/// places that are not listed are not taxed.
const RATES: [(&str, Option<&str>, &str, &str, u32); 9] = [
    ("DE", None, "standard", "USt 19 %", 190_000),
    ("DE", None, "reduced", "USt 7 %", 70_000),
    ("AT", None, "standard", "USt 20 %", 200_000),
    ("FR", None, "standard", "TVA 20 %", 200_000),
    ("FR", None, "reduced", "TVA 5,5 %", 55_000),
    ("GB", None, "standard", "VAT 20 %", 200_000),
    ("US", Some("CA"), "standard", "CA sales tax 7.25 %", 72_500),
    ("US", Some("NY"), "standard", "NY sales tax 4 %", 40_000),
    ("US", Some("TX"), "standard", "TX sales tax 6.25 %", 62_500),
];

/// Inserts shipping methods and tax rates where there are no shipping methods yet.
pub(crate) async fn seed(store: &Store, currency: Currency) -> Result<(), StoreError> {
    change(store, Lane::of::<ShippingMethod>("standard"), |view| async move {
        if !shipping_methods(&view).await?.is_empty() {
            return Ok(Decision::unchanged(()));
        }
        let unit = 10_i64.pow(currency.digits());
        let method = |id: &str, title: &str, units: i64, rank| ShippingMethod {
            id: id.to_owned(),
            title: title.to_owned(),
            price: Money::from_minor(units * unit, currency),
            free_from: None,
            rank,
        };
        let mut changes = Changes::new().insert(&method("standard", "Standard, 3 to 5 days", 5, 1)).insert(&method(
            "express",
            "Express, next day",
            15,
            2,
        ));
        for (country, region, category, title, rate_ppm) in RATES {
            changes = changes.insert(&TaxRate {
                country: country.to_owned(),
                region: region.map(str::to_owned),
                category: category.to_owned(),
                title: title.to_owned(),
                rate_ppm,
            });
        }
        Ok(Decision::new(changes, ()))
    })
    .await
}

//! What somebody wants to list, checked: input in the API's field names becomes a listing, or a list of what is wrong.

use std::collections::BTreeMap;

use cartwright_contracts::ProductStatus;
use cartwright_vocabulary::{Currency, DecimalText, Money, MoneyError, Sku};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{Listing, ProductOption, category, slug};

/// The most that one unit may cost, in minor units (R-M 3).
const DEAREST_MINOR: i64 = 10_000_000_000;
/// The most units that a product may open with.
const FULLEST_SHELF: u32 = 1_000_000;

/// A product as an admin or a file writes it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProductInput {
    /// The shop's own name of it, unique.
    pub(crate) sku: String,
    /// Its title, 1 to 200 characters.
    pub(crate) name: String,
    /// Its part of an address; made of the name where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) slug: Option<String>,
    /// Plain text, at most 20,000 characters.
    #[serde(default)]
    pub(crate) description: String,
    /// What one costs, with at most the digits of the currency.
    pub(crate) price: DecimalText,
    /// What one cost before; more than the price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) compare_at_price: Option<DecimalText>,
    /// The shop's currency; may be left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) currency: Option<String>,
    /// A path, `Kitchen > Tea`; `Other` where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) category: Option<String>,
    /// Who makes it.
    #[serde(default)]
    pub(crate) brand: String,
    /// The address of its first picture: `https://…` or a path.
    #[serde(default)]
    pub(crate) image: String,
    /// The addresses of further pictures.
    #[serde(default)]
    pub(crate) images: Vec<String>,
    /// What tells it from the other variants of its group.
    #[serde(default)]
    pub(crate) options: Vec<ProductOption>,
    /// The group of variants that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) item_group_id: Option<String>,
    /// How it is taxed; `standard` where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tax_category: Option<String>,
    /// Further words by which it is found.
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    /// `draft`, `active` or `archived`; `active` where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(crate) status: Option<ProductStatus>,
    /// How many are on the shelf when it is listed for the first time; later only inventory counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) opening_stock: Option<u32>,
}

/// A listing that can be kept, and what goes with it.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) listing: Listing,
    pub(crate) slug: SlugWish,
    pub(crate) opening_stock: Option<u32>,
}

/// Which part of an address somebody wants for a product.
#[derive(Clone, Debug)]
pub(crate) enum SlugWish {
    /// This one and no other.
    Exactly(String),
    /// Like this, or as it was.
    Like(String),
}

/// One thing that is wrong with the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// A JSON pointer to it.
    pub(crate) pointer: String,
    /// What is wrong, for people.
    pub(crate) detail: String,
}

impl Flaw {
    pub(crate) fn new(pointer: &str, detail: impl ToString) -> Self {
        Self { pointer: pointer.to_owned(), detail: detail.to_string() }
    }
}

impl ProductInput {
    /// The draft it means in a shop that sells in `currency`, or everything that is wrong with it.
    pub(crate) fn draft(self, currency: Currency) -> Result<Draft, Vec<Flaw>> {
        let mut check = Check::default();
        check.currency(self.currency.as_deref(), currency);
        let sku: Option<Sku> = check.keep("/sku", self.sku.trim().parse::<Sku>());
        let name = check.text("/name", &self.name, 1, 200);
        let price = check.money("/price", &self.price, currency);
        let compare_at_price = self.compare_at_price.and_then(|it| check.money("/compareAtPrice", &it, currency));
        check.more_than_the_price(compare_at_price, price);
        let slug = check.slug(self.slug, &name);
        let category = check.category(self.category);
        let listing = Listing {
            description: check.long_text("/description", &self.description),
            compare_at_price,
            brand: check.text("/brand", &self.brand, 0, 100),
            images: check.images(&self.image, &self.images),
            image: check.image("/image", &self.image),
            options: check.options(self.options),
            item_group_id: self.item_group_id.map(|group| check.text("/itemGroupId", &group, 1, 100)),
            tax_category: check.text("/taxCategory", self.tax_category.as_deref().unwrap_or("standard"), 1, 50),
            tags: check.tags(&self.tags),
            status: self.status.unwrap_or(ProductStatus::Active),
            category,
            name,
            // Where either is missing, a flaw says so and this value goes nowhere.
            sku: sku.ok_or_else(|| check.flaws.clone())?,
            price: price.ok_or_else(|| check.flaws.clone())?,
        };
        if self.opening_stock.is_some_and(|units| units > FULLEST_SHELF) {
            check.flaw("/openingStock", format!("at most {FULLEST_SHELF}"));
        }
        let listing = Listing { image: first_image(&listing), ..listing };
        if check.flaws.is_empty() {
            Ok(Draft { listing, slug, opening_stock: self.opening_stock })
        } else {
            Err(check.flaws)
        }
    }
}

fn first_image(listing: &Listing) -> String {
    if listing.image.is_empty() { listing.images.first().cloned().unwrap_or_default() } else { listing.image.clone() }
}

/// Collects what is wrong.
#[derive(Default)]
struct Check {
    flaws: Vec<Flaw>,
}

impl Check {
    fn flaw(&mut self, pointer: &str, detail: impl ToString) {
        self.flaws.push(Flaw::new(pointer, detail));
    }

    fn keep<T, E: ToString>(&mut self, pointer: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.flaw(pointer, error)).ok()
    }

    fn currency(&mut self, code: Option<&str>, shop: Currency) {
        if code.is_some_and(|code| code != shop.code()) {
            self.flaw("/currency", format!("this shop sells in {shop}"));
        }
    }

    fn money(&mut self, pointer: &str, text: &DecimalText, currency: Currency) -> Option<Money> {
        let money = text
            .in_currency(currency)
            .and_then(|money| if money.minor() > DEAREST_MINOR { Err(MoneyError::Overflow) } else { Ok(money) });
        let money = self.keep(pointer, money)?;
        if money.minor() < 0 {
            self.flaw(pointer, "not less than 0");
        }
        Some(money)
    }

    fn more_than_the_price(&mut self, compare: Option<Money>, price: Option<Money>) {
        if let (Some(compare), Some(price)) = (compare, price)
            && compare.minor() <= price.minor()
        {
            self.flaw("/compareAtPrice", "more than the price, or absent");
        }
    }

    fn text(&mut self, pointer: &str, text: &str, least: usize, most: usize) -> String {
        let text = text.trim();
        if !(least..=most).contains(&text.chars().count()) {
            self.flaw(pointer, format!("{least} to {most} characters are needed"));
        }
        if text.chars().any(char::is_control) {
            self.flaw(pointer, "no control characters");
        }
        text.to_owned()
    }

    fn long_text(&mut self, pointer: &str, text: &str) -> String {
        if text.chars().count() > 20_000 {
            self.flaw(pointer, "at most 20000 characters");
        }
        if text.chars().any(|c| c.is_control() && c != '\n' && c != '\r' && c != '\t') {
            self.flaw(pointer, "no control characters but line breaks and tabs");
        }
        text.trim().to_owned()
    }

    fn slug(&mut self, wanted: Option<String>, name: &str) -> SlugWish {
        let Some(wanted) = wanted else { return SlugWish::Like(slug(name)) };
        if wanted.is_empty()
            || wanted.len() > 120
            || wanted != wanted.trim_matches('-')
            || !wanted.bytes().all(in_a_slug)
        {
            self.flaw("/slug", "1 to 120 lower-case letters, digits and single hyphens");
        }
        SlugWish::Exactly(wanted)
    }

    fn category(&mut self, path: Option<String>) -> String {
        let path = self.text("/category", path.as_deref().unwrap_or("Other"), 1, 200);
        let steps = category::ancestors(&path);
        if steps.is_empty() || steps.len() > 8 {
            self.flaw("/category", "1 to 8 names with ` > ` between them");
        }
        steps.last().cloned().unwrap_or_default()
    }

    fn image(&mut self, pointer: &str, address: &str) -> String {
        let known = ["https://", "http://"].iter().any(|scheme| address.starts_with(scheme));
        let path = address.starts_with('/') && !address.starts_with("//");
        let plain = address.len() <= 2000 && !address.chars().any(|c| c.is_control() || c.is_whitespace());
        if !(address.is_empty() || ((known || path) && plain)) {
            self.flaw(pointer, "an address `https://…` or a path `/…` of at most 2000 characters");
        }
        address.to_owned()
    }

    fn images(&mut self, first: &str, others: &[String]) -> Vec<String> {
        if others.len() > 50 {
            self.flaw("/images", "at most 50");
        }
        let mut images: Vec<String> = Vec::new();
        for (place, address) in others.iter().enumerate() {
            images.push(self.image(&format!("/images/{place}"), address));
        }
        images.retain(|address| !address.is_empty() && address != first);
        if !first.is_empty() {
            images.insert(0, first.to_owned());
        }
        images
    }

    fn options(&mut self, options: Vec<ProductOption>) -> Vec<ProductOption> {
        if options.len() > 10 {
            self.flaw("/options", "at most 10");
        }
        let checked = options.into_iter().enumerate().map(|(place, option)| ProductOption {
            name: self.text(&format!("/options/{place}/name"), &option.name, 1, 50),
            value: self.text(&format!("/options/{place}/value"), &option.value, 1, 100),
        });
        checked.collect()
    }

    fn tags(&mut self, tags: &[String]) -> Vec<String> {
        if tags.len() > 50 {
            self.flaw("/tags", "at most 50");
        }
        tags.iter().enumerate().map(|(place, tag)| self.text(&format!("/tags/{place}"), tag, 1, 50)).collect()
    }
}

const fn in_a_slug(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

/// A JSON object by its fields, each as it was written, so that numbers stay exact. A field named twice is refused.
pub(crate) fn plain_json<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Box<RawValue>>, D::Error> {
    struct Fields;
    impl<'de> serde::de::Visitor<'de> for Fields {
        type Value = BTreeMap<String, Box<RawValue>>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut fields = BTreeMap::new();
            while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                if fields.insert(name.clone(), value).is_some() {
                    return Err(serde::de::Error::custom(format_args!("duplicate field `{name}`")));
                }
            }
            Ok(fields)
        }
    }
    deserializer.deserialize_map(Fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flaws(json: &str) -> Vec<Flaw> {
        serde_json::from_str::<ProductInput>(json).unwrap().draft(Currency::USD).unwrap_err()
    }

    #[test]
    fn everything_that_is_wrong_is_named_at_once() {
        let flaws = flaws(
            r#"{"sku": "A", "name": " ", "price": 5, "compareAtPrice": 5, "currency": "EUR",
                "image": "javascript:alert(1)", "slug": "Not A Slug"}"#,
        );
        let pointers: Vec<&str> = flaws.iter().map(|flaw| flaw.pointer.as_str()).collect();
        assert_eq!(pointers, ["/currency", "/name", "/compareAtPrice", "/slug", "/image"]);
    }

    #[test]
    fn a_price_is_a_plain_number_with_the_digits_of_its_currency() {
        for wrong in ["1.999", "-1", "1e2", "\"5\"", "null", "200000000"] {
            let flaws = flaws(&format!(r#"{{"sku": "A", "name": "A", "price": {wrong}}}"#));
            assert_eq!(flaws[0].pointer, "/price", "{wrong}");
        }
    }

    #[test]
    fn the_first_picture_stands_first_among_all() {
        let json = r#"{"sku": "A", "name": "A", "price": 1, "image": "/b.svg", "images": ["/a.svg", "/b.svg"]}"#;
        let draft = serde_json::from_str::<ProductInput>(json).unwrap().draft(Currency::USD).unwrap();
        assert_eq!(draft.listing.images, ["/b.svg", "/a.svg"]);
    }
}

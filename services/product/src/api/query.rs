//! What a reader of lists may ask for: filters, order and page, each checked and named when it is wrong.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use cartwright_contracts::ProductStatus;
use cartwright_http::{Caller, Problem, Role};
use cartwright_vocabulary::{Currency, Money};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::search::{Place, Sort, Wanted};

/// The longest question that is looked for, in characters.
const LONGEST_QUESTION: usize = 200;

/// Filters, order and page.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct Filters {
    /// A category and all below it, `Kitchen > Tea` or `kitchen/tea`.
    category: Option<String>,
    /// Products of one maker.
    brand: Option<String>,
    /// Not cheaper than this.
    #[param(value_type = Option<f64>)]
    min_price: Option<String>,
    /// Not dearer than this.
    #[param(value_type = Option<f64>)]
    max_price: Option<String>,
    /// `true` for what can be bought now, `false` for what cannot.
    #[param(value_type = Option<bool>)]
    in_stock: Option<String>,
    /// `newest`, `price`, `-price`, `name`, `-name` or `relevance`.
    sort: Option<String>,
    /// For admins: `draft`, `active`, `archived` or `all`; everybody else sees `active`.
    status: Option<String>,
    /// Items a page, 1 to 100.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 20)]
    limit: Option<String>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

/// What is typed into a search box.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Question {
    /// Words, the beginning of one, or a SKU.
    q: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Filters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        read(parts, state).await
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Question {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        read(parts, state).await
    }
}

async fn read<T: serde::de::DeserializeOwned, S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<T, Problem> {
    let query = Query::<T>::from_request_parts(parts, state).await;
    query.map(|Query(query)| query).map_err(|rejection| Problem::bad_request("invalid_input", rejection.body_text()))
}

impl Question {
    /// The words.
    pub(crate) fn text(&self) -> Result<String, Problem> {
        let text = self.q.as_deref().unwrap_or("").trim();
        if text.chars().count() > LONGEST_QUESTION {
            return Err(Problem::invalid("q", format!("at most {LONGEST_QUESTION} characters")));
        }
        Ok(text.to_owned())
    }
}

impl Filters {
    /// What is wanted by `caller`, in a shop that sells in `currency`.
    pub(crate) fn wanted(
        &self,
        caller: Option<&Caller>,
        currency: Currency,
        text: String,
        facets: bool,
    ) -> Result<Wanted, Problem> {
        let sort = self.sort(if text.is_empty() { Sort::Newest } else { Sort::Relevance })?;
        Ok(Wanted {
            category: given(&self.category),
            brand: given(&self.brand),
            min_price: price("minPrice", &self.min_price, currency)?,
            max_price: price("maxPrice", &self.max_price, currency)?,
            in_stock: self.in_stock()?,
            status: self.status(caller)?,
            after: given(&self.cursor).as_deref().map(|cursor| after(cursor, sort)).transpose()?,
            limit: self.limit()?,
            text,
            sort,
            facets,
        })
    }

    fn sort(&self, default: Sort) -> Result<Sort, Problem> {
        Ok(match given(&self.sort).as_deref() {
            None => default,
            Some("relevance") => Sort::Relevance,
            Some("newest" | "-createdAt") => Sort::Newest,
            Some("price" | "price_asc") => Sort::PriceUp,
            Some("-price" | "price_desc") => Sort::PriceDown,
            Some("name" | "name_asc") => Sort::NameUp,
            Some("-name" | "name_desc") => Sort::NameDown,
            Some(_) => return Err(Problem::invalid("sort", "newest, price, -price, name, -name or relevance")),
        })
    }

    fn in_stock(&self) -> Result<Option<bool>, Problem> {
        let Some(text) = given(&self.in_stock) else { return Ok(None) };
        match text.as_str() {
            "true" | "1" => Ok(Some(true)),
            "false" | "0" => Ok(Some(false)),
            _ => Err(Problem::invalid("inStock", "true or false")),
        }
    }

    fn status(&self, caller: Option<&Caller>) -> Result<Option<ProductStatus>, Problem> {
        let status = match given(&self.status).as_deref() {
            None | Some("active") => return Ok(Some(ProductStatus::Active)),
            Some("draft") => Some(ProductStatus::Draft),
            Some("archived") => Some(ProductStatus::Archived),
            Some("all") => None,
            Some(_) => return Err(Problem::invalid("status", "draft, active, archived or all")),
        };
        match caller {
            Some(caller) if caller.role == Role::Admin => Ok(status),
            Some(_) | None => Err(Problem::forbidden("Only an admin sees what is not on sale.")),
        }
    }

    fn limit(&self) -> Result<usize, Problem> {
        let Some(text) = given(&self.limit) else { return Ok(20) };
        let limit = text.parse().ok().filter(|limit| (1..=100).contains(limit));
        limit.ok_or_else(|| Problem::invalid("limit", "a number from 1 to 100"))
    }
}

/// The text of a parameter that is there and not empty.
fn given(text: &Option<String>) -> Option<String> {
    text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(ToOwned::to_owned)
}

fn price(name: &str, text: &Option<String>, currency: Currency) -> Result<Option<u64>, Problem> {
    let Some(text) = given(text) else { return Ok(None) };
    let money = Money::parse(&text, currency).map_err(|error| Problem::invalid(name, error))?;
    u64::try_from(money.minor()).map(Some).map_err(|_| Problem::invalid(name, "not less than 0"))
}

fn after(cursor: &str, sort: Sort) -> Result<Place, Problem> {
    let place = bytes(cursor).and_then(|json| serde_json::from_slice::<Place>(&json).ok());
    place
        .filter(|place| place.sort == sort)
        .ok_or_else(|| Problem::invalid("cursor", "the nextCursor of a page in the same order"))
}

/// The cursor that names a place.
pub(crate) fn cursor(place: &Place) -> String {
    let json = serde_json::to_vec(place).unwrap_or_default();
    json.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        hex.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}

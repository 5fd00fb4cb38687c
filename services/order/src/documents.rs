//! Orders as they are kept, and what decides their shipping and tax.

use cartwright_bus::DeadLetter;
use cartwright_contracts::OrderItem;
use cartwright_pricing::{OrderTotals, PartsPerMillion};
use cartwright_runtime::Time;
use cartwright_store::{CollectionSpec, Document, Index, IndexEntry, Store, StoreError, Stored};
use cartwright_vocabulary::{Address, CartId, Email, Money, OrderId, UserId};
use serde::{Deserialize, Serialize};

use crate::domain::{News, Stage, Status};

/// An order: a snapshot of what was agreed, and the stage of its checkout.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// The order.
    #[serde(rename = "_id")]
    pub id: OrderId,
    /// Its number for people.
    pub order_number: String,
    /// Whose.
    pub user_id: UserId,
    /// The cart it was made of.
    pub cart_id: CartId,
    /// That cart's version.
    pub cart_version: u64,
    /// Where the checkout stands.
    pub stage: Stage,
    /// The last attempt to pay that was heard of, and how far it had come.
    #[serde(default)]
    pub last_payment_news: (u32, u8),
    /// When it is cancelled unless it was paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    /// The provider's token that it is paid with first.
    pub payment_method: String,
    /// What was bought, as it was sold.
    pub items: Vec<OrderItem>,
    /// What it costs.
    pub totals: OrderTotals,
    /// Where to write to.
    pub email: Email,
    /// Where it is sent.
    pub shipping_address: Address,
    /// Where it is billed to.
    pub billing_address: Address,
    /// How it is sent.
    pub shipping_method: String,
    /// Its public states and when it reached them.
    pub history: Vec<Step>,
    /// Counts its changes.
    pub version: u64,
    /// When it was placed.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
}

/// A public state and when it was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The state.
    pub status: Status,
    /// When it was reached.
    pub at: Time,
}

const BY_USER: &str = "by-user";
const BY_DEADLINE: &str = "by-deadline";

impl Document for Order {
    const COLLECTION: &'static str = "orders";
    const INDEXES: &'static [Index] = &[
        Index::many(BY_USER, &["userId", "createdAt"]),
        Index::many(BY_DEADLINE, &["deadline"]),
        Index::unique("by-number", &["orderNumber"]),
    ];

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn index_entries(&self) -> Vec<IndexEntry> {
        let mut entries = vec![
            IndexEntry::new(BY_USER, [self.user_id.to_string().into(), self.created_at.into()]),
            IndexEntry::new("by-number", [self.order_number.as_str().into()]),
        ];
        entries.extend(self.deadline.map(|deadline| IndexEntry::new(BY_DEADLINE, [deadline.into()])));
        entries
    }
}

impl Order {
    /// Takes `news` into account at `now`; false where it changes nothing.
    pub fn hear(&mut self, news: &News, now: Time) -> bool {
        let Some(stage) = self.stage.after(news, self.last_payment_news) else { return false };
        self.last_payment_news = news.rank().unwrap_or(self.last_payment_news);
        if self.stage.status() != stage.status() {
            self.history.push(Step { status: stage.status(), at: now });
        }
        if !stage.is_open() {
            self.deadline = None;
        }
        self.stage = stage;
        self.version += 1;
        self.updated_at = now;
        true
    }
}

/// What became of the checkout of one cart version; the key makes it at most one order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Checkout {
    /// The cart.
    pub cart: CartId,
    /// The version of its contents.
    pub version: u64,
    /// The order it made; none where it was abandoned and must not make one any more.
    pub order: Option<OrderId>,
    /// When that was decided.
    pub at: Time,
}

impl Checkout {
    /// The key of the checkout of `cart` at `version`.
    pub fn key_of(cart: CartId, version: u64) -> String {
        format!("{cart}:{version}")
    }
}

impl Document for Checkout {
    const COLLECTION: &'static str = "checkouts";

    fn key(&self) -> String {
        Self::key_of(self.cart, self.version)
    }
}

/// The record of a create-order request that carried a key: the same key gets the same order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlacedUnder {
    /// The request's name: caller, route and key.
    pub name: String,
    /// What was asked.
    pub fingerprint: String,
    /// The order that it made or found.
    pub order: OrderId,
    /// When.
    pub at: Time,
}

impl Document for PlacedUnder {
    const COLLECTION: &'static str = "placed-under";

    fn key(&self) -> String {
        self.name.clone()
    }
}

/// A way to send an order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShippingMethod {
    /// Its name for programs, for example `standard`.
    pub id: String,
    /// Its name for people.
    pub title: String,
    /// The flat rate.
    pub price: Money,
    /// The subtotal from which it costs nothing.
    pub free_from: Option<Money>,
    /// Its place in lists.
    pub rank: u32,
}

impl Document for ShippingMethod {
    const COLLECTION: &'static str = "shipping-methods";

    fn key(&self) -> String {
        self.id.clone()
    }
}

/// What tax applies to one category of goods sent to one place.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaxRate {
    /// ISO 3166 alpha-2 code.
    pub country: String,
    /// A state or province, where the rate is not the whole country's.
    pub region: Option<String>,
    /// The products' tax category.
    pub category: String,
    /// Its name for people.
    pub title: String,
    /// The rate, in millionths of the net price.
    pub rate_ppm: PartsPerMillion,
}

impl TaxRate {
    /// The key of the rate of a category in a place.
    pub fn key_of(country: &str, region: Option<&str>, category: &str) -> String {
        format!("{country}:{}:{category}", region.unwrap_or("*"))
    }
}

impl Document for TaxRate {
    const COLLECTION: &'static str = "tax-rates";

    fn key(&self) -> String {
        Self::key_of(&self.country, self.region.as_deref(), &self.category)
    }
}

/// The collections that order keeps.
pub fn collections() -> [CollectionSpec; 6] {
    [Order::spec(), Checkout::spec(), PlacedUnder::spec(), ShippingMethod::spec(), TaxRate::spec(), DeadLetter::spec()]
}

/// An order, if it exists.
///
/// # Errors
/// When the store does not answer.
pub async fn order(store: &Store, id: OrderId) -> Result<Option<Stored<Order>>, StoreError> {
    store.get(id.to_string()).await
}

/// A page of a user's orders, newest first, after the order `after`.
///
/// # Errors
/// When the store does not answer.
pub async fn orders_of(
    store: &Store,
    user: UserId,
    after: Option<&Order>,
    limit: usize,
) -> Result<Vec<Order>, StoreError> {
    let mut find = store.find::<Order>(BY_USER, vec![user.to_string().into()]).descending();
    if let Some(last) = after {
        find = find.after(last);
    }
    Ok(find.page(limit).await?.into_iter().map(|stored| stored.doc).collect())
}

/// Orders whose deadline has passed, longest first.
///
/// # Errors
/// When the store does not answer.
pub async fn past_deadline(store: &Store, now: Time, limit: usize) -> Result<Vec<Stored<Order>>, StoreError> {
    store.find::<Order>(BY_DEADLINE, Vec::new()).below(now).page(limit).await
}

/// All ways to send an order, in the order of their rank.
///
/// # Errors
/// When the store does not answer.
pub async fn shipping_methods(store: &Store) -> Result<Vec<ShippingMethod>, StoreError> {
    let mut methods: Vec<_> = store.scan::<ShippingMethod>().page(100).await?.into_iter().map(|it| it.doc).collect();
    methods.sort_by_key(|method| method.rank);
    Ok(methods)
}

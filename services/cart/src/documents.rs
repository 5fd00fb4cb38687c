//! The cart as it is kept: one document a shopper, which is never deleted, so that its version only grows.

use cartwright_bus::DeadLetter;
use cartwright_contracts::CartLine;
use cartwright_runtime::Time;
use cartwright_store::{CollectionSpec, Document, Index, IndexEntry, Store, StoreError, Stored};
use cartwright_vocabulary::{CartId, Currency, OrderId, UserId};
use serde::{Deserialize, Serialize};

/// A shopper's cart.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cart {
    /// The cart.
    #[serde(rename = "_id")]
    pub id: CartId,
    /// Whose; also the key.
    pub user_id: UserId,
    /// The currency of all its prices.
    pub currency: Currency,
    /// What is in it, in the order it was added, at the prices last seen.
    pub lines: Vec<CartLine>,
    /// Counts the changes of its contents; a freeze leaves it, a thaw and a close raise it.
    pub version: u64,
    /// The order it is frozen for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<Frozen>,
    /// The last order that was made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_order: Option<LastOrder>,
    /// When it was first filled.
    pub created_at: Time,
    /// When its contents last changed.
    pub updated_at: Time,
}

/// Contents promised to an order at the prices of [`Frozen::lines`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Frozen {
    /// The order.
    pub order: OrderId,
    /// What is sold, at which price.
    pub lines: Vec<CartLine>,
    /// When it was frozen.
    pub at: Time,
    /// When order is asked what became of it, if no event told.
    pub ask_at: Time,
}

/// The order that emptied a cart.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastOrder {
    /// The order.
    pub order: OrderId,
    /// The cart's version right after it.
    pub version: u64,
    /// When it was confirmed.
    pub at: Time,
}

const ASK_AT: &str = "by-ask-at";

impl Document for Cart {
    const COLLECTION: &'static str = "carts";
    const INDEXES: &'static [Index] = &[Index::many(ASK_AT, &["askAt"])];

    fn key(&self) -> String {
        self.user_id.to_string()
    }

    fn index_entries(&self) -> Vec<IndexEntry> {
        self.frozen.iter().map(|frozen| IndexEntry::new(ASK_AT, [frozen.ask_at.into()])).collect()
    }
}

/// The collections that cart keeps.
pub fn collections() -> [CollectionSpec; 2] {
    [Cart::spec(), DeadLetter::spec()]
}

/// The shopper's cart, if it was ever filled.
///
/// # Errors
/// When the store does not answer.
pub async fn cart_of(store: &Store, user: UserId) -> Result<Option<Stored<Cart>>, StoreError> {
    store.get(user.to_string()).await
}

/// Frozen carts of whose order nothing was heard for a while, longest first.
///
/// # Errors
/// When the store does not answer.
pub async fn long_frozen(store: &Store, now: Time, limit: usize) -> Result<Vec<Stored<Cart>>, StoreError> {
    store.find::<Cart>(ASK_AT, Vec::new()).below(now).page(limit).await
}

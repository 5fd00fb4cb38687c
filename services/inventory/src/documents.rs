//! What inventory keeps: stock levels by product, reservations by order, and the ledger of movements.
//!
//! Public for reading by checks; only this service writes. Σ `delta` of a product's movements of a kind equals the level's
//! counter of that kind, and its held lines equal `held`.

use cartwright_runtime::Time;
use cartwright_store::{Document, Find, Index, IndexEntry, Store};
use cartwright_vocabulary::ProductId;

pub use crate::domain::{Line, MadeBy, Movement, MovementKind, Reservation, ReservationState, Step, StockLevel};

impl Document for StockLevel {
    const COLLECTION: &'static str = "stock-levels";

    fn key(&self) -> String {
        self.product().to_string()
    }
}

/// Held reservations by the time at which they are looked at again.
const BY_EXPIRY: &str = "by-expiry";

impl Document for Reservation {
    const COLLECTION: &'static str = "reservations";
    const INDEXES: &'static [Index] = &[Index::many(BY_EXPIRY, &["expiresAt"])];

    fn key(&self) -> String {
        self.order().to_owned()
    }

    fn index_entries(&self) -> Vec<IndexEntry> {
        match self.state() {
            ReservationState::Held => vec![IndexEntry::new(BY_EXPIRY, [self.expires_at().into()])],
            ReservationState::Committed
            | ReservationState::Released
            | ReservationState::Expired
            | ReservationState::Refused
            | ReservationState::CancelledAhead
            | ReservationState::ConfirmedAhead => Vec::new(),
        }
    }
}

/// The movements of a product by time.
const BY_PRODUCT: &str = "by-product";

impl Document for Movement {
    const COLLECTION: &'static str = "movements";
    const INDEXES: &'static [Index] = &[Index::many(BY_PRODUCT, &["product", "at"])];

    fn key(&self) -> String {
        self.id.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry> {
        vec![IndexEntry::new(BY_PRODUCT, [self.product.to_string().into(), self.at.into()])]
    }
}

/// Held reservations whose time is over at `now`, the longest overdue first.
pub fn overdue(store: &Store, now: Time) -> Find<Reservation> {
    store.find(BY_EXPIRY, Vec::new()).below(now)
}

/// The movements of `product`, the newest first.
pub fn movements(store: &Store, product: ProductId) -> Find<Movement> {
    store.find(BY_PRODUCT, vec![product.to_string().into()]).descending()
}

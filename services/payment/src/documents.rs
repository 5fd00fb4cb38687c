//! What the service keeps: one payment an order, where each attempt belongs, and the journal.

use cartwright_store::{CollectionSpec, Document, Index, IndexEntry, Intent, Lease, Store, StoreError, Stored};
use cartwright_vocabulary::{OrderId, PaymentId};
use serde::{Deserialize, Serialize};

pub use crate::domain::attempt::{Attempt, AttemptState};
pub use crate::domain::journal::{Account, Cause, JournalEntry};
pub use crate::domain::payment::{Payment, PaymentStatus};
pub use crate::domain::refund::{Refund, RefundState};

/// Every collection of the service but those of the platform.
pub fn specs() -> [CollectionSpec; 3] {
    [Payment::spec(), AttemptPlace::spec(), JournalEntry::spec()]
}

impl Document for Payment {
    const COLLECTION: &'static str = "payments";
    const INDEXES: &'static [Index] = &[Index::many("due", &["due"])];

    fn key(&self) -> String {
        self.order.to_string()
    }

    fn index_entries(&self) -> Vec<IndexEntry> {
        self.lease().map(|lease| IndexEntry::new("due", [lease.due.into()])).into_iter().collect()
    }
}

impl Intent for Payment {
    const DUE: &'static str = "due";

    fn lease(&self) -> Option<&Lease> {
        self.next_step().map(|_| &self.lease)
    }

    fn lease_mut(&mut self) -> Option<&mut Lease> {
        self.next_step().map(|_| &mut self.lease)
    }
}

/// The order that an attempt belongs to; written with the attempt and never changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptPlace {
    /// The attempt.
    pub payment: PaymentId,
    /// Its order.
    pub order: OrderId,
}

impl Document for AttemptPlace {
    const COLLECTION: &'static str = "attempts";

    fn key(&self) -> String {
        self.payment.to_string()
    }
}

impl Document for JournalEntry {
    const COLLECTION: &'static str = "journal";
    const INDEXES: &'static [Index] = &[Index::many("by-order", &["order", "at"]), Index::many("by-time", &["at"])];

    fn key(&self) -> String {
        match self.cause {
            Cause::Capture { payment } => format!("capture:{payment}"),
            Cause::Refund { refund, .. } => format!("refund:{refund}"),
        }
    }

    fn index_entries(&self) -> Vec<IndexEntry> {
        vec![
            IndexEntry::new("by-order", [self.order.to_string().into(), self.at.into()]),
            IndexEntry::new("by-time", [self.at.into()]),
        ]
    }
}

/// The payment that an attempt belongs to.
///
/// # Errors
/// When the store does not answer.
pub async fn payment_of(store: &Store, payment: PaymentId) -> Result<Option<Stored<Payment>>, StoreError> {
    match store.get::<AttemptPlace>(payment.to_string()).await? {
        Some(place) => store.get::<Payment>(place.doc.order.to_string()).await,
        None => Ok(None),
    }
}

/// The payment of an order.
///
/// # Errors
/// When the store does not answer.
pub async fn payment_for(store: &Store, order: OrderId) -> Result<Option<Stored<Payment>>, StoreError> {
    store.get::<Payment>(order.to_string()).await
}

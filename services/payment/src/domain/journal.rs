//! The double-entry journal: every movement of money as one entry that debits and credits the same amount.
//!
//! Entries are only ever inserted; a correction is a new entry.

use cartwright_runtime::Time;
use cartwright_vocabulary::{Money, OrderId, PaymentId, RefundId};
use serde::{Deserialize, Serialize};

/// An account of the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Account {
    /// What the provider took for the shop and owes it.
    ProviderReceivable,
    /// What was sold.
    Sales,
    /// What was given back on sales.
    SalesReturns,
}

/// One movement. It is balanced by construction: the one amount is debited here and credited there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JournalEntry {
    /// What moved the money.
    pub cause: Cause,
    /// The order.
    pub order: OrderId,
    /// The account that is debited.
    pub debit: Account,
    /// The account that is credited.
    pub credit: Account,
    /// How much; never negative.
    pub amount: Money,
    /// When it was recorded.
    pub at: Time,
}

/// What moved money; each does so once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Cause {
    /// The money of an attempt was taken.
    Capture {
        /// The attempt.
        payment: PaymentId,
    },
    /// Money of an attempt went back.
    Refund {
        /// The attempt.
        payment: PaymentId,
        /// The refund.
        refund: RefundId,
    },
}

impl JournalEntry {
    /// The money of `payment` was taken.
    pub const fn capture(order: OrderId, payment: PaymentId, amount: Money, at: Time) -> Self {
        let (debit, credit) = (Account::ProviderReceivable, Account::Sales);
        Self { cause: Cause::Capture { payment }, order, debit, credit, amount, at }
    }

    /// Money of `payment` went back.
    pub const fn refund(order: OrderId, payment: PaymentId, refund: RefundId, amount: Money, at: Time) -> Self {
        let (debit, credit) = (Account::SalesReturns, Account::ProviderReceivable);
        Self { cause: Cause::Refund { payment, refund }, order, debit, credit, amount, at }
    }
}

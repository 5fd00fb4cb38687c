//! The sandbox's charges in memory, as the ledger tells them.

use std::collections::{HashMap, HashSet};

use cartwright_payment::Standing;
use cartwright_runtime::Time;
use cartwright_vocabulary::{Money, PaymentId, RefundId};

use crate::ledger::{Effect, LedgerEntry};

/// Every charge ever begun, by the shop's key. A sandbox is small; nothing is ever forgotten.
#[derive(Default)]
pub(crate) struct Book {
    charges: HashMap<PaymentId, Charge>,
    /// Keys whose first request was lost; a restart forgets that.
    pub(crate) lost_once: HashSet<PaymentId>,
}

/// One charge.
#[derive(Clone, Debug, Default)]
pub(crate) struct Charge {
    /// What it is about; unknown where it was voided before it began.
    pub(crate) amount: Option<Money>,
    /// The token.
    pub(crate) method: String,
    /// Where it stands.
    pub(crate) state: State,
    /// What went back.
    pub(crate) refunds: HashMap<RefundId, Money>,
}

/// Where a charge stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// It is worked on until then.
    Pending(Time),
    /// The shopper must approve it until then.
    ActionRequired(Time),
    /// The money is held.
    Authorised,
    /// It was declined.
    Declined(String),
    /// The money was taken.
    Captured,
    /// It is over.
    #[default]
    Voided,
}

impl Book {
    pub(crate) fn charge(&self, key: PaymentId) -> Option<&Charge> {
        self.charges.get(&key)
    }

    /// Takes over what a line of the ledger says.
    pub(crate) fn apply(&mut self, entry: &LedgerEntry) {
        let charge = self.charges.entry(entry.key).or_default();
        match &entry.effect {
            Effect::Pending { amount, method, until } => charge.is_about(*amount, method, State::Pending(*until)),
            Effect::ActionRequired { amount, method, expires_at } => {
                charge.is_about(*amount, method, State::ActionRequired(*expires_at));
            }
            Effect::Authorised { amount, method } => charge.is_about(*amount, method, State::Authorised),
            Effect::Declined { code } => charge.state = State::Declined(code.clone()),
            Effect::Captured { .. } => charge.state = State::Captured,
            Effect::Voided => charge.state = State::Voided,
            Effect::Refunded { refund, amount } => drop(charge.refunds.insert(*refund, *amount)),
        }
    }
}

impl Charge {
    fn is_about(&mut self, amount: Money, method: &str, state: State) {
        (self.amount, self.state) = (Some(amount), state);
        method.clone_into(&mut self.method);
    }

    /// What time alone has made of it by `now`, if anything.
    pub(crate) fn overtaken(&self, now: Time) -> Option<Effect> {
        match (&self.state, self.amount) {
            (State::Pending(until), Some(amount)) if now >= *until => {
                Some(Effect::Authorised { amount, method: self.method.clone() })
            }
            (State::ActionRequired(expires_at), _) if now >= *expires_at => {
                Some(Effect::Declined { code: "authentication_expired".to_owned() })
            }
            (
                State::Pending(_)
                | State::ActionRequired(_)
                | State::Authorised
                | State::Declined(_)
                | State::Captured
                | State::Voided,
                _,
            ) => None,
        }
    }

    /// What may still be given back.
    pub(crate) fn refundable(&self) -> Option<Money> {
        let amount = self.amount.filter(|_| self.state == State::Captured)?;
        let back = Money::sum(amount.currency(), self.refunds.values().copied()).ok()?;
        amount.minus(back).ok()
    }

    /// Where it stands, in the words of the port. `page` is where the shopper approves it.
    pub(crate) fn standing(&self, key: PaymentId, page: impl Fn(PaymentId) -> String) -> Standing {
        let reference = || format!("sbx_{}", key.uuid().simple());
        match &self.state {
            State::Pending(_) => Standing::Pending,
            State::ActionRequired(expires_at) => {
                Standing::ActionRequired { url: page(key), expires_at: Some(*expires_at) }
            }
            State::Authorised => Standing::Authorised { reference: reference() },
            State::Declined(code) => Standing::Declined { code: code.clone() },
            State::Captured => Standing::Captured { reference: reference() },
            State::Voided => Standing::Voided,
        }
    }
}

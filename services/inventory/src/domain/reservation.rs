//! What is held for an order, and how that ended.
//!
//! Promises that a hold ends once: sold, released or expired (reliability I3). An end that is told before the beginning is
//! kept as a tombstone, so that the beginning then does what is right.

use std::collections::BTreeMap;

use cartwright_contracts::Shortage;
use cartwright_runtime::Time;
use cartwright_vocabulary::ProductId;
use serde::{Deserialize, Serialize};

/// So many units of a product. Unlike a line of a cart it may sum several of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// The product.
    pub product: ProductId,
    /// How many.
    pub quantity: u32,
}

/// One line a product, in the order of the products; several of the same product are summed.
pub(crate) fn summed(lines: impl IntoIterator<Item = Line>) -> Vec<Line> {
    let mut by_product = BTreeMap::<ProductId, u32>::new();
    for line in lines {
        let sum = by_product.entry(line.product).or_default();
        *sum = sum.saturating_add(line.quantity);
    }
    by_product.into_iter().map(|(product, quantity)| Line { product, quantity }).collect()
}

/// Who asked for a hold, and so who ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MadeBy {
    /// An order that was placed: only its confirmation or cancellation ends the hold.
    Order,
    /// A service or an admin who reserved by name: the hold ends by their word or by itself.
    Direct,
}

/// What became of a reservation so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReservationState {
    /// Every line is held.
    Held,
    /// Sold. It may have come back: see [`Reservation::restocked_at`].
    Committed,
    /// Given back by a word of who made it.
    Released,
    /// Given back because its time was over.
    Expired,
    /// Something was missing, so nothing was ever held.
    Refused,
    /// A tombstone: the order was cancelled before it was heard of. Nothing was ever held.
    CancelledAhead,
    /// A tombstone: the order was confirmed before it was heard of. Nothing is held yet.
    ConfirmedAhead,
}

/// A state and when it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// The state.
    pub state: ReservationState,
    /// Since when.
    pub at: Time,
}

/// The reservation is not held (any more), but in this state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the reservation is {0:?}")]
pub(crate) struct NotHeld(pub(crate) ReservationState);

/// What is held for one order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reservation {
    order: String,
    made_by: MadeBy,
    state: ReservationState,
    lines: Vec<Line>,
    expires_at: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    restocked_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    missing: Vec<Shortage>,
    history: Vec<Step>,
}

impl Reservation {
    /// Every line is held for `order` until `expires_at`.
    pub(crate) fn held(order: &str, made_by: MadeBy, lines: Vec<Line>, expires_at: Time, now: Time) -> Self {
        Self::new(order, made_by, ReservationState::Held, lines, expires_at, now)
    }

    /// Nothing is held for `order`, because of what is `missing`.
    pub(crate) fn refused(order: &str, lines: Vec<Line>, missing: Vec<Shortage>, now: Time) -> Self {
        Self { missing, ..Self::new(order, MadeBy::Order, ReservationState::Refused, lines, now, now) }
    }

    /// `order` was cancelled before it was heard of.
    pub(crate) fn cancelled_ahead(order: &str, now: Time) -> Self {
        Self::new(order, MadeBy::Order, ReservationState::CancelledAhead, Vec::new(), now, now)
    }

    /// `order` was confirmed before it was heard of.
    pub(crate) fn confirmed_ahead(order: &str, now: Time) -> Self {
        Self::new(order, MadeBy::Order, ReservationState::ConfirmedAhead, Vec::new(), now, now)
    }

    fn new(
        order: &str,
        made_by: MadeBy,
        state: ReservationState,
        lines: Vec<Line>,
        expires_at: Time,
        now: Time,
    ) -> Self {
        Self {
            order: order.to_owned(),
            made_by,
            state,
            lines,
            expires_at,
            restocked_at: None,
            missing: Vec::new(),
            history: vec![Step { state, at: now }],
        }
    }

    /// The order it is for, in the words of who made it.
    pub fn order(&self) -> &str {
        &self.order
    }

    /// Who made it.
    pub const fn made_by(&self) -> MadeBy {
        self.made_by
    }

    /// What became of it so far.
    pub const fn state(&self) -> ReservationState {
        self.state
    }

    /// One line a product. Empty in a tombstone.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// When a hold is looked at again: one made directly ends then, for one of an order the order is asked.
    pub const fn expires_at(&self) -> Time {
        self.expires_at
    }

    /// When everything that was sold came back onto the shelf, if it did.
    pub const fn restocked_at(&self) -> Option<Time> {
        self.restocked_at
    }

    /// What was missing when it was refused.
    pub fn missing(&self) -> &[Shortage] {
        &self.missing
    }

    /// Its states from the first to the present one.
    pub fn history(&self) -> &[Step] {
        &self.history
    }

    /// Whether all of `lines`, and nothing else, are held or sold under it.
    pub(crate) fn covers(&self, lines: &[Line]) -> bool {
        matches!(self.state, ReservationState::Held | ReservationState::Committed)
            && self.restocked_at.is_none()
            && self.lines == lines
    }

    /// The hold is sold.
    ///
    /// # Errors
    /// [`NotHeld`] in every state but `Held`.
    pub(crate) fn commit(&mut self, now: Time) -> Result<(), NotHeld> {
        self.end(ReservationState::Committed, now)
    }

    /// The hold is given back.
    ///
    /// # Errors
    /// [`NotHeld`] in every state but `Held`.
    pub(crate) fn release(&mut self, now: Time) -> Result<(), NotHeld> {
        self.end(ReservationState::Released, now)
    }

    /// The hold's time is over.
    ///
    /// # Errors
    /// [`NotHeld`] in every state but `Held`.
    pub(crate) fn expire(&mut self, now: Time) -> Result<(), NotHeld> {
        self.end(ReservationState::Expired, now)
    }

    fn end(&mut self, state: ReservationState, now: Time) -> Result<(), NotHeld> {
        if self.state != ReservationState::Held {
            return Err(NotHeld(self.state));
        }
        self.state = state;
        self.history.push(Step { state, at: now });
        Ok(())
    }

    /// What was sold came back. The sale stays in the history.
    pub(crate) const fn restock(&mut self, now: Time) {
        self.restocked_at = Some(now);
    }

    /// The order that a direct reservation was made for exists now and decides about it.
    pub(crate) const fn hand_over_to_order(&mut self, expires_at: Time) {
        self.made_by = MadeBy::Order;
        self.expires_at = expires_at;
    }

    /// Looks again at `expires_at`.
    pub(crate) const fn extend(&mut self, expires_at: Time) {
        self.expires_at = expires_at;
    }

    /// An order that was confirmed before it was heard of is cancelled too.
    pub(crate) fn cancel_ahead(&mut self, now: Time) {
        self.state = ReservationState::CancelledAhead;
        self.history.push(Step { state: self.state, at: now });
    }
}

#[cfg(test)]
mod tests {
    use cartwright_vocabulary::Id;

    use super::*;

    #[test]
    fn a_hold_ends_once() {
        let now = Time::from_millis(0);
        let held = Reservation::held("order-1", MadeBy::Direct, Vec::new(), now, now);
        type End = fn(&mut Reservation, Time) -> Result<(), NotHeld>;
        let ends: [End; 3] = [Reservation::commit, Reservation::release, Reservation::expire];
        for first in ends {
            for second in ends {
                let mut reservation = held.clone();
                assert_eq!(first(&mut reservation, now), Ok(()));
                assert_eq!(second(&mut reservation, now), Err(NotHeld(reservation.state())));
                assert_eq!(reservation.history().len(), 2);
            }
        }
    }

    #[test]
    fn lines_of_one_product_are_summed() {
        let product = Id::new("00000000000000000000000000000001".parse().unwrap());
        let line = |quantity| Line { product, quantity };
        assert_eq!(summed([line(2), line(3)]), [line(5)]);
    }
}

//! The stock of one product.
//!
//! Promises that its counters always balance (reliability I1) and that nothing is held or sold twice (I2): each change moves
//! the same number of units between two counters, or is refused and changes nothing.

use cartwright_contracts::{Availability, Shortage};
use cartwright_vocabulary::ProductId;
use serde::{Deserialize, Serialize};

/// The stock of one product, in units. Invariant: `initial + received − written_off = available + held + sold − returned`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StockLevel {
    product: ProductId,
    /// `None` until the opening stock was told.
    initial: Option<u32>,
    received: u64,
    written_off: u64,
    available: u32,
    held: u32,
    sold: u64,
    returned: u64,
}

/// More would be taken off the shelf than is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{on_hand} on hand, of which {held} are held")]
pub(crate) struct InsufficientStock {
    /// On the shelf, held ones included.
    pub(crate) on_hand: u32,
    /// Held for orders.
    pub(crate) held: u32,
}

/// A counter would pass its end: what is asked for cannot follow from what was done before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{product}: {units} units cannot be moved, {counter} is {value}")]
pub(crate) struct Unbalanced {
    product: ProductId,
    units: u32,
    counter: &'static str,
    value: u64,
}

impl StockLevel {
    /// The most units on hand that a level counts.
    pub(crate) const MOST: u32 = 1_000_000_000;

    /// The level of a product that never had any stock.
    pub(crate) const fn empty(product: ProductId) -> Self {
        Self { product, initial: None, received: 0, written_off: 0, available: 0, held: 0, sold: 0, returned: 0 }
    }

    /// The product.
    pub const fn product(&self) -> ProductId {
        self.product
    }

    /// On the shelf when the product was first listed; `None` where that was not told.
    pub const fn initial(&self) -> Option<u32> {
        self.initial
    }

    /// Added by the shop since.
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Taken away by the shop.
    pub const fn written_off(&self) -> u64 {
        self.written_off
    }

    /// What a new order can still get.
    pub const fn available(&self) -> u32 {
        self.available
    }

    /// Held for orders.
    pub const fn held(&self) -> u32 {
        self.held
    }

    /// Left with orders.
    pub const fn sold(&self) -> u64 {
        self.sold
    }

    /// Came back from orders.
    pub const fn returned(&self) -> u64 {
        self.returned
    }

    /// On the shelf: what is available and what is held.
    pub const fn on_hand(&self) -> u32 {
        self.available.saturating_add(self.held)
    }

    /// Whether the counters balance (I1).
    pub fn is_balanced(&self) -> bool {
        let came = u128::from(self.initial.unwrap_or(0)) + u128::from(self.received) + u128::from(self.returned);
        let went = u128::from(self.written_off) + u128::from(self.sold);
        came == u128::from(self.available) + u128::from(self.held) + went
    }

    /// What shoppers and peers may know.
    pub const fn availability(&self) -> Availability {
        Availability { product: self.product, on_hand: self.on_hand(), reserved: self.held, available: self.available }
    }

    /// Notes what was on the shelf when the product was first listed. Told a second time, it changes nothing.
    ///
    /// # Errors
    /// [`Unbalanced`] where more would be on hand than a level counts.
    pub(crate) fn open(&mut self, units: u32) -> Result<bool, Unbalanced> {
        if self.initial.is_some() {
            return Ok(false);
        }
        self.available = self.grown(units)?;
        self.initial = Some(units);
        Ok(true)
    }

    /// Holds `units`; all of them or none.
    ///
    /// # Errors
    /// The shortage where fewer are available.
    pub(crate) fn hold(&mut self, units: u32) -> Result<(), Shortage> {
        let short = Shortage { product: self.product, wanted: units, available: self.available };
        self.available = self.available.checked_sub(units).ok_or(short)?;
        self.held = self.held.saturating_add(units);
        Ok(())
    }

    /// Makes held units available again.
    ///
    /// # Errors
    /// [`Unbalanced`] where fewer are held.
    pub(crate) fn release(&mut self, units: u32) -> Result<(), Unbalanced> {
        self.held = self.unheld(units)?;
        self.available = self.available.saturating_add(units);
        Ok(())
    }

    /// Lets held units leave with their order.
    ///
    /// # Errors
    /// [`Unbalanced`] where fewer are held.
    pub(crate) fn sell(&mut self, units: u32) -> Result<(), Unbalanced> {
        self.held = self.unheld(units)?;
        self.sold = self.sold.saturating_add(u64::from(units));
        Ok(())
    }

    /// Takes sold units back onto the shelf.
    ///
    /// # Errors
    /// [`Unbalanced`] where fewer are out, or more would be on hand than a level counts.
    pub(crate) fn take_back(&mut self, units: u32) -> Result<(), Unbalanced> {
        let returned = self.returned.saturating_add(u64::from(units));
        if returned > self.sold {
            return Err(self.unbalanced(units, "sold", self.sold));
        }
        self.available = self.grown(units)?;
        self.returned = returned;
        Ok(())
    }

    /// Adds units that came in.
    ///
    /// # Errors
    /// [`Unbalanced`] where more would be on hand than a level counts.
    pub(crate) fn receive(&mut self, units: u32) -> Result<(), Unbalanced> {
        self.available = self.grown(units)?;
        self.received = self.received.saturating_add(u64::from(units));
        Ok(())
    }

    /// Takes units away that are not held.
    ///
    /// # Errors
    /// [`InsufficientStock`] where fewer are free.
    pub(crate) fn write_off(&mut self, units: u32) -> Result<(), InsufficientStock> {
        let insufficient = InsufficientStock { on_hand: self.on_hand(), held: self.held };
        self.available = self.available.checked_sub(units).ok_or(insufficient)?;
        self.written_off = self.written_off.saturating_add(u64::from(units));
        Ok(())
    }

    fn unheld(&self, units: u32) -> Result<u32, Unbalanced> {
        self.held.checked_sub(units).ok_or_else(|| self.unbalanced(units, "held", u64::from(self.held)))
    }

    fn grown(&self, units: u32) -> Result<u32, Unbalanced> {
        let on_hand = self.on_hand();
        if units > Self::MOST.saturating_sub(on_hand) {
            return Err(self.unbalanced(units, "on hand", u64::from(on_hand)));
        }
        Ok(self.available.saturating_add(units))
    }

    const fn unbalanced(&self, units: u32, counter: &'static str, value: u64) -> Unbalanced {
        Unbalanced { product: self.product, units, counter, value }
    }
}

#[cfg(test)]
mod tests {
    use cartwright_vocabulary::ProductId;
    use proptest::prelude::*;

    use super::*;

    fn level(units: u32) -> StockLevel {
        let mut level = StockLevel::empty(ProductId::new("00000000000000000000000000000001".parse().unwrap()));
        assert_eq!(level.open(units), Ok(true));
        level
    }

    #[test]
    fn opening_stock_told_twice_counts_once() {
        let mut level = level(5);
        assert_eq!(level.open(9), Ok(false));
        assert_eq!((level.available(), level.initial()), (5, Some(5)));
    }

    #[test]
    fn a_refused_change_changes_nothing() {
        let before = level(5);
        let mut level = before.clone();
        assert!(level.hold(6).is_err());
        assert!(level.release(1).is_err());
        assert!(level.sell(1).is_err());
        assert!(level.take_back(1).is_err());
        assert!(level.write_off(6).is_err());
        assert!(level.receive(StockLevel::MOST).is_err());
        assert_eq!(level, before);
    }

    proptest! {
        #[test]
        fn whatever_is_done_the_counters_balance(opening in 0_u32..50, steps in prop::collection::vec((0_u8..6, 0_u32..20), 0..60)) {
            let mut level = level(opening);
            for (step, units) in steps {
                let ever = u64::from(opening) + level.received();
                let _accepted = match step {
                    0 => level.hold(units).is_ok(),
                    1 => level.release(units).is_ok(),
                    2 => level.sell(units).is_ok(),
                    3 => level.take_back(units).is_ok(),
                    4 => level.receive(units).is_ok(),
                    _ => level.write_off(units).is_ok(),
                };
                prop_assert!(level.is_balanced(), "{level:?}");
                prop_assert!(u64::from(level.held()) + level.sold() - level.returned() <= ever + u64::from(units));
            }
        }
    }
}

//! What product knows about the stock of a product: the last news from inventory, never older news over newer.

use cartwright_contracts::{Availability, LevelChanged, StockStatus};
use cartwright_runtime::Time;
use cartwright_vocabulary::ProductId;
use serde::{Deserialize, Serialize};

/// How many of a product a new order could get when inventory last said so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shelf {
    /// The product.
    pub product: ProductId,
    /// What a new order could get.
    pub available: u32,
    /// The version of inventory's news.
    pub version: u64,
    /// When the word for it last changed; that is all that lists are filtered and counted by.
    pub status_changed_at: Time,
}

impl Shelf {
    /// What is known before inventory said anything: none.
    pub fn unknown(product: ProductId) -> Self {
        Self { product, available: 0, version: 0, status_changed_at: Time::from_millis(0) }
    }

    /// The shelf after `news`; `None` where the news is not newer than what is known.
    #[must_use]
    pub fn after(&self, news: &LevelChanged, now: Time) -> Option<Self> {
        if news.version <= self.version {
            return None;
        }
        let next = Self { available: news.available, version: news.version, ..self.clone() };
        let flipped = next.status() != self.status() || self.version == 0;
        Some(Self {
            status_changed_at: if flipped { now.max(self.status_changed_at) } else { self.status_changed_at },
            ..next
        })
    }

    /// In a word for shoppers.
    pub fn status(&self) -> StockStatus {
        self.availability().status()
    }

    /// As inventory would say it, as far as it is known here.
    pub fn availability(&self) -> Availability {
        Availability { product: self.product, on_hand: self.available, reserved: 0, available: self.available }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(product: ProductId, available: u32, version: u64) -> LevelChanged {
        LevelChanged { product, available, version }
    }

    #[test]
    fn older_news_never_overwrites_newer() {
        let shelf = Shelf::unknown("prd_00000000000000000000000000000001".parse().unwrap());
        let at = Time::from_millis(5);
        let second = shelf.after(&news(shelf.product, 3, 2), at).unwrap();
        assert_eq!(second.after(&news(shelf.product, 9, 1), at), None);
        assert_eq!(second.after(&news(shelf.product, 9, 2), at), None);
        assert_eq!(second.after(&news(shelf.product, 9, 3), at).unwrap().available, 9);
    }

    #[test]
    fn a_sale_that_leaves_the_word_as_it_was_is_no_change_for_lists() {
        let shelf = Shelf::unknown("prd_00000000000000000000000000000001".parse().unwrap());
        let many = shelf.after(&news(shelf.product, 80, 1), Time::from_millis(5)).unwrap();
        let fewer = many.after(&news(shelf.product, 79, 2), Time::from_millis(9)).unwrap();
        assert_eq!(fewer.status_changed_at, Time::from_millis(5));
        let few = fewer.after(&news(shelf.product, 2, 3), Time::from_millis(11)).unwrap();
        assert_eq!(few.status_changed_at, Time::from_millis(11));
    }
}

//! Freezing a cart for an order, and what ends it.

use std::time::Duration;

use cartwright_contracts::{CartLine, FrozenCart};
use cartwright_runtime::Time;
use cartwright_vocabulary::OrderId;

use crate::documents::{Cart, Frozen, LastOrder};

/// After how long without news order is asked what became of a freeze.
const ASK_AFTER: Duration = Duration::from_secs(30);
/// For how long an empty cart answers the order that emptied it.
const REMEMBER_ORDER: Duration = Duration::from_secs(24 * 3600);

impl Cart {
    /// Promises the contents to `order` at the prices of `lines`. The version stays.
    pub fn freeze(&mut self, order: OrderId, lines: Vec<CartLine>, now: Time) {
        self.frozen = Some(Frozen { order, lines, at: now, ask_at: now.plus(ASK_AFTER) });
    }

    /// What it is frozen as.
    pub fn frozen_cart(&self) -> Option<FrozenCart> {
        let frozen = self.frozen.as_ref()?;
        Some(FrozenCart { order: frozen.order, id: self.id, version: self.version, lines: frozen.lines.clone() })
    }

    /// Whether it is frozen for this order.
    pub fn is_frozen_for(&self, order: OrderId) -> bool {
        self.frozen.as_ref().is_some_and(|frozen| frozen.order == order)
    }

    /// The order was cancelled: the shopper goes on with what was in the cart.
    pub fn thaw(&mut self, now: Time) {
        self.frozen = None;
        self.touch(now);
    }

    /// The order was confirmed: the cart is empty, and remembers the order.
    pub fn close(&mut self, order: OrderId, now: Time) {
        self.frozen = None;
        self.lines.clear();
        self.touch(now);
        self.last_order = Some(LastOrder { order, version: self.version, at: now });
    }

    /// The order is still open: ask again later.
    pub fn ask_later(&mut self, now: Time) {
        if let Some(frozen) = &mut self.frozen {
            frozen.ask_at = now.plus(ASK_AFTER);
        }
    }

    /// The order that emptied the cart, where nothing happened to the cart since and that is not long ago.
    pub fn answers_order(&self, now: Time) -> Option<OrderId> {
        let last = self.last_order?;
        let fresh = now.since(last.at) < REMEMBER_ORDER;
        (self.lines.is_empty() && last.version == self.version && fresh).then_some(last.order)
    }
}

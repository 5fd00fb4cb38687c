//! What may be in a cart, and how it changes.

use cartwright_contracts::{CartLine, ProductSnapshot};
use cartwright_runtime::Time;
use cartwright_vocabulary::{CartId, Currency, ProductId, Quantity, UserId};

use crate::documents::Cart;

/// Lines in one cart, at most.
const MOST_LINES: usize = 100;

/// A change that the cart cannot take; it is as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentsRefused {
    /// More than 999 of one product.
    #[error("a line holds {most} units at most; {held} are in the cart", most = Quantity::MOST)]
    TooMany {
        /// How many are in the cart.
        held: u32,
    },
    /// More than 100 different products.
    #[error("a cart holds {MOST_LINES} different products at most")]
    Full,
    /// The product is not in the cart.
    #[error("this product is not in the cart")]
    NotInCart,
}

impl Cart {
    /// The empty cart that everybody has before the first change.
    pub fn empty(user: UserId, currency: Currency, now: Time) -> Self {
        Self {
            id: CartId::new(user.uuid()),
            user_id: user,
            currency,
            lines: Vec::new(),
            version: 0,
            frozen: None,
            last_order: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// How many of `product` are in the cart.
    pub fn quantity_of(&self, product: ProductId) -> u32 {
        self.lines.iter().find(|line| line.product == product).map_or(0, |line| line.quantity.get())
    }

    /// Adds `quantity` of a product; what is there of it already adds up.
    ///
    /// # Errors
    /// [`ContentsRefused::TooMany`] or [`ContentsRefused::Full`].
    pub fn add(&mut self, product: &ProductSnapshot, quantity: Quantity) -> Result<(), ContentsRefused> {
        if let Some(line) = self.lines.iter_mut().find(|line| line.product == product.id) {
            let held = line.quantity.get();
            line.quantity = line.quantity.plus(quantity).map_err(|_| ContentsRefused::TooMany { held })?;
            return Ok(());
        }
        if self.lines.len() >= MOST_LINES {
            return Err(ContentsRefused::Full);
        }
        self.lines.push(line_of(product, quantity));
        Ok(())
    }

    /// Sets how many of a product are in the cart; none removes it.
    ///
    /// # Errors
    /// [`ContentsRefused::NotInCart`].
    pub fn set_quantity(&mut self, product: ProductId, quantity: Option<Quantity>) -> Result<(), ContentsRefused> {
        let place = self.lines.iter().position(|line| line.product == product).ok_or(ContentsRefused::NotInCart)?;
        match (quantity, self.lines.get_mut(place)) {
            (Some(quantity), Some(line)) => line.quantity = quantity,
            (None, _) | (_, None) => drop(self.lines.remove(place)),
        }
        Ok(())
    }

    /// Takes over today's names, pictures and prices.
    pub fn take_prices(&mut self, products: &[ProductSnapshot]) {
        for line in &mut self.lines {
            if let Some(product) = products.iter().find(|product| product.id == line.product) {
                *line = line_of(product, line.quantity);
            }
        }
    }

    /// Notes that the contents changed.
    pub fn touch(&mut self, now: Time) {
        self.version += 1;
        self.updated_at = now;
    }
}

/// `quantity` of a product as it is today.
pub(crate) fn line_of(product: &ProductSnapshot, quantity: Quantity) -> CartLine {
    CartLine {
        product: product.id,
        name: product.name.clone(),
        image: product.image.clone(),
        quantity,
        unit_price: product.price,
        price_version: product.price_version,
        tax_category: product.tax_category.clone(),
    }
}

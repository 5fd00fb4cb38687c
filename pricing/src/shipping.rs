//! Shipping at flat rates.

use cartwright_vocabulary::{Money, MoneyError};

/// A flat rate, free from a subtotal on where the shop says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShippingRate {
    /// What it costs.
    pub price: Money,
    /// The subtotal from which it costs nothing.
    pub free_from: Option<Money>,
}

/// What shipping costs for goods of `subtotal`.
///
/// # Errors
/// When the currencies differ.
pub fn shipping_price(rate: ShippingRate, subtotal: Money) -> Result<Money, MoneyError> {
    match rate.free_from {
        Some(least) if subtotal.minus(least)?.minor() >= 0 => Ok(Money::zero(subtotal.currency())),
        Some(_) | None => rate.price.plus(Money::zero(subtotal.currency())),
    }
}

#[cfg(test)]
mod tests {
    use cartwright_vocabulary::Currency;

    use super::*;

    #[test]
    fn shipping_is_free_from_the_threshold_on() {
        let usd = |minor| Money::from_minor(minor, Currency::USD);
        let rate = ShippingRate { price: usd(500), free_from: Some(usd(10_000)) };
        assert_eq!(shipping_price(rate, usd(9_999)), Ok(usd(500)));
        assert_eq!(shipping_price(rate, usd(10_000)), Ok(usd(0)));
        assert!(shipping_price(rate, Money::zero(Currency::EUR)).is_err());
    }
}

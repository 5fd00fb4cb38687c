//! Totals of carts and orders.

use cartwright_vocabulary::{Currency, Money, MoneyError, Quantity};
use serde::{Deserialize, Serialize};

use crate::{TaxLine, Taxable, tax_lines};

/// Some units at one price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Goods {
    /// What one costs.
    pub unit_price: Money,
    /// How many.
    pub quantity: Quantity,
}

impl Goods {
    /// What they cost together.
    ///
    /// # Errors
    /// When the product overflows.
    pub fn total(self) -> Result<Money, MoneyError> {
        self.unit_price.times(self.quantity.get())
    }
}

/// What all `goods` cost together.
///
/// # Errors
/// When currencies differ or a sum is more than may be charged.
pub fn goods_total(currency: Currency, goods: impl IntoIterator<Item = Goods>) -> Result<Money, MoneyError> {
    let total = goods.into_iter().try_fold(Money::zero(currency), |sum, goods| sum.plus(goods.total()?))?;
    chargeable(total)
}

/// The amounts of an order. `total = subtotal - discount_total + shipping + tax`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderTotals {
    /// The goods, net.
    pub subtotal: Money,
    /// Taken off the goods.
    pub discount_total: Money,
    /// Shipping.
    pub shipping: Money,
    /// Tax of all rates.
    pub tax: Money,
    /// The tax of each rate.
    pub tax_lines: Vec<TaxLine>,
    /// What the shopper pays.
    pub total: Money,
}

/// The amounts of an order without discounts; `taxed` holds each line's net total under its rate.
///
/// # Errors
/// When currencies differ or the total is more than may be charged.
pub fn order_totals(subtotal: Money, shipping: Money, taxed: &[Taxable]) -> Result<OrderTotals, MoneyError> {
    let currency = subtotal.currency();
    let tax_lines = tax_lines(currency, taxed)?;
    let tax = Money::sum(currency, tax_lines.iter().map(|line| line.amount))?;
    let total = chargeable(subtotal.plus(shipping)?.plus(tax)?)?;
    Ok(OrderTotals { subtotal, discount_total: Money::zero(currency), shipping, tax, tax_lines, total })
}

fn chargeable(total: Money) -> Result<Money, MoneyError> {
    if (0..=Money::MOST_MINOR).contains(&total.minor()) { Ok(total) } else { Err(MoneyError::Overflow) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_total_is_the_sum_of_its_parts(prices in prop::collection::vec((1_i64..1_000_000, 1_u32..=999), 1..30), shipping in 0_i64..10_000, rate in 0_u32..300_000) {
            let usd = |minor| Money::from_minor(minor, Currency::USD);
            let goods = prices.iter().map(|(price, units)| Goods { unit_price: usd(*price), quantity: Quantity::new(*units).unwrap() });
            let subtotal = goods_total(Currency::USD, goods).unwrap();
            let taxed = [Taxable { title: "Tax".to_owned(), rate_ppm: rate, net: subtotal }];
            let totals = order_totals(subtotal, usd(shipping), &taxed).unwrap();
            prop_assert_eq!(totals.total.minor(), subtotal.minor() + shipping + totals.tax.minor());
        }
    }

    #[test]
    fn more_than_may_be_charged_is_refused() {
        let goods = Goods {
            unit_price: Money::from_minor(Money::MOST_MINOR, Currency::USD),
            quantity: Quantity::new(2).unwrap(),
        };
        assert_eq!(goods_total(Currency::USD, [goods]), Err(MoneyError::Overflow));
    }
}

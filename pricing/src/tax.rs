//! Tax on top of net prices, one line for each rate.
//!
//! Tax is computed on the sum of what one rate applies to and rounded once, half to even; so the order of lines does not
//! matter, and no cent appears by rounding lines.

use std::collections::BTreeMap;

use cartwright_vocabulary::{Currency, Money, MoneyError};
use serde::{Deserialize, Serialize};

/// A rate in millionths: 82,500 is 8.25 %.
pub type PartsPerMillion = u32;

/// Something that is taxed at one rate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taxable {
    /// The rate's name for people, for example `VAT 19 %`.
    pub title: String,
    /// The rate.
    pub rate_ppm: PartsPerMillion,
    /// What is taxed, net.
    pub net: Money,
}

/// The tax of one rate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaxLine {
    /// The rate's name for people.
    pub title: String,
    /// The rate.
    pub rate_ppm: PartsPerMillion,
    /// What it applies to, net.
    pub net: Money,
    /// The tax.
    pub amount: Money,
}

/// The tax of `goods`, one line a rate, by title.
///
/// # Errors
/// When currencies differ or a sum overflows.
pub fn tax_lines(currency: Currency, goods: &[Taxable]) -> Result<Vec<TaxLine>, MoneyError> {
    let mut nets: BTreeMap<(&str, PartsPerMillion), Money> = BTreeMap::new();
    for taxable in goods {
        let net = nets.entry((&taxable.title, taxable.rate_ppm)).or_insert(Money::zero(currency));
        *net = net.plus(taxable.net)?;
    }
    let line = |((title, rate_ppm), net): ((&str, PartsPerMillion), Money)| {
        Ok(TaxLine { title: title.to_owned(), rate_ppm, net, amount: share(net, rate_ppm)? })
    };
    nets.into_iter().map(line).collect()
}

/// `rate_ppm` millionths of `net`, rounded half to even.
fn share(net: Money, rate_ppm: PartsPerMillion) -> Result<Money, MoneyError> {
    const MILLION: i128 = 1_000_000;
    let exact = i128::from(net.minor()).saturating_mul(i128::from(rate_ppm));
    let (whole, rest) = (exact.div_euclid(MILLION), exact.rem_euclid(MILLION));
    let up = match (rest.saturating_mul(2)).cmp(&MILLION) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => whole.rem_euclid(2) == 1,
        std::cmp::Ordering::Greater => true,
    };
    let minor = i64::try_from(whole.saturating_add(i128::from(up))).map_err(|_| MoneyError::Overflow)?;
    Ok(Money::from_minor(minor, net.currency()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn taxable(rate_ppm: u32, minor: i64) -> Taxable {
        Taxable { title: "Tax".to_owned(), rate_ppm, net: Money::from_minor(minor, Currency::USD) }
    }

    #[test]
    fn half_a_cent_is_rounded_to_the_even_one() {
        let tax = |minor| tax_lines(Currency::USD, &[taxable(50_000, minor)]).unwrap()[0].amount.minor();
        assert_eq!((tax(10), tax(30), tax(50)), (0, 2, 2));
    }

    proptest! {
        #[test]
        fn the_order_of_lines_does_not_change_the_tax(mut minors in prop::collection::vec(0_i64..1_000_000, 1..20)) {
            let tax = |minors: &[i64]| {
                let goods: Vec<_> = minors.iter().map(|minor| taxable(82_500, *minor)).collect();
                tax_lines(Currency::USD, &goods).unwrap()
            };
            let forwards = tax(&minors);
            minors.reverse();
            prop_assert_eq!(forwards, tax(&minors));
        }
    }
}

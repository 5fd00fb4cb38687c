//! Amounts of money as they stand in JSON, in integer hundredths. No float touches them here either.

use std::fmt;

use anyhow::{Context, Result, bail};
use serde_json::value::RawValue;

/// Hundredths of a unit of currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hundredths(pub(crate) i64);

impl Hundredths {
    /// Reads a JSON number with at most two digits after the point.
    ///
    /// # Errors
    /// More digits, an exponent, something that is no number, or too large.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = fraction.len();
        if digits > 2 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
            bail!("{text} is no amount with two digits after the point");
        }
        let units: i64 = whole.parse().with_context(|| format!("{text} is no amount"))?;
        let part: i64 = match digits {
            0 => 0,
            1 => fraction.parse::<i64>()? * 10,
            _ => fraction.parse()?,
        };
        let part = if text.starts_with('-') { -part } else { part };
        units.checked_mul(100).and_then(|units| units.checked_add(part)).map(Self).context("the amount is too large")
    }

    /// Reads a number of a JSON document.
    ///
    /// # Errors
    /// As [`Hundredths::parse`].
    pub(crate) fn of(raw: &RawValue) -> Result<Self> {
        Self::parse(raw.get())
    }

    pub(crate) fn times(self, quantity: u32) -> Self {
        Self(self.0 * i64::from(quantity))
    }
}

impl std::iter::Sum for Hundredths {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        Self(amounts.map(|amount| amount.0).sum())
    }
}

impl fmt::Display for Hundredths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{}.{:02}", self.0.abs() / 100, self.0.abs() % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::Hundredths;

    #[test]
    fn an_amount_is_read_exactly() {
        for (text, hundredths) in [("0", 0), ("12", 1200), ("12.5", 1250), ("0.05", 5), ("99.99", 9999), ("-0.30", -30)]
        {
            assert_eq!(Hundredths::parse(text).unwrap(), Hundredths(hundredths), "{text}");
        }
    }

    #[test]
    fn what_is_not_exact_is_refused() {
        for text in ["0.299999999", "1e2", "", "null", "1.2.3", "\"1\"", "1.-5", "99999999999999999999"] {
            assert!(Hundredths::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_amount_is_written_as_it_is_read() {
        for text in ["0.05", "12.50", "-3.07"] {
            assert_eq!(Hundredths::parse(text).unwrap().to_string(), text);
        }
    }
}

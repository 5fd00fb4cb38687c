//! Exact money: integer minor units tagged with a currency.
//!
//! There is no `Add`, no `Default` and no float in this module on purpose. Every operation that can lose a cent, overflow
//! or mix currencies returns a `Result`, so the caller has to say what should happen.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// An ISO 4217 currency. Its text form is the alphabetic code.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency(iso_currency::Currency);

impl Currency {
    /// United States dollar.
    pub const USD: Self = Self(iso_currency::Currency::USD);
    /// Euro.
    pub const EUR: Self = Self(iso_currency::Currency::EUR);

    /// The alphabetic code, for example `EUR`.
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// How many decimal digits its minor unit has: 2 for USD, 0 for JPY, 3 for KWD.
    pub fn digits(self) -> u32 {
        self.0.exponent().map_or(2, u32::from)
    }

    fn minor_per_major(self) -> i64 {
        10_i64.pow(self.digits())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(code: &str) -> Result<Self, MoneyError> {
        iso_currency::Currency::from_code(code).map(Self).ok_or(MoneyError::UnknownCurrency)
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = std::borrow::Cow::<str>::deserialize(deserializer)?;
        code.parse().map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for Currency {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some("ISO 4217 code"))
            .examples([serde_json::json!("USD")])
            .into()
    }
}

impl ToSchema for Currency {}

/// What can be wrong with money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Two currencies met.
    #[error("{left} and {right} cannot be mixed")]
    CurrencyMismatch {
        /// The one.
        left: Currency,
        /// The other.
        right: Currency,
    },
    /// The result cannot be counted.
    #[error("the amount is too large")]
    Overflow,
    /// Weights that sum to nothing cannot share anything.
    #[error("there is nothing to allocate to")]
    NothingToAllocateTo,
    /// Not the code of a currency.
    #[error("not an ISO 4217 currency code")]
    UnknownCurrency,
    /// Not a plain decimal number.
    #[error("a plain decimal number is needed, without an exponent")]
    NotDecimal,
    /// More digits than the currency has.
    #[error("more decimal digits than the currency has ({0})")]
    TooManyDigits(u32),
}

/// An amount of one currency, in that currency's minor unit (cents for EUR, yen for JPY).
///
/// Signed: a refund or a correction is a negative amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

impl Money {
    /// The largest amount that may be charged or paid, 10^12 minor units (invariant I6).
    pub const MOST_MINOR: i64 = 1_000_000_000_000;

    /// `minor` minor units of `currency`.
    pub const fn from_minor(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// Nothing, in `currency`.
    pub const fn zero(currency: Currency) -> Self {
        Self::from_minor(0, currency)
    }

    /// Minor units.
    pub const fn minor(self) -> i64 {
        self.minor
    }

    /// The currency.
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// The sum.
    ///
    /// # Errors
    /// When the currencies differ or the sum overflows.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let minor = self.minor.checked_add(other.minor).ok_or(MoneyError::Overflow)?;
        Ok(Self { minor, ..self })
    }

    /// The difference.
    ///
    /// # Errors
    /// When the currencies differ or the difference overflows.
    pub fn minus(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let minor = self.minor.checked_sub(other.minor).ok_or(MoneyError::Overflow)?;
        Ok(Self { minor, ..self })
    }

    /// `factor` times the amount.
    ///
    /// # Errors
    /// When the product overflows.
    pub fn times(self, factor: u32) -> Result<Self, MoneyError> {
        let minor = self.minor.checked_mul(i64::from(factor)).ok_or(MoneyError::Overflow)?;
        Ok(Self { minor, ..self })
    }

    /// The sum of `amounts` in `currency`.
    ///
    /// # Errors
    /// When a currency differs or the sum overflows.
    pub fn sum(currency: Currency, amounts: impl IntoIterator<Item = Self>) -> Result<Self, MoneyError> {
        amounts.into_iter().try_fold(Self::zero(currency), Self::plus)
    }

    /// Splits the amount in proportion to `weights`; the parts always add up to `self`.
    ///
    /// Each part is rounded towards zero, and the minor units left over go one by one to the largest remainders, earlier
    /// parts first: the largest-remainder method.
    ///
    /// # Errors
    /// [`MoneyError::NothingToAllocateTo`] when the weights sum to zero.
    pub fn allocate(self, weights: &[u64]) -> Result<Vec<Self>, MoneyError> {
        let total: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
        let exact = |weight: &u64| i128::from(self.minor).checked_mul(i128::from(*weight)).ok_or(MoneyError::Overflow);
        let mut parts = Vec::with_capacity(weights.len());
        let mut remainders = Vec::with_capacity(weights.len());
        for (place, weight) in weights.iter().enumerate() {
            let share = exact(weight)?;
            parts.push(share.checked_div(total).ok_or(MoneyError::NothingToAllocateTo)?);
            remainders.push((share.checked_rem(total).ok_or(MoneyError::NothingToAllocateTo)?.abs(), place));
        }
        if total == 0 {
            return Err(MoneyError::NothingToAllocateTo);
        }
        remainders.sort_by(|(left, earlier), (right, later)| right.cmp(left).then(earlier.cmp(later)));
        let mut left = i128::from(self.minor).saturating_sub(parts.iter().sum());
        let unit = left.signum();
        for (_, place) in remainders.into_iter().cycle() {
            if left == 0 {
                break;
            }
            if let Some(part) = parts.get_mut(place) {
                *part = part.saturating_add(unit);
            }
            left = left.saturating_sub(unit);
        }
        let money = |minor| i64::try_from(minor).map(|minor| Self { minor, ..self }).map_err(|_| MoneyError::Overflow);
        parts.into_iter().map(money).collect()
    }

    fn same_currency(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency {
            Ok(())
        } else {
            Err(MoneyError::CurrencyMismatch { left: self.currency, right: other.currency })
        }
    }

    /// Reads a decimal number like `99.99` or `-3`, exactly.
    ///
    /// # Errors
    /// When it is no plain decimal, has more digits than the currency, or is too large.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !plain(whole) || !plain(fraction) || digits.ends_with('.') {
            return Err(MoneyError::NotDecimal);
        }
        let wanted = currency.digits();
        let (kept, beyond) = fraction.split_at(fraction.len().min(wanted as usize));
        if beyond.bytes().any(|byte| byte != b'0') {
            return Err(MoneyError::TooManyDigits(wanted));
        }
        let text = format!("{whole}{kept:0<width$}", width = wanted as usize);
        let minor: i64 = text.parse().map_err(|_| MoneyError::Overflow)?;
        let minor = if negative { minor.checked_neg().ok_or(MoneyError::Overflow)? } else { minor };
        Ok(Self { minor, currency })
    }
}

/// The exact decimal number, without the currency: `99.90`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.currency.digits() as usize;
        let unit = self.currency.minor_per_major().unsigned_abs();
        let minor = self.minor.unsigned_abs();
        let sign = if self.minor < 0 { "-" } else { "" };
        let (whole, fraction) = (minor.checked_div(unit).unwrap_or(minor), minor.checked_rem(unit).unwrap_or(0));
        if digits == 0 { write!(f, "{sign}{whole}") } else { write!(f, "{sign}{whole}.{fraction:0digits$}") }
    }
}

/// Money as the public routes write it: an exact decimal number, beside a `currency` field of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount(pub Money);

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number = RawValue::from_string(self.0.to_string()).map_err(serde::ser::Error::custom)?;
        number.serialize(serializer)
    }
}

impl utoipa::PartialSchema for Amount {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::Number)
            .description(Some("An exact decimal number with the digits of the currency beside it"))
            .examples([serde_json::json!(99)])
            .into()
    }
}

impl ToSchema for Amount {}

impl From<Money> for Amount {
    fn from(money: Money) -> Self {
        Self(money)
    }
}

/// A decimal number as a client wrote it, kept as text until its currency is known.
#[derive(Clone, Debug)]
pub struct DecimalText(Box<RawValue>);

impl DecimalText {
    /// The money it means in `currency`.
    ///
    /// # Errors
    /// When it is no plain JSON number, has more digits than the currency, or is too large.
    pub fn in_currency(&self, currency: Currency) -> Result<Money, MoneyError> {
        Money::parse(self.0.get(), currency)
    }
}

impl<'de> Deserialize<'de> for DecimalText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(Self)
    }
}

impl Serialize for DecimalText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl utoipa::PartialSchema for DecimalText {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        Amount::schema()
    }
}

impl ToSchema for DecimalText {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn usd(minor: i64) -> Money {
        Money::from_minor(minor, Currency::USD)
    }

    #[test]
    fn a_tenth_and_two_tenths_are_three_tenths() {
        let sum = Money::parse("0.1", Currency::USD).unwrap().plus(Money::parse("0.2", Currency::USD).unwrap());
        assert_eq!(sum.unwrap().to_string(), "0.30");
    }

    #[test]
    fn amounts_are_written_with_the_digits_of_their_currency() {
        let yen = "JPY".parse().unwrap();
        let dinar = "KWD".parse().unwrap();
        assert_eq!(serde_json::to_string(&Amount(usd(9999))).unwrap(), "99.99");
        assert_eq!(serde_json::to_string(&Amount(Money::from_minor(500, yen))).unwrap(), "500");
        assert_eq!(serde_json::to_string(&Amount(Money::from_minor(1005, dinar))).unwrap(), "1.005");
        assert_eq!(usd(-5).to_string(), "-0.05");
    }

    #[test]
    fn more_digits_than_the_currency_has_are_refused() {
        assert_eq!(Money::parse("1.999", Currency::USD), Err(MoneyError::TooManyDigits(2)));
        assert_eq!(Money::parse("1.990", Currency::USD), Ok(usd(199)));
        for wrong in ["", ".", "1.", "1e3", "\"1\"", "null", "+1", "1,5", "--1"] {
            assert_eq!(Money::parse(wrong, Currency::USD), Err(MoneyError::NotDecimal), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn the_parts_of_an_allocation_add_up(minor in -1_000_000_000_000_i64..1_000_000_000_000, weights in prop::collection::vec(0_u64..10_000, 1..20)) {
            prop_assume!(weights.iter().sum::<u64>() > 0);
            let parts = usd(minor).allocate(&weights).unwrap();
            prop_assert_eq!(Money::sum(Currency::USD, parts).unwrap(), usd(minor));
        }

        #[test]
        fn what_is_written_is_read_back(minor in any::<i64>()) {
            prop_assume!(minor != i64::MIN);
            prop_assert_eq!(Money::parse(&usd(minor).to_string(), Currency::USD).unwrap(), usd(minor));
        }
    }
}

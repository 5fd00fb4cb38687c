//! One value that a caller hands to a template: text, a number or a truth value, nothing deeper.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};
use serde_json::Number;

/// A value for a template. Amounts of money are best given as text, which is printed as it was written.
#[derive(Clone, PartialEq, Eq)]
pub enum Datum {
    /// A text.
    Text(String),
    /// A number.
    Number(Number),
    /// True or false.
    Truth(bool),
}

/// Printed without its content: it may be about a person.
impl fmt::Debug for Datum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[datum]")
    }
}

impl Serialize for Datum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => number.serialize(serializer),
            Self::Truth(truth) => serializer.serialize_bool(*truth),
        }
    }
}

impl<'de> Deserialize<'de> for Datum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Scalar)
    }
}

struct Scalar;

impl Visitor<'_> for Scalar {
    type Value = Datum;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, true or false")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Datum, E> {
        Ok(Datum::Text(text.to_owned()))
    }

    fn visit_bool<E: de::Error>(self, truth: bool) -> Result<Datum, E> {
        Ok(Datum::Truth(truth))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Datum, E> {
        Ok(Datum::Number(number.into()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Datum, E> {
        Ok(Datum::Number(number.into()))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Datum, E> {
        Number::from_f64(number).map(Datum::Number).ok_or_else(|| E::custom("a finite number is needed"))
    }
}

impl utoipa::PartialSchema for Datum {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{OneOfBuilder, Type};
        let of = |kind: Type| utoipa::openapi::ObjectBuilder::new().schema_type(kind);
        OneOfBuilder::new().item(of(Type::String)).item(of(Type::Number)).item(of(Type::Boolean)).into()
    }
}

impl utoipa::ToSchema for Datum {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_written_as_it_was_read_and_nothing_nested_is_taken() {
        for text in ["\"19.90\"", "3", "-3", "1.5", "true"] {
            let datum: Datum = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&datum).unwrap(), text);
        }
        for wrong in ["null", "[1]", "{\"a\": 1}"] {
            assert!(serde_json::from_str::<Datum>(wrong).is_err(), "{wrong}");
        }
    }
}

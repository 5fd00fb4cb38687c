//! Documents between the services' JSON and BSON, without loss.
//!
//! A whole number becomes an `int64`, any other number a `decimal128` of the same digits: no number goes through a float.
//! A number that neither can hold is refused, and so is whatever BSON cannot say. Names that begin with `_` belong to the
//! engine: a service's own get a second `_`.

use std::fmt;

use bson::raw::{RawBsonRef, RawDocument};
use bson::{Bson, Decimal128, Document};
use cartwright_store::StoreError;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// MongoDB nests to 100; some of it is ours.
const DEPTH: usize = 80;

/// What BSON cannot say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    /// Not a JSON object.
    #[error("it is no JSON object: {0}")]
    NoObject(String),
    /// More digits or another exponent than a decimal128 has.
    #[error("the number {0} has no exact form in BSON")]
    Number(String),
    /// BSON ends names with a zero byte.
    #[error("the name {0:?} holds a zero byte")]
    Name(String),
    /// Which of the two is meant?
    #[error("the name {0:?} comes twice")]
    Twice(String),
    /// MongoDB would refuse it.
    #[error("it is nested deeper than {DEPTH} levels")]
    Deep,
    /// A BSON type that JSON does not have, or bytes that are no BSON.
    #[error("it holds {0}, which no service wrote")]
    Foreign(String),
}

impl From<Unfit> for StoreError {
    fn from(unfit: Unfit) -> Self {
        Self::Unusable(unfit.to_string())
    }
}

/// The fields of a JSON object in their order, each value as it is written.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// The fields of a service's document, under the names that they have in MongoDB.
pub(crate) fn own_fields(json: &[u8]) -> Result<Document, Unfit> {
    let Fields(fields) = serde_json::from_slice(json).map_err(|error| Unfit::NoObject(error.to_string()))?;
    let escaped = fields.into_iter().map(|(name, value)| match name.starts_with('_') {
        true => (format!("_{name}"), value),
        false => (name, value),
    });
    document(escaped, DEPTH)
}

/// Any JSON object, under its own names.
pub(crate) fn object(json: &[u8]) -> Result<Document, Unfit> {
    let Fields(fields) = serde_json::from_slice(json).map_err(|error| Unfit::NoObject(error.to_string()))?;
    document(fields, DEPTH)
}

fn document<'a>(fields: impl IntoIterator<Item = (String, &'a RawValue)>, depth: usize) -> Result<Document, Unfit> {
    let mut document = Document::new();
    for (name, raw) in fields {
        if name.contains('\0') {
            return Err(Unfit::Name(name));
        }
        let value = value(raw, depth)?;
        if document.insert(&name, value).is_some() {
            return Err(Unfit::Twice(name));
        }
    }
    Ok(document)
}

fn value(raw: &RawValue, depth: usize) -> Result<Bson, Unfit> {
    let depth = depth.checked_sub(1).ok_or(Unfit::Deep)?;
    let text = raw.get();
    let wrong = |error: serde_json::Error| Unfit::NoObject(error.to_string());
    match text.as_bytes().first() {
        Some(b'{') => {
            let Fields(fields) = serde_json::from_str(text).map_err(wrong)?;
            document(fields, depth).map(Bson::Document)
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(wrong)?;
            items.into_iter().map(|item| value(item, depth)).collect::<Result<_, _>>().map(Bson::Array)
        }
        Some(b'"') => serde_json::from_str(text).map(Bson::String).map_err(wrong),
        Some(b't' | b'f') => Ok(Bson::Boolean(text == "true")),
        Some(b'n') => Ok(Bson::Null),
        Some(_) | None => number(text),
    }
}

fn number(text: &str) -> Result<Bson, Unfit> {
    // `-0` is a number of its own.
    if let Ok(whole) = text.parse::<i64>()
        && text != "-0"
    {
        return Ok(Bson::Int64(whole));
    }
    let decimal: Decimal128 = text.parse().map_err(|_| Unfit::Number(text.to_owned()))?;
    if digits(&decimal.to_string()) != digits(text) {
        return Err(Unfit::Number(text.to_owned()));
    }
    Ok(Bson::Decimal128(decimal))
}

/// A number's sign, digits and exponent, however it is written.
fn digits(text: &str) -> Option<(bool, String, i64)> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: i64 = exponent.parse().ok()?;
    let digits = format!("{}{fraction}", whole.trim_start_matches('-'));
    let significant = digits.trim_start_matches('0').to_owned();
    Some((whole.starts_with('-'), significant, exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?))
}

/// A service's document as JSON: what was given to [`own_fields`], without what the engine added.
pub(crate) fn own_json(stored: &RawDocument) -> Result<Vec<u8>, Unfit> {
    let mut out = Vec::with_capacity(stored.as_bytes().len());
    let fields = stored.iter().filter_map(|field| match field {
        Ok((name, value)) => {
            let own = match name.as_str().strip_prefix('_') {
                Some(inner) => inner.starts_with('_').then_some(inner)?,
                None => name.as_str(),
            };
            Some(Ok((own, value)))
        }
        Err(error) => Some(Err(foreign(&error))),
    });
    write_fields(fields, &mut out)?;
    Ok(out)
}

/// Any BSON document as JSON.
pub(crate) fn json(stored: &RawDocument) -> Result<Vec<u8>, Unfit> {
    let mut out = Vec::with_capacity(stored.as_bytes().len());
    write_document(stored, &mut out)?;
    Ok(out)
}

fn write_document(stored: &RawDocument, out: &mut Vec<u8>) -> Result<(), Unfit> {
    let named = |(name, value): (&'_ bson::raw::CStr, _)| (name.as_str().to_owned(), value);
    let fields = stored.iter().map(|field| field.map(named).map_err(|error| foreign(&error)));
    write_fields(fields, out)
}

fn write_fields<'a, N: AsRef<str>>(
    fields: impl Iterator<Item = Result<(N, RawBsonRef<'a>), Unfit>>,
    out: &mut Vec<u8>,
) -> Result<(), Unfit> {
    let mut before = b'{';
    for field in fields {
        let (name, value) = field?;
        out.push(before);
        before = b',';
        write_text(name.as_ref(), out)?;
        out.push(b':');
        write_value(value, out)?;
    }
    if before == b'{' {
        out.push(b'{');
    }
    out.push(b'}');
    Ok(())
}

#[expect(clippy::wildcard_enum_match_arm, reason = "BSON has more types than JSON, and their number grows")]
fn write_value(value: RawBsonRef<'_>, out: &mut Vec<u8>) -> Result<(), Unfit> {
    match value {
        RawBsonRef::Document(inner) => write_document(inner, out)?,
        RawBsonRef::Array(items) => {
            out.push(b'[');
            for (number, item) in items.into_iter().enumerate() {
                if number > 0 {
                    out.push(b',');
                }
                write_value(item.map_err(|error| foreign(&error))?, out)?;
            }
            out.push(b']');
        }
        RawBsonRef::String(text) => write_text(text, out)?,
        RawBsonRef::Boolean(true) => out.extend_from_slice(b"true"),
        RawBsonRef::Boolean(false) => out.extend_from_slice(b"false"),
        RawBsonRef::Null => out.extend_from_slice(b"null"),
        RawBsonRef::Int64(number) => out.extend_from_slice(number.to_string().as_bytes()),
        RawBsonRef::Decimal128(decimal) => write_decimal(&decimal.to_string(), out)?,
        // What somebody typed into a shell: a document that was mended by hand stays readable.
        RawBsonRef::Int32(number) => out.extend_from_slice(number.to_string().as_bytes()),
        RawBsonRef::Double(number) if number.is_finite() => {
            serde_json::to_writer(out, &number).map_err(|error| Unfit::Foreign(error.to_string()))?;
        }
        other => return Err(Unfit::Foreign(format!("a BSON {:?}", other.element_type()))),
    }
    Ok(())
}

fn write_text(text: &str, out: &mut Vec<u8>) -> Result<(), Unfit> {
    serde_json::to_writer(out, text).map_err(|error| Unfit::Foreign(error.to_string()))
}

/// As JSON is written by our own programs: `1e16` and not `1E+16`.
fn write_decimal(text: &str, out: &mut Vec<u8>) -> Result<(), Unfit> {
    if !text.ends_with(|last: char| last.is_ascii_digit()) {
        return Err(Unfit::Foreign(format!("the decimal {text}")));
    }
    out.extend(text.bytes().filter(|byte| *byte != b'+').map(|byte| byte.to_ascii_lowercase()));
    Ok(())
}

fn foreign(error: &bson::error::Error) -> Unfit {
    Unfit::Foreign(format!("bytes that are no BSON ({error})"))
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;

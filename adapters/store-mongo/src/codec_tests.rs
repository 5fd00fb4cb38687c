//! JSON survives the way to BSON and back, to the last digit.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bson::RawDocumentBuf;
use proptest::prelude::*;

use super::*;

/// There and back, as a service's document.
fn round(json: &str) -> Result<String, Unfit> {
    let stored = RawDocumentBuf::try_from(&own_fields(json.as_bytes())?).unwrap();
    own_json(&stored).map(|json| String::from_utf8(json).unwrap())
}

#[test]
fn a_document_comes_back_as_it_was_written() {
    for json in [
        r#"{}"#,
        r#"{"a":null,"b":true,"c":[1,[],{}],"d":{"e":"ä\n\""}}"#,
        r#"{"z":1,"a":2}"#,
        r#"{"_id":"p1","_rev":7,"__x":1}"#,
        r#"{"a.b":1,"$set":{"$literal":"$a.b"},"":{"":1}}"#,
        r#"{"zero":"a\u0000b"}"#,
    ] {
        assert_eq!(round(json).unwrap(), json);
    }
}

#[test]
fn a_number_keeps_its_digits() {
    for number in [
        "0",
        "-1",
        "99.90",
        "0.10",
        "100.00",
        "1e16",
        "1.5e300",
        "1e-7",
        "-0",
        "-0.0",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "18446744073709551615",
        "0.000001",
        "1234567890123456789012345678901234",
    ] {
        let json = format!("{{\"n\":{number}}}");
        assert_eq!(round(&json).unwrap(), json);
    }
    assert_eq!(round(r#"{"n":1e-5}"#).unwrap(), r#"{"n":0.00001}"#, "the same digits, written another way");
}

#[test]
fn what_bson_cannot_say_is_refused() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(DEPTH + 1), "]".repeat(DEPTH + 1));
    for json in [
        r#"[1]"#,
        r#"{"a":1,"a":2}"#,
        r#"{"a\u0000b":1}"#,
        r#"{"n":12345678901234567890123456789012345}"#,
        r#"{"n":1e7000}"#,
        &deep,
    ] {
        assert!(round(json).is_err(), "{json}");
    }
}

#[test]
fn what_the_engine_added_is_not_given_back() {
    let mut stored = own_fields(br#"{"_id":"own","a":1}"#).unwrap();
    stored.extend(bson::doc! { "_id": "key", "_rev": 3_i64, "_index": { "by": 1 }, "_outbox": [] });
    let stored = RawDocumentBuf::try_from(&stored).unwrap();

    assert_eq!(own_json(&stored).unwrap(), br#"{"_id":"own","a":1}"#);
}

/// JSON text of any shape, with numbers as people and programs write them.
fn any_json() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<u64>().prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("JSON has no others", |number| number.is_finite())
            .prop_map(|number| { serde_json::to_string(&number).unwrap() }),
        ("-?(0|[1-9][0-9]{0,12})", "[0-9]{1,8}").prop_map(|(whole, part)| format!("{whole}.{part}")),
    ];
    let text = any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap());
    let leaf = prop_oneof![Just("null".to_owned()), Just("true".to_owned()), Just("false".to_owned()), number, text,];
    leaf.prop_recursive(5, 60, 6, |inner| {
        let name = any::<String>().prop_map(|name| serde_json::to_string(&name.replace('\0', "")).unwrap());
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::btree_map(name, inner, 0..6).prop_map(|fields| {
                let fields: Vec<String> = fields.into_iter().map(|(name, value)| format!("{name}:{value}")).collect();
                format!("{{{}}}", fields.join(","))
            }),
        ]
    })
}

/// The same text with every number written in one way.
fn normal(raw: &RawValue) -> String {
    let text = raw.get();
    match text.as_bytes()[0] {
        b'{' => {
            let Fields(fields) = serde_json::from_str(text).unwrap();
            fields.iter().map(|(name, value)| format!("{name:?}:{},", normal(value))).collect()
        }
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(text).unwrap();
            items.iter().map(|item| format!("[{},", normal(item))).collect()
        }
        b'"' | b't' | b'f' | b'n' => text.to_owned(),
        _ => format!("{:?}", digits(text)),
    }
}

proptest! {
    #[test]
    fn any_json_comes_back(value in any_json()) {
        let json = format!("{{\"value\":{value}}}");
        let back = round(&json).unwrap();
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        prop_assert_eq!(normal(&raw(&back)), normal(&raw(&json)));
    }
}

//! JSON bodies, read strictly: the right media type, bounded depth, no duplicate keys, errors with a pointer.

use std::error::Error as _;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use crate::Problem;
use crate::watched::BodyTooSlow;

/// Arrays and objects within each other, at most (R-H 3).
const DEEPEST: usize = 32;

/// A JSON body.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

impl<T, S> FromRequest<S> for Json<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "Send the body as application/json.",
            ));
        }
        let body = Bytes::from_request(request, state).await.map_err(|rejection| unread(&rejection))?;
        parse(&body).map(Self)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let media = media.split(';').next().unwrap_or("").trim();
    media.eq_ignore_ascii_case("application/json")
        || (media.len() > 17 && media.starts_with("application/") && media.ends_with("+json"))
}

fn unread(rejection: &BytesRejection) -> Problem {
    if rejection.source().is_some_and(BodyTooSlow::is_behind) {
        return Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", "The body did not arrive in time.");
    }
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "The body is larger than this route takes.")
        }
        _ => Problem::bad_request("body_incomplete", "The body ended before it was complete."),
    }
}

/// Parses one JSON object of type `T` and nothing after it.
///
/// # Errors
/// 400 `invalid_json` where it is no JSON, 400 `invalid_input` with a pointer where it is not a `T`.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    if depth(body) > DEEPEST {
        let detail = format!("Arrays and objects may stand within each other {DEEPEST} times at most.");
        return Err(Problem::bad_request("too_deep", detail));
    }
    // Texts that are passed over would not be looked at.
    let body = std::str::from_utf8(body)
        .map_err(|_| Problem::bad_request("invalid_json", "The body is not UTF-8.").with_error("", "not UTF-8"))?;
    // Serde would take the fields of an object by their places, which nobody means.
    if body.trim_start().starts_with('[') {
        let _: serde::de::IgnoredAny = serde_json::from_str(body).map_err(|error| refused("", &error))?;
        return Err(Problem::invalid("", "invalid type: list, expected an object"));
    }
    let mut deserializer = serde_json::Deserializer::from_str(body);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let pointer = pointer(error.path());
        match missing_field(error.inner()) {
            Some(name) => refused(&format!("{pointer}/{name}"), error.inner()),
            None => refused(&pointer, error.inner()),
        }
    })?;
    deserializer.end().map_err(|error| refused("", &error))?;
    Ok(value)
}

/// The field that is not there: its pointer is the most useful one, although it points to nothing.
fn missing_field(error: &serde_json::Error) -> Option<String> {
    let text = error.to_string();
    let (name, _) = text.strip_prefix("missing field `")?.split_once('`')?;
    Some(name.to_owned())
}

fn refused(pointer: &str, error: &serde_json::Error) -> Problem {
    match error.classify() {
        serde_json::error::Category::Data => Problem::invalid(pointer, plain(error)),
        serde_json::error::Category::Syntax | serde_json::error::Category::Eof | serde_json::error::Category::Io => {
            Problem::bad_request("invalid_json", "The body is not valid JSON.").with_error(pointer, plain(error))
        }
    }
}

/// The error's text without the position, which the pointer gives better, and in the words of JSON, not of Rust.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(&*text, |(text, _)| text);
    let Some((found, expected)) = text.rsplit_once(", expected ") else { return text.to_owned() };
    let expected = match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number that is not negative",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a sequence" | "a tuple" => "a list",
        "a map" => "an object",
        other if other.starts_with("struct ") || other.starts_with("internally tagged enum ") => "an object",
        other if other.starts_with("enum ") => "one of the values that are documented",
        other => other,
    };
    format!("{found}, expected {expected}")
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    let segments = path.iter().map(|segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { variant } => format!("/{variant}"),
        Segment::Unknown => String::new(),
    });
    segments.collect()
}

fn depth(body: &[u8]) -> usize {
    let (mut deepest, mut depth) = (0_usize, 0_usize);
    let (mut in_text, mut escaped) = (false, false);
    for byte in body {
        if in_text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_text = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_text = true,
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Add {
        items: Vec<Item>,
    }

    #[derive(Debug, Deserialize)]
    struct Item {
        quantity: u32,
    }

    fn problem(body: &str) -> Problem {
        parse::<Add>(body.as_bytes()).unwrap_err()
    }

    #[test]
    fn a_wrong_type_is_named_by_a_pointer() {
        for wrong in ["-1", "1.5", "1e9", "\"2\"", "null"] {
            let problem = problem(&format!(r#"{{"items": [{{"quantity": 1}}, {{"quantity": {wrong}}}]}}"#));
            assert_eq!((problem.status, problem.code.as_str()), (400, "invalid_input"), "{wrong}");
            assert_eq!(problem.errors[0].pointer, "/items/1/quantity", "{wrong}");
        }
        let detail = problem(r#"{"items": [{"quantity": -1}]}"#).errors.remove(0).detail;
        assert_eq!(detail, "invalid value: integer `-1`, expected a whole number that is not negative");
        assert_eq!(parse::<Add>(br#"{"items": [{"quantity": 2}]}"#).unwrap().items[0].quantity, 2);
    }

    #[test]
    fn a_field_that_is_missing_is_named_by_the_pointer_it_would_have() {
        assert_eq!(problem("{}").errors[0].pointer, "/items");
        assert_eq!(problem(r#"{"items": [{"quantity": 1}, {}]}"#).errors[0].pointer, "/items/1/quantity");
    }

    #[test]
    fn a_body_that_is_not_utf_8_is_refused_even_where_nobody_reads_it() {
        let problem = parse::<Add>(b"{\"items\": [], \"note\": \"\xe9\"}").unwrap_err();
        assert_eq!(problem.code, "invalid_json");
    }

    #[test]
    fn a_list_is_no_object_even_where_its_items_would_fit() {
        assert_eq!(problem(r#" [[{"quantity": 2}]]"#).code, "invalid_input");
        assert_eq!(problem(r#"[[], []]"#).code, "invalid_input");
        assert_eq!(problem(r#"[[{"quantity": 2}"#).code, "invalid_json");
    }

    #[test]
    fn a_duplicate_key_a_cut_body_and_a_deep_body_are_refused() {
        assert_eq!(problem(r#"{"items": [], "items": []}"#).code, "invalid_input");
        assert_eq!(problem(r#"{"items": [{"quantity""#).code, "invalid_json");
        assert_eq!(problem(r#"{"items": []} x"#).code, "invalid_json");
        assert_eq!(problem(&"[".repeat(40)).code, "too_deep");
    }
}

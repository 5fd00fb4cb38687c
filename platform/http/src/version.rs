//! Versions of documents as `ETag` and `If-Match` (RFC 9110, 8.8.3 and 13.1.1).

use axum::http::{HeaderMap, header};

use crate::Problem;

/// The entity tag of a version, `"7"`.
pub fn etag(version: u64) -> String {
    format!("\"{version}\"")
}

/// The version that `If-Match` asks for; `None` where it asks for none, or for any (`*`).
///
/// # Errors
/// 400 where it names something that no version of ours can be.
pub fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or("").trim();
    if text == "*" {
        return Ok(None);
    }
    let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let version = bare.parse();
    version.map(Some).map_err(|_| Problem::bad_request("invalid_if_match", "If-Match takes one ETag that we gave."))
}

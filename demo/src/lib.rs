//! The demo shop: what it sells, and the pictures of it.
//!
//! Promises that every picture the catalogue names is here, and that nothing else is served.

use std::borrow::Cow;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::RustEmbed;

/// How long a browser may keep a picture without asking: a day. Another picture gets another name.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=86400");

#[derive(RustEmbed)]
#[folder = "pictures"]
struct Pictures;

/// What the demo shop sells: JSON lines as `POST /product/import` and `cartwright import` take them, with opening stock.
pub const fn catalogue() -> &'static str {
    include_str!("../catalogue.jsonl")
}

/// The SVG picture of this file name, for example `teapot.svg`.
pub fn picture(name: &str) -> Option<Cow<'static, [u8]>> {
    Pictures::get(name).map(|file| file.data)
}

/// The names of all pictures.
pub fn pictures() -> impl Iterator<Item = Cow<'static, str>> {
    Pictures::iter()
}

/// Serves `/pictures/{name}`; 404 without a body for a name that is none.
pub fn router() -> Router {
    Router::new().route("/pictures/{name}", get(serve))
}

async fn serve(Path(name): Path<String>) -> Response {
    let Some(picture) = picture(&name) else { return StatusCode::NOT_FOUND.into_response() };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("image/svg+xml")),
        (header::CACHE_CONTROL, CACHE),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'")),
    ];
    (headers, picture).into_response()
}

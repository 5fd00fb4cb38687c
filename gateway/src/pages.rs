//! The pages for people: the shop's front door, the API reference and the list of problems.
//!
//! Everything they load comes from this binary; their content security policy holds browsers to that.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use cartwright_http::Problem;
use rust_embed::RustEmbed;

use crate::problems::KNOWN_PROBLEMS;

#[derive(RustEmbed)]
#[folder = "assets"]
struct Assets;

/// Scripts and styles from here only; the API reference styles its own elements.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Where the shop answers, where the request does not say.
const USUAL_HOST: &str = "localhost:3001";

#[derive(Clone)]
struct Pages {
    landing: Arc<str>,
    docs: Arc<str>,
    problems: Arc<str>,
    document: Bytes,
}

/// `/`, `/docs`, `/docs/problems`, their assets, and `/openapi.json`, which is `document`.
pub(crate) fn routes(shop: &str, version: &str, document: Vec<u8>) -> Router {
    let fill = |page: &str| Arc::from(page.replace("{shop}", &escaped(shop)).replace("{version}", &escaped(version)));
    let pages = Pages {
        landing: fill(include_str!("../pages/landing.html")),
        docs: fill(include_str!("../pages/docs.html")),
        problems: fill(&include_str!("../pages/problems.html").replace("{problems}", &problems())),
        document: document.into(),
    };
    Router::new()
        .route("/", get(landing))
        .route("/docs", get(async |State(pages): State<Pages>| page(pages.docs.to_string())))
        .route("/docs/problems", get(async |State(pages): State<Pages>| page(pages.problems.to_string())))
        .route("/docs/assets/{*path}", get(asset))
        .route("/openapi.json", get(document_of))
        .with_state(pages)
}

async fn landing(State(pages): State<Pages>, headers: HeaderMap) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or(USUAL_HOST);
    page(pages.landing.replace("{address}", &escaped(&format!("http://{host}"))))
}

async fn document_of(State(pages): State<Pages>) -> Response {
    let media = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")];
    (media, pages.document).into_response()
}

fn page(html: String) -> Response {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, Html(html)).into_response()
}

/// A file of the pages; a browser that has it is told so.
async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Response {
    let Some(file) = Assets::get(&path) else {
        return Problem::not_found("unknown_path", "There is nothing at this path.").into_response();
    };
    let hash = file.metadata.sha256_hash();
    let tag = format!("\"{}\"", hash[..8].iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let described = [
        (header::ETAG, tag),
        (header::CACHE_CONTROL, "public, max-age=3600".to_owned()),
        (header::CONTENT_TYPE, media_type(&path).to_owned()),
    ];
    if known {
        return (StatusCode::NOT_MODIFIED, described).into_response();
    }
    (described, Body::from(file.data.into_owned())).into_response()
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, end)| end) {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        _ => "text/plain; charset=utf-8",
    }
}

/// The list of problems as HTML; each is its own anchor, as `type` in a problem document refers to it.
fn problems() -> String {
    let problems = KNOWN_PROBLEMS.iter().map(|known| {
        let (code, status, meaning) = (escaped(known.code), known.status, escaped(known.meaning));
        let title = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default();
        format!("    <dt id=\"{code}\"><code>{code}</code><span>{status} {title}</span></dt>\n    <dd>{meaning}</dd>\n")
    });
    problems.collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

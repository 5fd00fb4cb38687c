//! Which service may call which route: a table that denies whatever it does not name (R-A 10).
//!
//! Promises that a request without the identity of a peer reaches no route, that a peer reaches the routes of its rows and
//! no others, and that each refusal is logged with caller and route. The rows are data of whoever sets the program up.

use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};

use crate::{PeerIdentity, Problem};

/// Stands in a row for every service that has proved who it is.
pub const ANY_PEER: &str = "*";

/// Rows of caller and route. Empty, it lets nobody through.
#[derive(Clone, Debug, Default)]
pub struct CallerTable {
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
struct Row {
    caller: String,
    route: Route,
}

#[derive(Clone, Debug)]
enum Route {
    /// One method of one route.
    One(Method, String),
    /// Everything below a path, the path itself included.
    Below(String),
}

impl CallerTable {
    /// No rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets `caller` use one method of the route that is declared as `path`, `/parcels/{id}/lines`. What stands between
    /// the braces does not matter; a `{id}` here does not stand for a route that has a word in that place.
    #[must_use]
    pub fn permit(self, caller: &str, method: Method, path: &str) -> Self {
        self.with(caller, Route::One(method, path.to_owned()))
    }

    /// Lets `caller` use whatever is at `path` and below it: `/` for everything.
    #[must_use]
    pub fn permit_below(self, caller: &str, path: &str) -> Self {
        self.with(caller, Route::Below(path.trim_end_matches('/').to_owned()))
    }

    fn with(mut self, caller: &str, route: Route) -> Self {
        self.rows.push(Row { caller: caller.to_owned(), route });
        self
    }

    /// Whether a row lets `caller` use `method` of the route `template`; `None` where no route answers to `path`.
    fn allows(&self, caller: &str, method: &Method, template: Option<&str>, path: &str) -> bool {
        let rows = self.rows.iter().filter(|row| row.caller == caller || row.caller == ANY_PEER);
        rows.map(|row| &row.route).any(|route| match route {
            Route::One(allowed, declared) => {
                is_used_by(allowed, method) && template.is_some_and(|template| are_one_route(declared, template))
            }
            Route::Below(prefix) => is_below(prefix, template.unwrap_or(path)),
        })
    }
}

/// Whoever may GET may HEAD, as the router answers both by one handler.
fn is_used_by(allowed: &Method, method: &Method) -> bool {
    allowed == method || (allowed == Method::GET && method == Method::HEAD)
}

/// Whether two templates differ in nothing but the names of their parameters.
fn are_one_route(declared: &str, template: &str) -> bool {
    declared.split('/').map(kind).eq(template.split('/').map(kind))
}

/// A segment of a template without the name of its parameter.
fn kind(segment: &str) -> &str {
    match (segment.starts_with("{*"), segment.starts_with('{') && segment.ends_with('}')) {
        (true, true) => "{*}",
        (false, true) => "{}",
        _ => segment,
    }
}

fn is_below(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Puts `table` in front of every route of `router`, its fallback included. Stands inside [`crate::layers`], so that a
/// refusal names its request, and behind [`crate::serve_tls`] with [`crate::Tls::mutual`], which says who is calling.
pub fn permit(router: Router, table: CallerTable) -> Router {
    router.layer(from_fn_with_state(Arc::new(table), check))
}

async fn check(State(table): State<Arc<CallerTable>>, request: Request, next: Next) -> Response {
    let (method, path) = (request.method(), request.uri().path());
    let template = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let route = template.unwrap_or(path);
    let Some(PeerIdentity(caller)) = request.extensions().get::<PeerIdentity>() else {
        tracing::warn!(%method, route, "a caller without an identity was refused");
        return refuse("Only services that prove who they are by a certificate may call here.");
    };
    if !table.allows(caller, method, template, path) {
        tracing::warn!(%caller, %method, route, "a service called what it may not");
        return refuse(&format!("The service {caller} may not call this route."));
    }
    next.run(request).await
}

fn refuse(detail: &str) -> Response {
    Problem::new(StatusCode::FORBIDDEN, "peer_not_allowed", detail).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> CallerTable {
        CallerTable::new()
            .permit("order", Method::GET, "/parcels/{id}")
            .permit("order", Method::POST, "/parcels/{id}/seal")
            .permit("gateway", Method::GET, "/files/{*path}")
            .permit_below("gateway", "/parcels")
            .permit(ANY_PEER, Method::GET, "/readyz")
    }

    fn allows(caller: &str, method: &Method, template: &str) -> bool {
        table().allows(caller, method, Some(template), template)
    }

    #[test]
    fn a_caller_may_do_what_a_row_says_and_nothing_else() {
        assert!(allows("order", &Method::GET, "/parcels/{parcel}"));
        assert!(allows("order", &Method::HEAD, "/parcels/{parcel}"));
        assert!(allows("order", &Method::POST, "/parcels/{parcel}/seal"));
        assert!(!allows("order", &Method::POST, "/parcels/{parcel}"));
        assert!(!allows("order", &Method::GET, "/parcels/{parcel}/seal"));
        assert!(!allows("order", &Method::GET, "/parcels"));
        assert!(!allows("order", &Method::GET, "/parcels/all"), "a word is no parameter");
        assert!(!allows("order", &Method::GET, "/parcels/{*rest}"));
        assert!(!allows("auth", &Method::GET, "/parcels/{parcel}"));
        assert!(allows("gateway", &Method::GET, "/files/{*rest}"));
    }

    #[test]
    fn a_prefix_ends_where_a_segment_ends() {
        assert!(allows("gateway", &Method::DELETE, "/parcels"));
        assert!(allows("gateway", &Method::PUT, "/parcels/{parcel}/seal"));
        assert!(!allows("gateway", &Method::GET, "/parcels-of-others"));
        let all = CallerTable::new().permit_below("gateway", "/");
        assert!(all.allows("gateway", &Method::GET, None, "/nowhere"));
        assert!(!all.allows("order", &Method::GET, None, "/nowhere"));
    }

    #[test]
    fn everybody_with_an_identity_may_do_what_is_for_any_peer() {
        assert!(allows("auth", &Method::GET, "/readyz"));
        assert!(!allows("auth", &Method::POST, "/readyz"));
        assert!(!CallerTable::new().allows("auth", &Method::GET, Some("/readyz"), "/readyz"));
    }
}

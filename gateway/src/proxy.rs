//! A service in other processes, as if it were in this one: its router hands each request on.
//!
//! Promises that bodies are streamed both ways, so that an event arrives when it happens and a client that leaves ends the
//! request at the service; and that routes for peers and metrics are not reached from here, whatever a service serves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use cartwright_http::Problem;
use cartwright_upstream::Upstream;

use crate::forwarding::{Origin, to_client, to_service};

/// What a service is given to say how it is, milliseconds: a little more than it gives its store.
const PROBE_MS: u64 = 3_000;

/// A service in other processes, to be served under its prefix.
#[derive(Clone)]
pub struct Proxied {
    /// Its instances; their name is the prefix.
    pub upstream: Upstream,
    /// Whether the route at this path only waits for others, so that it has another deadline.
    pub waits: fn(&str) -> bool,
    /// What a route that works has until the head of its answer, milliseconds.
    pub working_ms: u64,
    /// What one that waits has: long enough for the upload of a catalogue.
    pub waiting_ms: u64,
    /// By which scheme clients reach the gateway, `http` or `https`.
    pub scheme: &'static str,
}

impl Proxied {
    /// The service behind `upstream`, with the deadlines of R-L 3, for clients that come by `http`.
    pub const fn new(upstream: Upstream, waits: fn(&str) -> bool) -> Self {
        Self { upstream, waits, working_ms: 10_000, waiting_ms: 600_000, scheme: "http" }
    }

    /// A router that hands on every request, whose path has no prefix any more.
    pub(crate) fn router(self) -> Router {
        Router::new().route("/", any(forward)).route("/{*path}", any(forward)).with_state(Arc::new(self))
    }

    fn deadline(&self, path: &str) -> Duration {
        let ms = match path {
            "/health" | "/readyz" | "/livez" => PROBE_MS,
            path if (self.waits)(path) => self.waiting_ms,
            _ => self.working_ms,
        };
        Duration::from_millis(ms)
    }
}

async fn forward(State(proxied): State<Arc<Proxied>>, request: Request) -> Response {
    if is_closed(request.uri().path()) {
        return Problem::not_found("unknown_path", "There is nothing at this path.").into_response();
    }
    let deadline = proxied.deadline(request.uri().path());
    match proxied.upstream.call(handed_on(request, proxied.scheme), deadline).await {
        Ok(mut answer) => {
            to_client(answer.headers_mut());
            answer
        }
        Err(error) => {
            tracing::warn!(%error, "a request was not answered");
            error.into_response()
        }
    }
}

/// The request as the service gets it, built anew from what we understood.
fn handed_on(request: Request, scheme: &'static str) -> Request {
    let (mut head, body) = request.into_parts();
    let client = head.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip());
    to_service(&mut head.headers, Origin { client, scheme, authority: head.uri.authority() });
    let path = head.uri.into_parts().path_and_query;
    let mut request = Request::new(body);
    *request.method_mut() = head.method;
    *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
    *request.headers_mut() = head.headers;
    request
}

/// Whether nobody outside may ask for `path`, however it is written: routes for peers alone, and metrics.
fn is_closed(path: &str) -> bool {
    let first = path.split('/').map(decoded).find(|segment| !matches!(&segment[..], b"" | b"." | b".."));
    first.is_some_and(|first| first.eq_ignore_ascii_case(b"peer") || first.eq_ignore_ascii_case(b"metrics"))
}

/// A segment without percent-encoding, decoded until nothing is left of it.
fn decoded(segment: &str) -> Vec<u8> {
    let mut bytes = segment.as_bytes().to_vec();
    loop {
        let decoded = decoded_once(&bytes);
        if decoded.len() == bytes.len() {
            return bytes;
        }
        bytes = decoded;
    }
}

fn decoded_once(bytes: &[u8]) -> Vec<u8> {
    let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let (mut decoded, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).unwrap_or_default());
                at += 3;
            }
            _ => {
                decoded.push(*byte);
                at += 1;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_peers_is_closed_however_it_is_written() {
        for path in [
            "/peer",
            "/peer/freeze",
            "//peer/x",
            "/./peer/x",
            "/%70eer/x",
            "/p%65%65r",
            "/%2570eer",
            "/PEER/x",
            "/metrics",
        ] {
            assert!(is_closed(path), "{path}");
        }
        for path in ["/", "/peers", "/products/peer", "/get-cart/peer", "/%zz", "/caf%C3%A9", "/metrics-of"] {
            assert!(!is_closed(path), "{path}");
        }
    }
}

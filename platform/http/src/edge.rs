//! What every request passes before a route sees it, and every response before it leaves: one layer, in one function.
//!
//! Promises that each response carries the request's id, that each refusal is a problem document which names it, that a
//! panic is a 500 and nothing more, and that a server with too much to do says so within a moment instead of queueing.

use std::any::Any;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, DefaultBodyLimit, MatchedPath};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use cartwright_runtime::{Clock, Ids};
use futures::FutureExt;
use tokio::sync::{Semaphore, SemaphorePermit};
use tower::{Layer, Service, ServiceBuilder};
use tracing::Instrument;
use tracing::field::Empty;

use crate::cors::{self, Origins};
use crate::{Asked, Leaving, Problem, refusal};

/// The name of the request's id, in requests and in responses.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What is left of the caller's deadline, milliseconds (R-L 3). Between processes each subtracts what it needed itself.
pub const DEADLINE: HeaderName = HeaderName::from_static("x-request-deadline-ms");

/// On a refusal: nothing was begun, so the request can go to another instance whatever it asks for.
pub const NOT_PROCESSED: HeaderName = HeaderName::from_static("x-cartwright-not-processed");

pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// How the edge treats requests.
#[derive(Clone)]
pub struct EdgeSettings {
    /// Origins whose pages may call, `https://shop.example`.
    pub origins: Vec<String>,
    /// Names that `Host` may have, without port; empty for any.
    pub hosts: Vec<String>,
    /// A body, bytes. A route raises it with an [`axum::extract::DefaultBodyLimit`] of its own.
    pub body_bytes_max: usize,
    /// Path and query, bytes.
    pub url_bytes_max: usize,
    /// Header fields.
    pub header_fields_max: usize,
    /// Names and values of all header fields, bytes.
    pub header_bytes_max: usize,
    /// Requests that are worked on at once.
    pub in_flight_max: usize,
    /// How long a request waits for its turn before it is refused with 503, milliseconds of real time.
    pub admission_ms: u64,
    /// How long a request is worked on before it is given up with 503, milliseconds of real time.
    pub deadline_ms: u64,
    /// Whether the route with this path template only waits for others: it then takes no turn and has its own deadline.
    /// What is handed to another process has no template and is judged by its path.
    pub waits: fn(&str) -> bool,
    /// Once this is announced `/readyz` answers 503, whatever the routes say.
    pub leaving: Leaving,
    /// The clock.
    pub clock: Clock,
    /// The source of request ids.
    pub ids: Ids,
}

impl EdgeSettings {
    /// The limits of R-H 3 and R-L 2, no other origins, any host, no route that waits.
    pub fn new(clock: Clock, ids: Ids) -> Self {
        Self {
            origins: Vec::new(),
            hosts: Vec::new(),
            body_bytes_max: 256 * 1024,
            url_bytes_max: 4 * 1024,
            header_fields_max: 64,
            header_bytes_max: 16 * 1024,
            in_flight_max: 512,
            admission_ms: 100,
            deadline_ms: 15_000,
            waits: |_| false,
            leaving: Leaving::default(),
            clock,
            ids,
        }
    }
}

/// Puts the edge around `router`, its fallback included. Apply it once and last.
pub fn layers(router: Router, settings: EdgeSettings) -> Router {
    let body = DefaultBodyLimit::max(settings.body_bytes_max);
    let edge = Edge {
        origins: Origins::new(&settings.origins),
        turns: Semaphore::new(settings.in_flight_max.min(Semaphore::MAX_PERMITS)),
        settings,
    };
    router.layer(ServiceBuilder::new().layer(EdgeLayer(Arc::new(edge))).layer(body))
}

struct Edge {
    settings: EdgeSettings,
    origins: Origins,
    turns: Semaphore,
}

#[derive(Clone)]
struct EdgeLayer(Arc<Edge>);

impl<S> Layer<S> for EdgeLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { edge: Arc::clone(&self.0), inner }
    }
}

#[derive(Clone)]
struct Guarded<S> {
    edge: Arc<Edge>,
    inner: S,
}

/// How a request is let through.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Takes a turn and has the deadline.
    Working,
    /// Takes no turn and has no deadline but its own.
    Waiting,
    /// Asks whether we are well, which must be answered under load too.
    Probing,
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let edge = Arc::clone(&self.edge);
        let id = name(&mut request, &edge.settings.ids);
        // At the level of errors, so that whatever is logged on the way names the request.
        let span = tracing::error_span!("request", id = id.to_str().unwrap_or_default(), traceparent = Empty);
        if let Some(parent) = request.headers().get(TRACEPARENT).and_then(|parent| parent.to_str().ok()) {
            span.record("traceparent", parent);
        }
        let origin = edge.origins.of(&request);
        let closing = has_unsure_end(&request);
        let early = match edge.refuse(&request) {
            Err(problem) => Some(problem.into_response()),
            Ok(()) => cors::preflight(&request, origin.as_ref()),
        };
        let Some(response) = early else {
            let class = edge.class(&request);
            let limit = edge.limit(class, &request);
            let traceparent = request.headers().get(TRACEPARENT).cloned();
            let asked = Asked { id: id.clone(), traceparent, watch: edge.settings.clock.stopwatch(), limit };
            tracing::debug!(parent: &span, method = %request.method(), path = request.uri().path(), "asked");
            // Nothing happens in the routes before the future is polled, which is after admission.
            let work = self.inner.call(request);
            let answer = async move {
                let mut response = edge.admit(class, limit, asked.during(work)).await;
                edge.finish(&mut response, &id, origin);
                if closing {
                    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                Ok(response)
            };
            return Box::pin(answer.instrument(span));
        };
        let mut response = response;
        edge.finish(&mut response, &id, origin);
        Box::pin(std::future::ready(Ok(response)))
    }
}

impl Edge {
    /// What is wrong with a request by its outside alone.
    fn refuse(&self, request: &Request<Body>) -> Result<(), Problem> {
        let settings = &self.settings;
        if request.method() == Method::CONNECT || wants_another_protocol(request.headers()) {
            return Err(closing(request, Problem::bad_request("bad_request", "Only HTTP is spoken here.")));
        }
        if request.uri().path() == "/readyz" && settings.leaving.is_announced() {
            return Err(Problem::unavailable("not_ready", "This process is about to stop."));
        }
        let url_bytes = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
        if url_bytes > settings.url_bytes_max {
            return Err(refusal::of_status(StatusCode::URI_TOO_LONG));
        }
        let headers = request.headers();
        let header_bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if headers.len() > settings.header_fields_max || header_bytes > settings.header_bytes_max {
            return Err(refusal::of_status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
        }
        // A request that came over no socket was made by this program, which names no host.
        match request.extensions().get::<ConnectInfo<SocketAddr>>() {
            Some(_) => self.check_host(request).map_err(|problem| closing(request, problem)),
            None => Ok(()),
        }
    }

    fn check_host(&self, request: &Request<Body>) -> Result<(), Problem> {
        let wrong = |detail| Err(Problem::bad_request("invalid_host", detail));
        let host = if request.version() >= Version::HTTP_2 {
            request.uri().host()
        } else if request.uri().authority().is_some() {
            return wrong("This is no proxy: ask for a path.");
        } else {
            let mut hosts = request.headers().get_all(header::HOST).iter();
            match (hosts.next(), hosts.next()) {
                (Some(host), None) => host.to_str().ok().filter(|host| is_host(host)).map(without_port),
                _ => return wrong("A request has one Host."),
            }
        };
        let Some(host) = host else { return wrong("This is not the name of a host.") };
        let hosts = &self.settings.hosts;
        if !hosts.is_empty() && !hosts.iter().any(|known| known.eq_ignore_ascii_case(host)) {
            return wrong("This host is not served here.");
        }
        Ok(())
    }

    fn class(&self, request: &Request<Body>) -> Class {
        if matches!(request.uri().path(), "/livez" | "/readyz" | "/health") {
            return Class::Probing;
        }
        let matched = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        let route = matched.filter(|template| !template.contains("{*")).unwrap_or(request.uri().path());
        if (self.settings.waits)(route) { Class::Waiting } else { Class::Working }
    }

    /// How long the request may take: no longer than whoever asks waits for it.
    fn limit(&self, class: Class, request: &Request<Body>) -> Option<Duration> {
        let left =
            request.headers().get(DEADLINE).and_then(|left| left.to_str().ok()).and_then(|left| left.parse().ok());
        let ours = match class {
            Class::Waiting => None,
            Class::Working | Class::Probing => Some(self.settings.deadline_ms),
        };
        ours.into_iter().chain(left).min().map(Duration::from_millis)
    }

    async fn admit<F>(&self, class: Class, limit: Option<Duration>, work: F) -> Response
    where
        F: Future<Output = Result<Response, Infallible>> + Send,
    {
        let turn = match class {
            Class::Working => match self.turn(limit).await {
                Some(turn) => Some(turn),
                None => return not_begun(refusal::of_status(StatusCode::SERVICE_UNAVAILABLE)),
            },
            Class::Waiting | Class::Probing if limit.is_some_and(|limit| limit.is_zero()) => {
                return not_begun(refusal::of_status(StatusCode::SERVICE_UNAVAILABLE));
            }
            Class::Waiting | Class::Probing => None,
        };
        let work = AssertUnwindSafe(work).catch_unwind();
        let result = match limit {
            None => work.await,
            Some(limit) => tokio::select! {
                biased;
                result = work => result,
                () = self.settings.clock.pause(limit) => return too_late(),
            },
        };
        drop(turn);
        match result {
            Ok(Ok(response)) => response,
            Err(panic) => Problem::internal(&format_args!("a route panicked: {}", text(&*panic))).into_response(),
        }
    }

    /// A turn, as soon as there is one; `None` where there is none for too long, or nobody waits for the answer any more.
    async fn turn(&self, limit: Option<Duration>) -> Option<SemaphorePermit<'_>> {
        let patience = Duration::from_millis(self.settings.admission_ms).min(limit.unwrap_or(Duration::MAX));
        if limit.is_some_and(|limit| limit.is_zero()) {
            return None;
        }
        if let Ok(turn) = self.turns.try_acquire() {
            return Some(turn);
        }
        tokio::select! {
            biased;
            turn = self.turns.acquire() => turn.ok(),
            () = self.settings.clock.pause(patience) => None,
        }
    }

    fn finish(&self, response: &mut Response, id: &HeaderValue, origin: Option<HeaderValue>) {
        refusal::name_request(response, id.to_str().unwrap_or_default());
        let status = response.status().as_u16();
        tracing::debug!(status, "answered");
        let headers = response.headers_mut();
        headers.insert(REQUEST_ID, id.clone());
        default(headers, header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        default(headers, header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        default(headers, header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        default(headers, header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        self.origins.mark(headers, origin);
    }
}

/// A refusal of a request of which nothing was begun.
fn not_begun(problem: Problem) -> Response {
    problem.with_header(NOT_PROCESSED, "1").into_response()
}

/// A refusal after which nothing more is read from the connection: who sends this may mean something else by the rest of
/// it than we do (R-H 2). HTTP/2 keeps its requests apart by itself.
fn closing(request: &Request<Body>, problem: Problem) -> Problem {
    if request.version() < Version::HTTP_2 { problem.with_header(header::CONNECTION, "close") } else { problem }
}

/// Whether a proxy before us may see the end of the request elsewhere than we do. A `Content-Length` beside
/// `Transfer-Encoding` is ignored before we see it, so whatever has the latter ends its connection (RFC 9112, 6.1).
fn has_unsure_end(request: &Request<Body>) -> bool {
    request.version() < Version::HTTP_2 && request.headers().contains_key(header::TRANSFER_ENCODING)
}

/// Whether the request asks to go on in a protocol other than HTTP/2, which we do not offer either and may ignore.
fn wants_another_protocol(headers: &HeaderMap) -> bool {
    let wanted = headers.get_all(header::UPGRADE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    wanted.map(<[u8]>::trim_ascii).any(|protocol| !protocol.eq_ignore_ascii_case(b"h2c"))
}

fn default(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    headers.entry(name).or_insert(value);
}

/// Takes over the id that the request brings, or makes one; the request carries it from here on. A `traceparent` that is
/// none is not passed on.
fn name(request: &mut Request<Body>, ids: &Ids) -> HeaderValue {
    let headers = request.headers_mut();
    if headers.get(TRACEPARENT).is_some_and(|value| !is_traceparent(value.as_bytes())) {
        headers.remove(TRACEPARENT);
    }
    if let Some(id) = headers.get(REQUEST_ID).filter(|id| is_request_id(id.as_bytes())) {
        return id.clone();
    }
    let id = HeaderValue::try_from(ids.uuid().simple().to_string()).unwrap_or(HeaderValue::from_static("unnamed"));
    headers.insert(REQUEST_ID, id.clone());
    id
}

fn is_request_id(id: &[u8]) -> bool {
    (1..=64).contains(&id.len()) && id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

/// Whether this is `00-<trace id>-<parent id>-<flags>` (W3C Trace Context, 3.2).
fn is_traceparent(value: &[u8]) -> bool {
    let parts: Vec<&[u8]> = value.split(|byte| *byte == b'-').collect();
    let [version, trace, parent, flags] = parts[..] else { return false };
    let is_hex = |part: &[u8], len: usize| {
        part.len() == len && part.iter().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte))
    };
    let is_zero = |part: &[u8]| part.iter().all(|byte| *byte == b'0');
    version == b"00"
        && is_hex(trace, 32)
        && is_hex(parent, 16)
        && is_hex(flags, 2)
        && !is_zero(trace)
        && !is_zero(parent)
}

fn is_host(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn too_late() -> Response {
    let detail = "This took too long. It is not known whether it took effect; repeat it with the same Idempotency-Key.";
    Problem::unavailable("deadline_exceeded", detail).into_response()
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sane_request_id_is_taken_over() {
        assert!(is_request_id(b"checkout-42_a.b"));
        for wrong in [&b""[..], b"a b", b"a\"b", &[b'a'; 65]] {
            assert!(!is_request_id(wrong));
        }
    }

    #[test]
    fn only_a_well_formed_traceparent_is_passed_on() {
        assert!(is_traceparent(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        for wrong in [
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "x",
        ] {
            assert!(!is_traceparent(wrong.as_bytes()), "{wrong}");
        }
    }

    #[test]
    fn a_host_is_compared_without_its_port() {
        assert_eq!(without_port("shop.example:3001"), "shop.example");
        assert_eq!(without_port("[::1]:3001"), "[::1]");
        assert_eq!(without_port("[::1]"), "[::1]");
    }
}

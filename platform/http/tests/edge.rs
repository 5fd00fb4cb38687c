//! The edge, asked over real sockets: what it refuses, how it says so, and how it ends.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::http::HeaderMap;
use axum::response::sse::{Event, Sse};
use axum::routing::{get, post};
use cartwright_http::{EdgeSettings, Json, Leaving, Limits, layers, serve};
use cartwright_runtime::{Clock, Ids, Stopwatch, Tasks};
use futures::{FutureExt, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};

/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Deserialize, Serialize)]
struct Parcel {
    weight: u32,
}

struct Host {
    address: SocketAddr,
    tasks: Tasks,
    ended: oneshot::Receiver<usize>,
    /// Lets `/slow` answer.
    gate: Arc<Notify>,
    /// Told when `/slow` was reached.
    reached: Arc<Notify>,
}

impl Host {
    async fn start() -> Self {
        Self::with(short_limits(), |settings| settings).await
    }

    async fn with(limits: Limits, adapt: impl FnOnce(EdgeSettings) -> EdgeSettings) -> Self {
        let clock = Clock::system();
        let tasks = Tasks::new();
        let (gate, reached) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let settings = adapt(EdgeSettings::new(clock.clone(), Ids::seeded(clock.clone(), 1)));
        let router = layers(routes(&gate, &reached), settings);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ended) = oneshot::channel();
        let serving = serve(listener, router, limits, clock, tasks.clone());
        tasks.spawn(serving.map(|cut| end.send(cut).unwrap_or(())));
        Self { address, tasks, ended, gate, reached }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn ask(&self, request: &str) -> Answer {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        Answer::read(&mut stream).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: shop\r\n\r\n")).await
    }

    async fn post(&self, path: &str, media: &str, body: &str) -> Answer {
        let length = body.len();
        self.ask(&format!(
            "POST {path} HTTP/1.1\r\nhost: shop\r\ncontent-type: {media}\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
        .await
    }
}

fn short_limits() -> Limits {
    Limits {
        first_byte_ms: 700,
        head_ms: 700,
        body_ms: 700,
        idle_ms: 2_000,
        stall_ms: 400,
        drain_ms: 3_000,
        ..Limits::default()
    }
}

fn routes(gate: &Arc<Notify>, reached: &Arc<Notify>) -> Router {
    let (gate, reached) = (Arc::clone(gate), Arc::clone(reached));
    let slow = move || async move {
        reached.notify_one();
        gate.notified().await;
        "done"
    };
    Router::new()
        .route("/parcels", post(async |Json(parcel): Json<Parcel>| Json(parcel)))
        .route("/letters", post(async |body: Bytes| body.len().to_string()))
        .route("/crates", post(async |body: Bytes| body.len().to_string()).layer(DefaultBodyLimit::max(1 << 20)))
        .route("/number/{n}", get(async |axum::extract::Path(n): axum::extract::Path<u32>| n.to_string()))
        .route("/panic", get(async || -> &'static str { panic!("the secret of the panic") }))
        .route("/trace", get(async |headers: HeaderMap| headers.contains_key("traceparent").to_string()))
        .route("/large", get(async || "x".repeat(64 << 20)))
        .route("/cached", get(async || ([("cache-control", "public, max-age=60")], "x")))
        .route("/events", get(async || Sse::new(futures::stream::pending::<Result<Event, axum::Error>>())))
        .route("/wait", get(slow.clone()))
        .route("/slow", get(slow))
        .route("/health", get(async || "well"))
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

impl Answer {
    /// Reads one answer with a known length, or to the end of the connection.
    async fn read(stream: &mut TcpStream) -> Self {
        let reading = Self::read_all(stream);
        Clock::system().timeout(PATIENCE, reading).await.expect("an answer comes in time")
    }

    async fn read_all(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        loop {
            if let Some(answer) = Self::parse(&bytes) {
                return answer;
            }
            let read = stream.read_buf(&mut bytes).await.unwrap();
            assert!(read > 0, "the connection ended early: {:?}", String::from_utf8_lossy(&bytes));
        }
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().unwrap();
        let mut headers = HashMap::new();
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            headers.insert(name.to_owned(), value.to_owned());
        }
        let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        let body = bytes.get(end + 4..end + 4 + length)?.to_vec();
        Some(Self { status, headers, body })
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The code of the problem, after checking that it is a whole one and names the request.
    fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let document: Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(document["status"], self.status);
        assert_eq!(document["instance"], self.header("x-request-id"));
        assert!(!self.header("x-request-id").is_empty());
        for part in ["type", "title", "detail", "code"] {
            assert!(document[part].is_string(), "{part} of {document}");
        }
        document["code"].as_str().unwrap().to_owned()
    }
}

/// Whether the other side closes the connection before `limit`.
async fn is_closed_within(stream: &mut TcpStream, limit: Duration) -> bool {
    let reading = async {
        let mut bytes = [0; 1024];
        while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
    };
    Clock::system().timeout(limit, reading).await.is_some()
}

async fn pause(millis: u64) {
    Clock::system().pause(Duration::from_millis(millis)).await;
}

fn stopwatch() -> Stopwatch {
    Clock::system().stopwatch()
}

#[tokio::test]
async fn silent_and_half_sent_connections_are_closed_while_others_are_served() {
    let host = Host::start().await;
    let watch = stopwatch();
    let mut silent = host.connect().await;
    let mut half_sent = host.connect().await;
    half_sent.write_all(b"GET /health HT").await.unwrap();
    let mut trickling = host.connect().await;
    trickling.write_all(b"GET /health HTTP/1.1\r\n").await.unwrap();

    for _ in 0..10 {
        assert_eq!(host.get("/health").await.status, 200);
        drop(trickling.write_all(b"x").await);
        pause(60).await;
    }

    for stream in [&mut silent, &mut half_sent, &mut trickling] {
        assert!(is_closed_within(stream, Duration::from_secs(4)).await);
    }
    assert!(watch.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_kept_connection_outlives_the_header_limit_and_ends_when_idle() {
    let host = Host::start().await;
    let mut stream = host.connect().await;
    for _ in 0..2 {
        stream.write_all(b"GET /health HTTP/1.1\r\nhost: shop\r\n\r\n").await.unwrap();
        assert_eq!(Answer::read(&mut stream).await.status, 200);
        pause(1_000).await;
    }
    assert!(is_closed_within(&mut stream, PATIENCE).await);
}

#[tokio::test]
async fn a_body_that_trickles_is_given_up() {
    let host = Host::start().await;
    let mut stream = host.connect().await;
    let head = "POST /parcels HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut from, mut to) = stream.into_split();
    let (stop, mut stopped) = oneshot::channel::<()>();
    let trickle = async {
        while stopped.try_recv().is_err() && to.write_all(b" ").await.is_ok() {
            pause(20).await;
        }
    };
    let answer = async {
        let mut bytes = Vec::new();
        while Answer::parse(&bytes).is_none() {
            assert!(from.read_buf(&mut bytes).await.unwrap() > 0);
        }
        stop.send(()).unwrap();
        Answer::parse(&bytes).unwrap()
    };
    let (answer, ()) = Clock::system().timeout(PATIENCE, futures::future::join(answer, trickle)).await.unwrap();
    assert_eq!((answer.status, answer.problem().as_str()), (408, "request_timeout"));
}

#[tokio::test]
async fn a_large_body_that_keeps_coming_gets_the_time_it_needs() {
    let host = Host::with(Limits { body_ms: 1_500, ..short_limits() }, |settings| settings).await;
    let mut stream = host.connect().await;
    let head = "POST /crates HTTP/1.1\r\nhost: shop\r\ncontent-length: 900000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let watch = stopwatch();
    for _ in 0..3 {
        pause(600).await;
        stream.write_all(&[b'x'; 300_000]).await.unwrap();
    }
    let answer = Answer::read(&mut stream).await;
    assert_eq!((answer.status, answer.text()), (200, "900000"));
    assert!(watch.elapsed() > Duration::from_millis(1_500), "it did not outlast the limit of a small body");
}

#[tokio::test]
async fn a_client_that_reads_nothing_loses_its_connection() {
    let host = Host::with(Limits { connections_max: 1, ..short_limits() }, |settings| settings).await;
    let mut stream = host.connect().await;
    stream.write_all(b"GET /large HTTP/1.1\r\nhost: shop\r\n\r\n").await.unwrap();
    // Its place is free again while it still holds its end of the connection.
    let watch = stopwatch();
    while host.get("/health").await.status != 200 {
        assert!(watch.elapsed() < PATIENCE);
        pause(50).await;
    }
    drop(stream);
}

#[tokio::test]
async fn an_address_with_too_many_connections_is_refused_until_one_ends() {
    let limits = Limits { connections_per_address_max: 2, idle_ms: 60_000, first_byte_ms: 60_000, ..short_limits() };
    let host = Host::with(limits, |settings| settings).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = host.connect().await;
        stream.write_all(b"GET /health HTTP/1.1\r\nhost: shop\r\n\r\n").await.unwrap();
        assert_eq!(Answer::read(&mut stream).await.status, 200);
        held.push(stream);
    }
    let mut refused = host.connect().await;
    let answer = Answer::read(&mut refused).await;
    assert_eq!(answer.status, 429);
    assert!(answer.text().contains("too_many_connections"));

    held.clear();
    let watch = stopwatch();
    loop {
        // Nothing is sent before the server has spoken or been silent for a moment, so that a refusal is not lost.
        let mut stream = host.connect().await;
        if !is_closed_within(&mut stream, Duration::from_millis(100)).await {
            stream.write_all(b"GET /health HTTP/1.1\r\nhost: shop\r\n\r\n").await.unwrap();
            assert_eq!(Answer::read(&mut stream).await.status, 200);
            break;
        }
        assert!(watch.elapsed() < PATIENCE);
    }
}

#[tokio::test]
async fn a_stop_finishes_what_is_under_way_and_takes_nothing_new() {
    let host = Host::start().await;
    let mut slow = host.connect().await;
    slow.write_all(b"GET /slow HTTP/1.1\r\nhost: shop\r\n\r\n").await.unwrap();
    host.reached.notified().await;
    let mut idle = host.connect().await;
    idle.write_all(b"GET /health HTTP/1.1\r\nhost: shop\r\n\r\n").await.unwrap();
    assert_eq!(Answer::read(&mut idle).await.header("connection"), "");

    host.tasks.stop();

    assert!(is_closed_within(&mut idle, PATIENCE).await);
    assert!(TcpStream::connect(host.address).await.is_err());
    host.gate.notify_one();
    let answer = Answer::read(&mut slow).await;
    assert_eq!((answer.status, answer.text(), answer.header("connection")), (200, "done", "close"));
    assert!(is_closed_within(&mut slow, PATIENCE).await);
    assert_eq!(Clock::system().timeout(PATIENCE, host.ended).await.unwrap(), Ok(0));
}

#[tokio::test]
async fn a_stop_ends_event_streams() {
    let host = Host::start().await;
    let mut stream = host.connect().await;
    stream.write_all(b"GET /events HTTP/1.1\r\nhost: shop\r\n\r\n").await.unwrap();
    assert_eq!(Answer::read(&mut stream).await.header("content-type"), "text/event-stream");
    host.tasks.stop();
    assert!(is_closed_within(&mut stream, PATIENCE).await);
    assert_eq!(Clock::system().timeout(PATIENCE, host.ended).await.unwrap(), Ok(0));
}

#[tokio::test]
async fn what_does_not_end_in_the_drain_is_cut() {
    let host = Host::with(Limits { drain_ms: 200, ..short_limits() }, |settings| settings).await;
    let mut slow = host.connect().await;
    slow.write_all(b"GET /slow HTTP/1.1\r\nhost: shop\r\n\r\n").await.unwrap();
    host.reached.notified().await;
    host.tasks.stop();
    assert_eq!(Clock::system().timeout(PATIENCE, host.ended).await.unwrap(), Ok(1));
    assert!(is_closed_within(&mut slow, PATIENCE).await);
}

#[tokio::test]
async fn every_refusal_is_a_problem_that_names_the_request() {
    let host = Host::start().await;
    let large = format!("\"{}\"", "x".repeat(300 * 1024));
    let cases = [
        (host.get("/nowhere").await, 404, "unknown_path"),
        (host.get("/parcels").await, 405, "method_not_allowed"),
        (host.get("/number/x").await, 400, "bad_request"),
        (host.get("/panic").await, 500, "internal_error"),
        (host.get(&format!("/{}", "x".repeat(5_000))).await, 414, "url_too_long"),
        (host.post("/parcels", "application/json", "{\"weight\": 1").await, 400, "invalid_json"),
        (host.post("/parcels", "application/json", "{\"weight\": -1}").await, 400, "invalid_input"),
        (host.post("/parcels", "text/plain", "{}").await, 415, "unsupported_media_type"),
        (host.post("/parcels", "application/json", &large).await, 413, "body_too_large"),
        (host.post("/letters", "text/plain", &large).await, 413, "body_too_large"),
    ];
    for (answer, status, code) in cases {
        assert_eq!((answer.status, answer.problem().as_str()), (status, code));
        for inner in ["panic", "secret", "axum", "u32", "src/", "Failed", "parse"] {
            assert!(!answer.text().contains(inner), "{inner} in {}", answer.text());
        }
    }
    assert_eq!(host.post("/parcels", "application/json", "{\"weight\": 1}").await.text(), "{\"weight\":1}");
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let host = Host::start().await;
    assert_eq!(host.get("/parcels").await.header("allow"), "POST");
}

#[tokio::test]
async fn a_route_may_take_larger_bodies_than_others() {
    let host = Host::start().await;
    let answer = host.post("/crates", "text/plain", &"x".repeat(300 * 1024)).await;
    assert_eq!((answer.status, answer.text()), (200, "307200"));
}

#[tokio::test]
async fn too_many_or_too_large_header_fields_are_refused() {
    let host = Host::start().await;
    let many: String = (0..70).map(|n| format!("x-{n}: 1\r\n")).collect();
    let large = format!("x-large: {}\r\n", "x".repeat(20_000));
    for fields in [many, large] {
        let answer = host.ask(&format!("GET /health HTTP/1.1\r\nhost: shop\r\n{fields}\r\n")).await;
        assert_eq!((answer.status, answer.problem().as_str()), (431, "headers_too_large"));
    }
}

#[tokio::test]
async fn a_request_names_one_host_that_is_served_here_and_no_other_place() {
    let host = Host::with(short_limits(), |settings| EdgeSettings { hosts: vec!["shop".into()], ..settings }).await;
    for request in [
        "GET /health HTTP/1.1\r\n\r\n",
        "GET /health HTTP/1.1\r\nhost: shop\r\nhost: shop\r\n\r\n",
        "GET /health HTTP/1.1\r\nhost: elsewhere\r\n\r\n",
        "GET /health HTTP/1.1\r\nhost: shop/../x\r\n\r\n",
        "GET http://shop/health HTTP/1.1\r\nhost: shop\r\n\r\n",
    ] {
        let answer = host.ask(request).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, "invalid_host"), "{request}");
    }
    assert_eq!(host.ask("GET /health HTTP/1.1\r\nhost: SHOP:3001\r\n\r\n").await.status, 200);
}

#[tokio::test]
async fn whoever_may_mean_something_else_by_a_request_is_refused_and_hung_up_on() {
    let host = Host::with(short_limits(), |settings| EdgeSettings { hosts: vec!["shop".into()], ..settings }).await;
    let post = "POST /letters HTTP/1.1\r\nhost: shop\r\n";
    for request in [
        "GET /health HTTP/1.1\r\n\r\n".to_owned(),
        "GET /health HTTP/1.1\r\nhost: shop\r\nhost: shop\r\n\r\n".to_owned(),
        "GET /health HTTP/1.1\r\nhost: elsewhere\r\n\r\n".to_owned(),
        "GET http://shop/health HTTP/1.1\r\nhost: shop\r\n\r\n".to_owned(),
        "CONNECT shop:443 HTTP/1.1\r\nhost: shop\r\n\r\n".to_owned(),
        "GET /health HTTP/1.1\r\nhost: shop\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n".to_owned(),
        "GET /health HTTP/1.1\r\nhost: shop\r\nx-a: 1\r\n 2\r\n\r\n".to_owned(),
        "GET /health HTTP/1.1\r\nhost: shop\r\nx-a : 1\r\n\r\n".to_owned(),
        "GET /health HTTP/1.1\nhost: shop\r\nx\r\n\r\n".to_owned(),
        format!("{post}content-length: 3\r\ncontent-length: 4\r\n\r\nabcd"),
        format!("{post}content-length: 3, 4\r\n\r\nabcd"),
        format!("{post}content-length: +3\r\n\r\nabc"),
        format!("{post}transfer-encoding: gzip\r\n\r\nabc"),
        format!("{post}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
        "POST /letters HTTP/1.0\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
    ] {
        let mut stream = host.connect().await;
        stream.write_all(format!("{request}GET /health HTTP/1.1\r\nhost: shop\r\n\r\n").as_bytes()).await.unwrap();
        assert_eq!(Answer::read(&mut stream).await.status, 400, "{request}");
        let mut rest = Vec::new();
        let end = Clock::system().timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
        assert!(end.is_some() && rest.is_empty(), "{request} was followed by {:?}", String::from_utf8_lossy(&rest));
    }
}

#[tokio::test]
async fn a_request_with_two_lengths_is_the_last_of_its_connection() {
    let host = Host::start().await;
    let mut stream = host.connect().await;
    let smuggled = "GET /health HTTP/1.1\r\nhost: shop\r\n\r\n";
    let request = format!(
        "POST /letters HTTP/1.1\r\nhost: shop\r\ncontent-length: {}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}",
        5 + smuggled.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = Answer::read(&mut stream).await;
    assert_eq!((answer.status, answer.header("connection")), (200, "close"));
    assert!(is_closed_within(&mut stream, PATIENCE).await);

    let mut whole = Vec::new();
    let mut stream = host.connect().await;
    stream.write_all(request.as_bytes()).await.unwrap();
    assert!(Clock::system().timeout(PATIENCE, stream.read_to_end(&mut whole)).await.is_some());
    assert_eq!(String::from_utf8_lossy(&whole).matches("HTTP/1.1").count(), 1, "the smuggled request was answered");
}

#[tokio::test]
async fn a_wish_for_http_2_is_passed_over() {
    let host = Host::start().await;
    let answer = host.ask("GET /health HTTP/1.1\r\nhost: shop\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n").await;
    assert_eq!((answer.status, answer.text()), (200, "well"));
}

#[tokio::test]
async fn a_sane_request_id_is_taken_over_and_another_is_replaced() {
    let host = Host::start().await;
    let ask = async |id: &str| {
        let answer = host.ask(&format!("GET /nowhere HTTP/1.1\r\nhost: shop\r\nx-request-id: {id}\r\n\r\n")).await;
        assert_eq!(answer.problem(), "unknown_path");
        answer.header("x-request-id").to_owned()
    };
    assert_eq!(ask("checkout-7").await, "checkout-7");
    let made = ask("<script>").await;
    assert_eq!(made.len(), 32);
    assert_ne!(made, ask("<script>").await);
}

#[tokio::test]
async fn a_traceparent_is_passed_on_only_where_it_is_one() {
    let host = Host::start().await;
    for (value, passed) in [("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "true"), ("x", "false")] {
        let answer = host.ask(&format!("GET /trace HTTP/1.1\r\nhost: shop\r\ntraceparent: {value}\r\n\r\n")).await;
        assert_eq!(answer.text(), passed);
    }
}

#[tokio::test]
async fn answers_are_private_unless_the_route_says_otherwise() {
    let host = Host::start().await;
    let answer = host.get("/health").await;
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    assert_eq!(host.get("/cached").await.header("cache-control"), "public, max-age=60");
}

#[tokio::test]
async fn only_pages_of_known_origins_may_call() {
    let origins = vec!["https://shop.example/".to_owned()];
    let host = Host::with(short_limits(), |settings| EdgeSettings { origins, ..settings }).await;
    let ask = async |method: &str, origin: &str| {
        let asked = "access-control-request-method: POST\r\n";
        host.ask(&format!("{method} /parcels HTTP/1.1\r\nhost: shop\r\norigin: {origin}\r\n{asked}\r\n")).await
    };
    let known = ask("OPTIONS", "https://shop.example").await;
    assert_eq!((known.status, known.header("access-control-allow-origin")), (204, "https://shop.example"));
    assert!(known.header("access-control-allow-headers").contains("idempotency-key"));
    assert_eq!(ask("GET", "https://shop.example").await.header("access-control-allow-origin"), "https://shop.example");
    for method in ["OPTIONS", "GET"] {
        for stranger in ["https://evil.example", "https://shop.example.evil.example", "http://shop.example", "null"] {
            let answer = ask(method, stranger).await;
            assert_eq!(answer.header("access-control-allow-origin"), "", "{method} {stranger}");
            assert_eq!(answer.header("access-control-allow-headers"), "");
            assert_eq!(answer.header("vary"), "origin");
        }
    }
}

#[tokio::test]
async fn a_full_server_refuses_work_and_still_answers_probes_and_those_who_wait() {
    let host = Host::with(short_limits(), |settings| EdgeSettings {
        in_flight_max: 1,
        admission_ms: 30,
        waits: |route| route == "/wait",
        ..settings
    })
    .await;
    let mut slow = host.connect().await;
    slow.write_all(b"GET /slow HTTP/1.1\r\nhost: shop\r\n\r\n").await.unwrap();
    host.reached.notified().await;

    let refused = host.get("/cached").await;
    assert_eq!((refused.status, refused.problem().as_str()), (503, "overloaded"));
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.header("x-cartwright-not-processed"), "1");
    assert_eq!(host.get("/health").await.status, 200);
    let mut waiting = host.connect().await;
    waiting.write_all(b"GET /wait HTTP/1.1\r\nhost: shop\r\n\r\n").await.unwrap();
    host.reached.notified().await;

    for stream in [&mut slow, &mut waiting] {
        host.gate.notify_one();
        assert_eq!(Answer::read(stream).await.status, 200);
    }
    assert_eq!(host.get("/cached").await.status, 200);
}

#[tokio::test]
async fn a_request_is_given_up_at_its_deadline_and_one_that_waits_is_not() {
    let host = Host::with(short_limits(), |settings| EdgeSettings {
        deadline_ms: 80,
        waits: |route| route == "/wait",
        ..settings
    })
    .await;
    let mut waiting = host.connect().await;
    waiting.write_all(b"GET /wait HTTP/1.1\r\nhost: shop\r\n\r\n").await.unwrap();
    host.reached.notified().await;

    let late = host.get("/slow").await;
    assert_eq!((late.status, late.problem().as_str()), (503, "deadline_exceeded"));

    host.gate.notify_one();
    assert_eq!(Answer::read(&mut waiting).await.status, 200);
}

#[tokio::test]
async fn no_request_takes_longer_than_its_caller_waits() {
    let host =
        Host::with(short_limits(), |settings| EdgeSettings { waits: |route| route == "/wait", ..settings }).await;
    let ask = async |path: &str, left: &str| {
        host.ask(&format!("GET {path} HTTP/1.1\r\nhost: shop\r\nx-request-deadline-ms: {left}\r\n\r\n")).await
    };
    for path in ["/slow", "/wait"] {
        let late = ask(path, "80").await;
        assert_eq!((late.status, late.problem().as_str()), (503, "deadline_exceeded"));
        assert_eq!(late.header("x-cartwright-not-processed"), "", "it was begun");
        host.reached.notified().await;

        let never_begun = ask(path, "0").await;
        assert_eq!((never_begun.status, never_begun.problem().as_str()), (503, "overloaded"));
        assert_eq!(never_begun.header("x-cartwright-not-processed"), "1");
        assert!(host.reached.notified().now_or_never().is_none());
    }
    assert_eq!(ask("/health", "nonsense").await.status, 200);
}

#[tokio::test]
async fn a_process_that_is_about_to_stop_says_so_and_goes_on_answering() {
    let leaving = Leaving::default();
    let told = leaving.clone();
    let host = Host::with(short_limits(), |settings| EdgeSettings { leaving: told, ..settings }).await;
    assert_eq!(host.get("/readyz").await.status, 404, "it is the routes' to answer");

    leaving.announce();

    let answer = host.get("/readyz").await;
    assert_eq!((answer.status, answer.problem().as_str()), (503, "not_ready"));
    assert_eq!(host.get("/health").await.status, 200);
}

#[tokio::test]
async fn http_2_is_spoken_without_tls_to_those_who_begin_with_it() {
    let host = Host::start().await;
    let stream = hyper_util::rt::TokioIo::new(host.connect().await);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, stream).await.unwrap();
    host.tasks.spawn(connection.map(drop));
    let requests = (0..20).map(|_| {
        let request = hyper::Request::get("http://shop/health").body(http_body_util::Empty::<Bytes>::new()).unwrap();
        sender.send_request(request)
    });
    let answers: Vec<_> = futures::stream::iter(requests.collect::<Vec<_>>()).buffered(20).collect().await;
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap().status() == 200));

    host.tasks.stop();
    assert_eq!(Clock::system().timeout(PATIENCE, host.ended).await.unwrap(), Ok(0));
}

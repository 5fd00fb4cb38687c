//! TLS over real sockets: who is let in, what a request says about its caller, and what certificates do while it runs.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::fs;
use std::io::{self, Error, Result};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode, Version};
use axum::routing::{get, post};
use axum::{Extension, Router};
use cartwright_http::{
    ANY_PEER, CallerTable, EdgeSettings, Limits, PeerIdentity, Problem, Tls, layers, permit, serve_tls,
};
use cartwright_runtime::{Clock, Ids, Tasks, Time};
use cartwright_tls::{Authority, EdgeCertificate, EdgeFiles, Identity, IdentityFiles, service_named_in};
use futures::FutureExt;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// How often identities look at their files in the test of renewal.
const LOOK: Duration = Duration::from_secs(1);

/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder with an authority in it, and the clock by which its certificates are judged.
struct Place {
    folder: TempDir,
    clock: Clock,
}

impl Place {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), clock: Clock::manual(Time::from_millis(1_795_340_000_000)) }
    }

    fn issue(&self, service: &str, life: Duration) {
        let authority = Authority::open_or_create(self.folder.path(), &self.clock).unwrap();
        authority.issue(service, life).unwrap();
    }

    fn identity(&self, service: &str, life: Duration) -> Arc<Identity> {
        self.issue(service, life);
        Identity::load(IdentityFiles::in_folder(self.folder.path(), service), &self.clock).unwrap()
    }

    fn edge(&self) -> Arc<EdgeCertificate> {
        let authority = Authority::open_or_create(self.folder.path(), &self.clock).unwrap();
        authority.issue_edge(&["shop.example".to_owned()], DAY).unwrap();
        EdgeCertificate::load(EdgeFiles::in_folder(self.folder.path()), &self.clock).unwrap()
    }

    /// A client without a certificate, which trusts the authority here.
    fn stranger(&self, version: &'static SupportedProtocolVersion) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.folder.path().join("ca.pem")).unwrap()).unwrap();
        ClientConfig::builder_with_details(Arc::new(default_provider()), Arc::new(TheirTime(self.clock.clone())))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }
}

#[derive(Debug)]
struct TheirTime(Clock);

impl rustls::time_provider::TimeProvider for TheirTime {
    fn current_time(&self) -> Option<rustls::pki_types::UnixTime> {
        let seconds = u64::try_from(self.0.now().seconds()).ok()?;
        Some(rustls::pki_types::UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

struct Host {
    address: SocketAddr,
    tasks: Tasks,
    ended: oneshot::Receiver<usize>,
}

impl Host {
    async fn start(tls: Tls, limits: Limits, router: Router) -> Self {
        let clock = Clock::system();
        let tasks = Tasks::new();
        let router = layers(router, EdgeSettings::new(clock.clone(), Ids::seeded(clock.clone(), 1)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ended) = oneshot::channel();
        let serving = serve_tls(listener, router, tls, limits, clock, tasks.clone());
        tasks.spawn(serving.map(|cut| end.send(cut).unwrap_or(())));
        Self { address, tasks, ended }
    }

    async fn of(identity: &Identity) -> Self {
        Self::start(Tls::mutual(identity.server_config(), service_named_in), short_limits(), routes()).await
    }

    async fn at_the_edge(certificate: &EdgeCertificate) -> Self {
        Self::start(Tls::edge(certificate.server_config()), short_limits(), routes()).await
    }

    async fn connect(&self, config: Arc<ClientConfig>) -> Result<TlsStream<TcpStream>> {
        connect(self.address, config).await
    }

    /// What one request over a connection of its own is answered.
    async fn ask(&self, config: Arc<ClientConfig>, method: Method, path: &str) -> Result<(StatusCode, String)> {
        Line::open(self.address, config).await?.ask(method, path).await
    }
}

async fn connect(address: SocketAddr, config: Arc<ClientConfig>) -> Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(config).connect(ServerName::try_from("shop.example").unwrap(), stream).await
}

/// An open connection, on which requests are asked one after the other.
enum Line {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

impl Line {
    async fn open(address: SocketAddr, config: Arc<ClientConfig>) -> Result<Self> {
        let stream = connect(address, config).await?;
        let is_http_2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let background = Tasks::new();
        if is_http_2 {
            let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
            let (line, connection) = handshake.map_err(Error::other)?;
            background.spawn(connection.map(drop));
            return Ok(Self::Http2(line));
        }
        let (line, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(Error::other)?;
        background.spawn(connection.map(drop));
        Ok(Self::Http1(line))
    }

    async fn ask(&mut self, method: Method, path: &str) -> Result<(StatusCode, String)> {
        let request = |uri: String| Request::builder().method(method).uri(uri).header("host", "shop.example");
        let asking = async {
            match self {
                Self::Http1(line) => line.send_request(request(path.to_owned()).body(Body::empty()).unwrap()).await,
                Self::Http2(line) => {
                    let mut request = request(format!("https://shop.example{path}"));
                    request.headers_mut().unwrap().remove("host");
                    line.send_request(request.body(Body::empty()).unwrap()).await
                }
            }
        };
        let answer = Clock::system().timeout(PATIENCE, asking).await.expect("an answer comes in time");
        let answer = answer.map_err(Error::other)?;
        let status = answer.status();
        let body = to_bytes(Body::new(answer.into_body()), 1 << 20).await.map_err(Error::other)?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }
}

fn short_limits() -> Limits {
    Limits {
        first_byte_ms: 1_500,
        head_ms: 1_500,
        idle_ms: 60_000,
        stall_ms: 400,
        drain_ms: 3_000,
        ..Limits::default()
    }
}

async fn who(identity: Option<Extension<PeerIdentity>>, version: Version) -> String {
    let name = identity.map_or_else(|| "nobody".to_owned(), |Extension(PeerIdentity(name))| name.to_string());
    format!("{name} by {version:?}")
}

fn routes() -> Router {
    Router::new().route("/who", get(who)).route("/large", get(async || "x".repeat(64 << 20)))
}

async fn is_closed_within(stream: &mut TcpStream, limit: Duration) -> bool {
    let mut rest = Vec::new();
    let reading = stream.read_to_end(&mut rest).map(drop);
    Clock::system().timeout(limit, reading).await.is_some()
}

#[tokio::test]
async fn a_request_says_which_service_is_calling() {
    let place = Place::new();
    let auth = place.identity("auth", DAY);
    let order = place.identity("order", DAY);
    let host = Host::of(&auth).await;
    let config = order.client_config("auth");

    let plain = host.ask(Arc::clone(&config), Method::GET, "/who").await.unwrap();
    let mut newer = ClientConfig::clone(&config);
    newer.alpn_protocols = vec![b"h2".to_vec()];
    let multiplexed = host.ask(newer.into(), Method::GET, "/who").await.unwrap();

    assert_eq!(plain, (StatusCode::OK, "order by HTTP/1.1".to_owned()));
    assert_eq!(multiplexed, (StatusCode::OK, "order by HTTP/2.0".to_owned()));
}

#[tokio::test]
async fn without_a_good_certificate_no_request_is_answered() {
    let (place, elsewhere) = (Place::new(), Place::new());
    let auth = place.identity("auth", DAY * 2);
    let order = place.identity("order", DAY);
    let host = Host::of(&auth).await;
    let (ours, theirs) = (place.folder.path().join("ca.pem"), elsewhere.folder.path().join("ca.pem"));
    let foreign = elsewhere.identity("order", DAY);
    fs::write(&theirs, [fs::read(&theirs).unwrap(), fs::read(&ours).unwrap()].concat()).unwrap();
    assert!(foreign.reload().unwrap());

    let unknown = host.ask(place.stranger(&TLS13).into(), Method::GET, "/who").await;
    assert!(unknown.is_err(), "{unknown:?}");
    let of_another_authority = host.ask(foreign.client_config("auth"), Method::GET, "/who").await;
    assert!(of_another_authority.is_err(), "{of_another_authority:?}");
    host.ask(order.client_config("auth"), Method::GET, "/who").await.unwrap();
    place.clock.advance(DAY + Duration::from_secs(1));
    let expired = host.ask(order.client_config("auth"), Method::GET, "/who").await;
    assert!(expired.is_err(), "{expired:?}");
    let mut plain = TcpStream::connect(host.address).await.unwrap();
    plain.write_all(b"GET /who HTTP/1.1\r\nhost: shop\r\n\r\n").await.unwrap();
    assert!(is_closed_within(&mut plain, PATIENCE).await);
}

#[tokio::test]
async fn a_caller_refuses_a_server_that_is_another_service() {
    let place = Place::new();
    let auth = place.identity("auth", DAY);
    let order = place.identity("order", DAY);
    let host = Host::of(&auth).await;

    let refused = host.connect(order.client_config("payment")).await.map(drop).unwrap_err();

    assert!(refused.to_string().contains("the server is auth, not payment"), "{refused}");
}

#[tokio::test]
async fn the_edge_speaks_http_2_and_http_1_1_over_tls_1_3_only() {
    let place = Place::new();
    let edge = place.edge();
    let host = Host::at_the_edge(&edge).await;

    for (offered, spoken) in [(&["h2", "http/1.1"][..], "HTTP/2.0"), (&["http/1.1"], "HTTP/1.1"), (&[], "HTTP/1.1")] {
        let mut config = place.stranger(&TLS13);
        config.alpn_protocols = offered.iter().map(|it| it.as_bytes().to_vec()).collect();
        let answer = host.ask(config.into(), Method::GET, "/who").await.unwrap();
        assert_eq!(answer, (StatusCode::OK, format!("nobody by {spoken}")));
    }
    let old = host.connect(place.stranger(&TLS12).into()).await.map(drop).unwrap_err();
    assert!(old.to_string().contains("ProtocolVersion"), "{old}");
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_cut_and_holds_up_nobody() {
    let place = Place::new();
    let edge = place.edge();
    let host = Host::at_the_edge(&edge).await;
    let watch = Clock::system().stopwatch();
    let mut silent = TcpStream::connect(host.address).await.unwrap();
    let mut slow = TcpStream::connect(host.address).await.unwrap();
    // The head of a record that announces more than ever comes.
    slow.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();

    let answer = host.ask(place.stranger(&TLS13).into(), Method::GET, "/who").await.unwrap();
    assert_eq!(answer.0, StatusCode::OK);
    assert!(watch.elapsed() < Duration::from_millis(1_500), "a slow handshake holds up others");

    assert!(is_closed_within(&mut silent, PATIENCE).await);
    assert!(is_closed_within(&mut slow, PATIENCE).await);
    assert!(watch.elapsed() >= Duration::from_millis(1_400), "they were cut before their time");
}

#[tokio::test]
async fn a_handshake_counts_among_the_connections() {
    let place = Place::new();
    let edge = place.edge();
    let limits = Limits { connections_max: 1, first_byte_ms: 60_000, ..short_limits() };
    let host = Host::start(Tls::edge(edge.server_config()), limits, routes()).await;
    let silent = TcpStream::connect(host.address).await.unwrap();

    host.ask(place.stranger(&TLS13).into(), Method::GET, "/who").await.unwrap_err();

    drop(silent);
    let (system, waiting) = (Clock::system(), Clock::system().stopwatch());
    while host.ask(place.stranger(&TLS13).into(), Method::GET, "/who").await.is_err() {
        assert!(waiting.elapsed() < PATIENCE, "the place is not given back");
        system.pause(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn after_the_handshake_slow_clients_have_no_more_time_than_without_tls() {
    let place = Place::new();
    let edge = place.edge();
    let host = Host::at_the_edge(&edge).await;
    let config = Arc::new(place.stranger(&TLS13));

    let mut silent = host.connect(Arc::clone(&config)).await.unwrap();
    let mut half_sent = host.connect(Arc::clone(&config)).await.unwrap();
    half_sent.write_all(b"GET /who HTTP/1.1\r\nhost: ").await.unwrap();
    let mut unread = host.connect(Arc::clone(&config)).await.unwrap();
    unread.write_all(b"GET /large HTTP/1.1\r\nhost: shop\r\n\r\n").await.unwrap();
    // Below TLS nothing is ever whole: bytes of a record that does not end are not yet bytes of a request.
    let mut half_record = host.connect(config).await.unwrap();
    half_record.get_mut().0.write_all(&[23, 3, 3, 0, 200, 1, 2, 3]).await.unwrap();

    let system = Clock::system();
    for stream in [&mut silent, &mut half_sent, &mut half_record] {
        assert!(is_closed_within(stream.get_mut().0, PATIENCE).await);
    }
    // What was on the way still comes, but not all of it.
    let waiting = system.stopwatch();
    let mut bytes = 0;
    let mut chunk = vec![0; 1 << 16];
    system.pause(Duration::from_millis(1_200)).await;
    while let Ok(read) = unread.get_mut().0.read(&mut chunk).await
        && read > 0
    {
        bytes += read;
        assert!(waiting.elapsed() < PATIENCE);
    }
    assert!(bytes < 64 << 20, "the whole answer came");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_handshake() {
    let place = Place::new();
    let edge = place.edge();
    let limits = Limits { first_byte_ms: 60_000, drain_ms: 60_000, ..short_limits() };
    let host = Host::start(Tls::edge(edge.server_config()), limits, routes()).await;
    let config = Arc::new(place.stranger(&TLS13));
    let mut silent = TcpStream::connect(host.address).await.unwrap();
    let mut kept = Line::open(host.address, config).await.unwrap();
    kept.ask(Method::GET, "/who").await.unwrap();

    host.tasks.stop();

    let cut = Clock::system().timeout(PATIENCE, host.ended).await.expect("the server ends in time");
    assert_eq!(cut.unwrap(), 0);
    assert!(is_closed_within(&mut silent, PATIENCE).await);
}

#[tokio::test]
async fn certificates_of_three_seconds_are_renewed_without_a_failed_request() {
    let life = Duration::from_secs(3);
    let place = Place::new();
    let auth = place.identity("auth", life);
    let order = place.identity("order", life);
    let host = Host::of(&auth).await;
    let tasks = Tasks::new();
    auth.keep_fresh(LOOK, &tasks);
    order.keep_fresh(LOOK, &tasks);
    let counts = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
    let (failed, mut failure) = tokio::sync::mpsc::channel::<String>(2);
    for (count, keeps_its_connection) in counts.iter().zip([false, true]) {
        let caller = Caller { address: host.address, order: Arc::clone(&order), keeps_its_connection };
        let (count, failed, stopping) = (Arc::clone(count), failed.clone(), tasks.clone());
        tasks.spawn(async move {
            if let Err(error) = caller.ask_until_the_stop(&count, &stopping).await {
                failed.send(error.to_string()).await.unwrap();
            }
        });
    }

    more_requests(&counts).await;
    // Issued at the same second, a new certificate would end when the former does.
    place.clock.advance(LOOK);
    for round in 0..20 {
        let former = (auth.not_after(), order.not_after());
        if round % 4 == 1 {
            break_for_a_moment(&place, &counts).await;
        }
        place.issue("auth", life);
        place.issue("order", life);
        place.clock.advance(LOOK);
        until(|| auth.not_after() != former.0 && order.not_after() != former.1, &place.clock).await;
        more_requests(&counts).await;
    }

    assert!(place.clock.now() > Time::from_millis(1_795_340_000_000).plus(life * 3));
    assert_eq!(failure.try_recv().ok(), None);
    assert!(tasks.drain(&Clock::system(), PATIENCE).await);
}

struct Caller {
    address: SocketAddr,
    order: Arc<Identity>,
    keeps_its_connection: bool,
}

impl Caller {
    async fn ask_until_the_stop(&self, count: &AtomicUsize, tasks: &Tasks) -> Result<()> {
        let mut line = Line::open(self.address, self.order.client_config("auth")).await?;
        while !tasks.is_stopping() {
            if !self.keeps_its_connection {
                line = Line::open(self.address, self.order.client_config("auth")).await?;
            }
            let (status, _) = line.ask(Method::GET, "/who").await?;
            assert_eq!(status, StatusCode::OK);
            count.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// A certificate that is cut off is there while requests are made.
async fn break_for_a_moment(place: &Place, counts: &[Arc<AtomicUsize>]) {
    let file = place.folder.path().join("auth.pem");
    let good = fs::read(&file).unwrap();
    fs::write(&file, &good[..good.len() / 2]).unwrap();
    place.clock.advance(LOOK);
    more_requests(counts).await;
    fs::write(&file, good).unwrap();
}

/// Waits until each of the callers has been answered some more.
async fn more_requests(counts: &[Arc<AtomicUsize>]) {
    let goals: Vec<usize> = counts.iter().map(|count| count.load(Ordering::Relaxed) + 5).collect();
    let reached = || counts.iter().zip(&goals).all(|(count, goal)| count.load(Ordering::Relaxed) >= *goal);
    let (system, waiting) = (Clock::system(), Clock::system().stopwatch());
    while !reached() {
        assert!(waiting.elapsed() < PATIENCE, "requests are no longer answered");
        system.pause(Duration::from_millis(2)).await;
    }
}

/// Waits until new files are in use. A look that was under way when they were written needs another one, which is still
/// within the life of the certificates before.
async fn until(is_so: impl Fn() -> bool, clock: &Clock) {
    let (system, waiting) = (Clock::system(), Clock::system().stopwatch());
    let mut looked_again = false;
    while !is_so() {
        assert!(waiting.elapsed() < PATIENCE, "the new certificates are not noticed");
        system.pause(Duration::from_millis(10)).await;
        if !looked_again && waiting.elapsed() > Duration::from_secs(1) {
            clock.advance(LOOK);
            looked_again = true;
        }
    }
}

#[tokio::test]
async fn a_service_reaches_the_routes_of_its_rows_and_no_others() {
    let place = Place::new();
    let inventory = place.identity("inventory", DAY);
    let [order, auth, gateway] = ["order", "auth", "gateway"].map(|it| place.identity(it, DAY));
    let table = CallerTable::new()
        .permit("order", Method::POST, "/parcels/{id}/seal")
        .permit_below("gateway", "/parcels")
        .permit(ANY_PEER, Method::GET, "/readyz");
    let router = Router::new()
        .route("/parcels/{parcel}", get(async || "a parcel"))
        .route("/parcels/{parcel}/seal", post(async || "sealed"))
        .route("/readyz", get(async || "ready"));
    let mutual = Tls::mutual(inventory.server_config(), service_named_in);
    let host = Host::start(mutual, short_limits(), permit(router, table)).await;

    for (caller, method, path, expected) in [
        (&order, Method::POST, "/parcels/7/seal", 200),
        (&order, Method::GET, "/parcels/7", 403),
        (&order, Method::GET, "/readyz", 200),
        (&auth, Method::POST, "/parcels/7/seal", 403),
        (&auth, Method::GET, "/readyz", 200),
        (&auth, Method::GET, "/nowhere", 403),
        (&gateway, Method::GET, "/parcels/7", 200),
        (&gateway, Method::GET, "/parcels/7/nowhere", 404),
        (&gateway, Method::GET, "/nowhere", 403),
    ] {
        let label = format!("{} {method} {path}", caller.service());
        let (status, body) = host.ask(caller.client_config("inventory"), method, path).await.unwrap();
        assert_eq!(status.as_u16(), expected, "{label}: {body}");
        if expected == 403 {
            let problem: Problem = serde_json::from_str(&body).unwrap();
            assert_eq!(problem.code, "peer_not_allowed");
            assert!(problem.instance.is_some(), "{label}");
        }
    }
}

#[tokio::test]
async fn whoever_has_no_identity_passes_no_table() {
    let place = Place::new();
    let edge = place.edge();
    let table = CallerTable::new().permit_below(ANY_PEER, "/");
    let host = Host::start(Tls::edge(edge.server_config()), short_limits(), permit(routes(), table)).await;

    let (status, body) = host.ask(place.stranger(&TLS13).into(), Method::GET, "/who").await.unwrap();

    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(body.contains("peer_not_allowed"), "{body}");
}

/// What is logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[tokio::test]
async fn whoever_is_refused_stands_in_the_log_without_what_they_sent() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _listening = tracing::subscriber::set_default(subscriber);
    let place = Place::new();
    let (auth, order) = (place.identity("auth", DAY), place.identity("order", DAY));
    let mutual = Tls::mutual(auth.server_config(), service_named_in);
    let router = permit(Router::new().route("/parcels/{parcel}", get(async || "a parcel")), CallerTable::new());
    let host = Host::start(mutual, short_limits(), router).await;

    host.ask(order.client_config("auth"), Method::GET, "/parcels/secret?token=secret").await.unwrap();
    host.ask(place.stranger(&TLS13).into(), Method::GET, "/parcels/secret").await.unwrap_err();

    // The stranger may learn of the refusal before the log does.
    let (system, waiting) = (Clock::system(), Clock::system().stopwatch());
    while log.text().matches("WARN").count() < 2 {
        assert!(waiting.elapsed() < PATIENCE, "{}", log.text());
        system.pause(Duration::from_millis(5)).await;
    }
    let text = log.text();
    let lines: Vec<&str> = text.lines().collect();
    for part in ["a service called what it may not", "order", "GET", "/parcels/{parcel}"] {
        assert!(lines[0].contains(part), "{text}");
    }
    assert!(lines[1].contains("a handshake with a service failed"), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

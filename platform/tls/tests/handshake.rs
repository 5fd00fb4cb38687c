//! Handshakes between identities: who gets through, who does not, and what a change of the files does to them.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::fs;
use std::io::{Error, Result};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cartwright_runtime::{Clock, Tasks, Time};
use cartwright_tls::{Authority, EdgeCertificate, EdgeFiles, Identity, IdentityFiles, TlsError, service_named_in};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A folder with an authority in it, and a clock that a test moves.
struct Place {
    folder: TempDir,
    clock: Clock,
}

impl Place {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), clock: Clock::manual(Time::from_millis(1_795_340_000_000)) }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn authority(&self) -> Authority {
        Authority::open_or_create(self.path(), &self.clock).unwrap()
    }

    fn issue(&self, service: &str, life: Duration) {
        self.authority().issue(service, life).unwrap();
    }

    fn files(&self, service: &str) -> IdentityFiles {
        IdentityFiles::in_folder(self.path(), service)
    }

    fn identity(&self, service: &str) -> Arc<Identity> {
        self.issue(service, DAY);
        Identity::load(self.files(service), &self.clock).unwrap()
    }
}

type Connected = (client::TlsStream<DuplexStream>, server::TlsStream<DuplexStream>);

/// A connection, seen from both ends, on which a byte went each way; or why there is none.
async fn connect(client: Arc<ClientConfig>, server: Arc<ServerConfig>) -> Result<Connected> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let name = ServerName::try_from("anywhere.example").unwrap();
    let shaking = async {
        let near = async {
            let mut stream = TlsConnector::from(client).connect(name, near).await?;
            stream.write_all(b"?").await?;
            // In TLS 1.3 a client learns only here that its certificate was refused.
            stream.read_u8().await?;
            Ok::<_, Error>(stream)
        };
        let far = async {
            let mut stream = TlsAcceptor::from(server).accept(far).await?;
            stream.read_u8().await?;
            stream.write_all(b"!").await?;
            Ok::<_, Error>(stream)
        };
        let (near, far) = tokio::join!(near, far);
        Ok((near?, far?))
    };
    Clock::system().timeout(PATIENCE, shaking).await.expect("a handshake ends in time")
}

async fn refusal(client: Arc<ClientConfig>, server: Arc<ServerConfig>) -> String {
    connect(client, server).await.map(drop).unwrap_err().to_string()
}

/// A client without a certificate, which trusts the roots in `folder`.
fn stranger(folder: &Path, version: &'static SupportedProtocolVersion) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("ca.pem")).unwrap()).unwrap();
    ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

#[tokio::test]
async fn two_services_of_one_authority_know_each_other_by_name() {
    let clock = Clock::system();
    let folder = TempDir::new().unwrap();
    let authority = Authority::open_or_create(folder.path(), &clock).unwrap();
    authority.issue("auth", DAY).unwrap();
    authority.issue("order", DAY).unwrap();
    let [auth, order] =
        ["auth", "order"].map(|it| Identity::load(IdentityFiles::in_folder(folder.path(), it), &clock).unwrap());

    let (near, far) = connect(order.client_config("auth"), auth.server_config()).await.unwrap();

    let named = |certificates: Option<&[CertificateDer<'static>]>| service_named_in(&certificates.unwrap()[0]);
    assert_eq!(named(near.get_ref().1.peer_certificates()).as_deref(), Some("auth"));
    assert_eq!(named(far.get_ref().1.peer_certificates()).as_deref(), Some("order"));
    assert_eq!((auth.service(), order.service()), ("auth", "order"));
}

#[tokio::test]
async fn a_client_without_a_trusted_certificate_that_names_a_service_is_refused() {
    let (place, elsewhere) = (Place::new(), Place::new());
    let auth = place.identity("auth");
    elsewhere.clock.advance(Duration::from_secs(1));
    let foreign = elsewhere.identity("order");

    let none = refusal(Arc::new(stranger(place.path(), &TLS13)), auth.server_config()).await;
    assert!(none.contains("certificate") || none.contains("Certificate"), "{none}");

    // The foreigner believes us, so that it is our refusal which is seen.
    let roots =
        [place.path().join("ca.pem"), elsewhere.path().join("ca.pem")].map(|it| fs::read_to_string(it).unwrap());
    fs::write(elsewhere.path().join("ca.pem"), roots.concat()).unwrap();
    assert!(foreign.reload().unwrap());
    let foreign = refusal(foreign.client_config("auth"), auth.server_config()).await;
    assert!(foreign.contains("UnknownCA") || foreign.contains("UnknownIssuer"), "{foreign}");
}

#[tokio::test]
async fn an_expired_certificate_ends_the_handshake() {
    let place = Place::new();
    let (auth, order) = (place.identity("auth"), place.identity("order"));
    place.authority().issue("auth", DAY * 3).unwrap();
    assert!(auth.reload().unwrap());
    connect(order.client_config("auth"), auth.server_config()).await.unwrap();

    place.clock.advance(DAY + Duration::from_secs(1));

    let expired = refusal(order.client_config("auth"), auth.server_config()).await;
    assert!(expired.contains("CertificateExpired") || expired.contains("expired"), "{expired}");
}

#[tokio::test]
async fn a_server_that_is_another_service_is_refused_by_its_caller() {
    let place = Place::new();
    let (auth, order) = (place.identity("auth"), place.identity("order"));

    let wrong = refusal(order.client_config("payment"), auth.server_config()).await;

    assert!(wrong.contains("the server is auth, not payment"), "{wrong}");
}

#[tokio::test]
async fn tls_1_2_is_not_spoken_between_services_nor_at_the_edge() {
    let place = Place::new();
    let auth = place.identity("auth");
    place.authority().issue_edge(&["anywhere.example".to_owned()], DAY).unwrap();
    let edge = EdgeCertificate::load(EdgeFiles::in_folder(place.path()), &place.clock).unwrap();

    for server in [auth.server_config(), edge.server_config()] {
        let old = refusal(Arc::new(stranger(place.path(), &TLS12)), server).await;
        assert!(old.contains("ProtocolVersion"), "{old}");
    }
}

#[tokio::test]
async fn the_edge_speaks_http_2_to_whoever_can_and_needs_no_certificate_of_the_client() {
    let (clock, folder) = (Clock::system(), TempDir::new().unwrap());
    let authority = Authority::open_or_create(folder.path(), &clock).unwrap();
    authority.issue_edge(&["anywhere.example".to_owned(), "127.0.0.1".to_owned()], DAY).unwrap();
    let edge = EdgeCertificate::load(EdgeFiles::in_folder(folder.path()), &clock).unwrap();

    for (offered, chosen) in [(&["h2", "http/1.1"][..], "h2"), (&["http/1.1"], "http/1.1")] {
        let mut client = stranger(folder.path(), &TLS13);
        client.alpn_protocols = offered.iter().map(|it| it.as_bytes().to_vec()).collect();
        let (near, _far) = connect(Arc::new(client), edge.server_config()).await.unwrap();
        assert_eq!(near.get_ref().1.alpn_protocol(), Some(chosen.as_bytes()));
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_used_next_and_open_connections_go_on() {
    let place = Place::new();
    let (auth, order) = (place.identity("auth"), place.identity("order"));
    let (mut near, mut far) = connect(order.client_config("auth"), auth.server_config()).await.unwrap();
    let former = auth.not_after();

    place.clock.advance(DAY / 2);
    place.issue("auth", DAY);
    assert!(auth.reload().unwrap());
    assert!(!auth.reload().unwrap(), "nothing has changed since");

    assert_eq!(auth.not_after(), former.plus(DAY / 2));
    let (fresh, _) = connect(order.client_config("auth"), auth.server_config()).await.unwrap();
    let shown = |stream: &client::TlsStream<DuplexStream>| stream.get_ref().1.peer_certificates().unwrap()[0].clone();
    assert_ne!(shown(&fresh), shown(&near));
    near.write_all(b"still there?").await.unwrap();
    let mut heard = [0; 12];
    far.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"still there?");
}

#[tokio::test]
async fn roots_change_while_both_are_trusted_for_a_time() {
    let (place, next) = (Place::new(), Place::new());
    let (auth, order) = (place.identity("auth"), place.identity("order"));
    let works = async || connect(order.client_config("auth"), auth.server_config()).await.map(drop);
    let (former, coming) = (fs::read(place.path().join("ca.pem")).unwrap(), {
        next.authority();
        fs::read(next.path().join("ca.pem")).unwrap()
    });

    // First everybody trusts both, then everybody gets a certificate of the new root, then the old root goes.
    fs::write(place.path().join("ca.pem"), [former, coming.clone()].concat()).unwrap();
    assert!(auth.reload().unwrap());
    works().await.unwrap();
    assert!(order.reload().unwrap());
    works().await.unwrap();
    for identity in [&auth, &order] {
        next.issue(identity.service(), DAY);
        for ending in ["key", "pem"] {
            let file = format!("{}.{ending}", identity.service());
            fs::copy(next.path().join(&file), place.path().join(&file)).unwrap();
        }
        assert!(identity.reload().unwrap());
        works().await.unwrap();
    }
    fs::write(place.path().join("ca.pem"), coming).unwrap();
    for identity in [&auth, &order] {
        assert!(identity.reload().unwrap());
        works().await.unwrap();
    }
    place.folder.close().unwrap();
}

#[tokio::test]
async fn files_that_are_not_right_change_nothing() {
    let place = Place::new();
    let (auth, order) = (place.identity("auth"), place.identity("order"));
    let files = place.files("auth");
    let good = [&files.certificate, &files.key, &files.roots].map(|file| (file, fs::read(file).unwrap()));

    for (file, content) in &good {
        for broken in [&content[..content.len() / 2], b"", b"no pem"] {
            fs::write(file, broken).unwrap();
            let said = auth.reload().unwrap_err().to_string();
            assert!(said.contains(file.to_str().unwrap()), "{said}");
            connect(order.client_config("auth"), auth.server_config()).await.unwrap();
        }
        fs::remove_file(file).unwrap();
        assert!(matches!(auth.reload(), Err(TlsError::Unreadable { .. })));
        fs::write(file, content).unwrap();
    }
    assert!(!auth.reload().unwrap());

    fs::copy(&place.files("order").key, &files.key).unwrap();
    assert!(matches!(auth.reload(), Err(TlsError::KeyMismatch { .. })));
    fs::copy(&place.files("order").certificate, &files.certificate).unwrap();
    assert!(matches!(auth.reload(), Err(TlsError::OtherService { .. })));
    connect(order.client_config("auth"), auth.server_config()).await.unwrap();
}

#[tokio::test]
async fn an_identity_that_could_not_work_is_refused_at_the_start() {
    let (place, elsewhere) = (Place::new(), Place::new());
    place.issue("auth", DAY);
    let load = || Identity::load(place.files("auth"), &place.clock).map(drop);

    place.clock.advance(DAY + Duration::from_secs(1));
    let expired = load().unwrap_err();
    assert!(matches!(expired, TlsError::Expired { .. }), "{expired}");

    place.issue("auth", DAY);
    load().unwrap();
    elsewhere.authority();
    fs::copy(elsewhere.path().join("ca.pem"), place.path().join("ca.pem")).unwrap();
    let stranger = load().unwrap_err();
    assert!(matches!(stranger, TlsError::NotTrusted { .. }), "{stranger}");
}

#[tokio::test]
async fn a_certificate_without_the_name_of_a_service_is_no_identity() {
    let place = Place::new();
    place.authority().issue_edge(&["localhost".to_owned()], DAY).unwrap();

    let nobody = Identity::load(place.files("edge"), &place.clock).map(drop).unwrap_err();

    assert!(matches!(nobody, TlsError::NoService { .. }), "{nobody}");
}

#[tokio::test]
async fn new_files_are_noticed_without_being_told() {
    let place = Place::new();
    place.authority().issue_edge(&["localhost".to_owned()], DAY).unwrap();
    let edge = EdgeCertificate::load(EdgeFiles::in_folder(place.path()), &place.clock).unwrap();
    let auth = place.identity("auth");
    let tasks = Tasks::new();
    auth.keep_fresh(Duration::from_secs(10), &tasks);
    edge.keep_fresh(Duration::from_secs(10), &tasks);
    let former = (auth.not_after(), edge.not_after());

    place.authority().issue("auth", DAY * 2).unwrap();
    place.authority().issue_edge(&["localhost".to_owned()], DAY * 2).unwrap();

    let system = Clock::system();
    let waiting = system.stopwatch();
    while auth.not_after() == former.0 || edge.not_after() == former.1 {
        assert!(waiting.elapsed() < PATIENCE, "the new certificates are not noticed");
        place.clock.advance(Duration::from_secs(10));
        system.pause(Duration::from_millis(10)).await;
    }
    assert!(tasks.drain(&system, PATIENCE).await);
}

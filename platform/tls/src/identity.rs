//! Who this process is: a certificate, its key and the roots it trusts, as files that may change while it runs.
//!
//! Promises that what is not right at the start is refused in a sentence, that later new files take effect in the next
//! handshake and only where they are right, and that connections which are open go on.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cartwright_runtime::{Clock, Tasks, Time};
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::server::NoServerSessionStorage;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig, version};

use crate::certificate::{Validity, service_named_in};
use crate::peers::{Credentials, JudgedBy, Live, Only, provider};
use crate::renewal::{Renewed, keep_fresh};
use crate::{TlsError, files};

/// Where an identity is read from. All are PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityFiles {
    /// Our certificate, and what leads from it to a root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The roots by which others are believed; several while one takes over from another.
    pub roots: PathBuf,
}

impl IdentityFiles {
    /// The files that [`crate::Authority`] writes for `service` into `folder`.
    pub fn in_folder(folder: &Path, service: &str) -> Self {
        Self {
            certificate: folder.join(format!("{service}.pem")),
            key: folder.join(format!("{service}.key")),
            roots: folder.join("ca.pem"),
        }
    }

    fn read(&self) -> Result<Pem, TlsError> {
        Ok(Pem {
            certificate: files::read(&self.certificate)?,
            key: files::read(&self.key)?,
            roots: files::read(&self.roots)?,
        })
    }
}

/// The text of the files, by which a change is noticed.
#[derive(PartialEq, Eq)]
struct Pem {
    certificate: Vec<u8>,
    key: Vec<u8>,
    roots: Vec<u8>,
}

/// What the files say, when all of it is right.
struct Parsed {
    service: String,
    not_after: Time,
    credentials: Credentials,
}

/// What was loaded last.
struct Loaded {
    pem: Pem,
    not_after: Time,
}

/// Who this process is, and the set-up of its connections.
pub struct Identity {
    service: String,
    files: IdentityFiles,
    clock: Clock,
    provider: Arc<CryptoProvider>,
    live: Arc<Live>,
    loaded: Mutex<Loaded>,
    server: Arc<ServerConfig>,
    client: ClientConfig,
}

impl Identity {
    /// Reads `files`. The service is the one that the certificate names.
    ///
    /// # Errors
    /// When a file is missing, the key is not that of the certificate, the certificate is out of its time, names no
    /// service, or is not vouched for by the roots.
    pub fn load(files: IdentityFiles, clock: &Clock) -> Result<Arc<Self>, TlsError> {
        let provider = provider();
        let pem = files.read()?;
        let Parsed { service, not_after, credentials } = parse(&pem, &files, clock, &provider)?;
        let live = Arc::new(Live::new(credentials, &provider));
        let server = server_config(&live, &provider, clock)?;
        let client = client_config(&live, &service, &provider, clock)?;
        let loaded = Mutex::new(Loaded { pem, not_after });
        Ok(Arc::new(Self { service, files, clock: clock.clone(), provider, live, loaded, server, client }))
    }

    /// The service that this process is.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// When the certificate that is in use ends.
    pub fn not_after(&self) -> Time {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).not_after
    }

    /// TLS 1.3 for a listener: whoever connects has to prove which service it is. Follows the files by itself.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    /// TLS 1.3 for calls to `service`: we prove who we are, and a server that is not `service` is refused, whatever its
    /// host. Follows the files by itself. Offers no protocol by ALPN; who wants to, sets it on a clone.
    pub fn client_config(&self, service: &str) -> Arc<ClientConfig> {
        let mut config = self.client.clone();
        let verifier = Only { service: service.to_owned(), live: Arc::clone(&self.live) };
        config.dangerous().set_certificate_verifier(Arc::new(verifier));
        Arc::new(config)
    }

    /// Reads the files again. True when they have changed and the next handshake uses them.
    ///
    /// # Errors
    /// As [`Identity::load`], and when the certificate is of another service. What was in use stays in use.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let pem = self.files.read()?;
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if pem == loaded.pem {
            return Ok(false);
        }
        let Parsed { service, not_after, credentials } = parse(&pem, &self.files, &self.clock, &self.provider)?;
        if service != self.service {
            let (file, expected) = (self.files.certificate.clone(), self.service.clone());
            return Err(TlsError::OtherService { file, expected, found: service });
        }
        self.live.now.store(Arc::new(credentials));
        *loaded = Loaded { pem, not_after };
        Ok(true)
    }

    /// Looks at the files every `every` until `tasks` are told to stop. What is wrong with them is logged once.
    pub fn keep_fresh(self: &Arc<Self>, every: Duration, tasks: &Tasks) {
        tasks.spawn(keep_fresh(Arc::clone(self), every, self.clock.clone(), tasks.clone()));
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("service", &self.service).field("files", &self.files).finish_non_exhaustive()
    }
}

impl Renewed for Identity {
    fn reload(&self) -> Result<bool, TlsError> {
        Self::reload(self)
    }

    fn not_after(&self) -> Time {
        Self::not_after(self)
    }

    fn file(&self) -> &Path {
        &self.files.certificate
    }
}

fn parse(pem: &Pem, files: &IdentityFiles, clock: &Clock, provider: &Arc<CryptoProvider>) -> Result<Parsed, TlsError> {
    let (key, not_after) = pair((&pem.certificate, &files.certificate), (&pem.key, &files.key), clock, provider)?;
    let certificate = key.end_entity_cert()?;
    let no_service = || TlsError::NoService { file: files.certificate.clone() };
    let service = service_named_in(certificate).ok_or_else(no_service)?;
    let roots = Arc::new(trusted(&pem.roots, &files.roots)?);
    let credentials = Credentials::new(key, roots, provider)?;
    credentials.vouch_for_us(clock).map_err(|error| TlsError::NotTrusted {
        certificate: files.certificate.clone(),
        roots: files.roots.clone(),
        reason: error.to_string(),
    })?;
    Ok(Parsed { service, not_after, credentials })
}

/// A certificate with its key, and when it ends.
pub(crate) fn pair(
    (certificate, certificate_file): (&[u8], &Path),
    (key, key_file): (&[u8], &Path),
    clock: &Clock,
    provider: &CryptoProvider,
) -> Result<(CertifiedKey, Time), TlsError> {
    let chain = files::certificates(certificate, certificate_file)?;
    let key = files::key(key, key_file)?;
    let key = provider.key_provider.load_private_key(key);
    let key = key.map_err(|_| TlsError::NoKey { file: key_file.to_owned() })?;
    let pair = CertifiedKey::new(chain, key);
    let validity = Validity::of(pair.end_entity_cert()?, certificate_file)?;
    pair.keys_match()
        .map_err(|_| TlsError::KeyMismatch { certificate: certificate_file.to_owned(), key: key_file.to_owned() })?;
    validity.check(clock.now(), certificate_file)?;
    Ok((pair, validity.not_after))
}

fn trusted(pem: &[u8], file: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for root in files::certificates(pem, file)? {
        roots.add(root).map_err(|_| TlsError::NoCertificate { file: file.to_owned() })?;
    }
    Ok(roots)
}

/// Sessions are not resumed between processes: a resumed one would be believed by the roots of its first handshake.
fn server_config(
    live: &Arc<Live>,
    provider: &Arc<CryptoProvider>,
    clock: &Clock,
) -> Result<Arc<ServerConfig>, TlsError> {
    let time = Arc::new(JudgedBy(clock.clone()));
    let mut config = ServerConfig::builder_with_details(Arc::clone(provider), time)
        .with_protocol_versions(&[&version::TLS13])?
        .with_client_cert_verifier(Arc::clone(live) as _)
        .with_cert_resolver(Arc::clone(live) as _);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn client_config(
    live: &Arc<Live>,
    service: &str,
    provider: &Arc<CryptoProvider>,
    clock: &Clock,
) -> Result<ClientConfig, TlsError> {
    let time = Arc::new(JudgedBy(clock.clone()));
    let verifier = Only { service: service.to_owned(), live: Arc::clone(live) };
    let mut config = ClientConfig::builder_with_details(Arc::clone(provider), time)
        .with_protocol_versions(&[&version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::clone(live) as _);
    config.resumption = Resumption::disabled();
    Ok(config)
}

//! The certificate of the public edge, as files that may change while it runs.
//!
//! Promises TLS 1.3 with HTTP/2 and HTTP/1.1, and that a new certificate is used from the next handshake on, where it is
//! right.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use cartwright_runtime::{Clock, Tasks, Time};
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};

use crate::identity::pair;
use crate::peers::{JudgedBy, provider};
use crate::renewal::{Renewed, keep_fresh};
use crate::{TlsError, files};

/// Where the certificate of the edge is read from. Both are PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeFiles {
    /// The certificate, and what leads from it to a root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl EdgeFiles {
    /// The files that [`crate::Authority`] writes into `folder`.
    pub fn in_folder(folder: &Path) -> Self {
        Self { certificate: folder.join("edge.pem"), key: folder.join("edge.key") }
    }

    fn read(&self) -> Result<Pem, TlsError> {
        Ok(Pem { certificate: files::read(&self.certificate)?, key: files::read(&self.key)? })
    }
}

/// The text of the files, by which a change is noticed.
#[derive(PartialEq, Eq)]
struct Pem {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// What was loaded last.
struct Loaded {
    pem: Pem,
    not_after: Time,
}

/// The certificate that everybody's browser gets to see.
pub struct EdgeCertificate {
    files: EdgeFiles,
    clock: Clock,
    provider: Arc<CryptoProvider>,
    shown: Arc<Shown>,
    loaded: Mutex<Loaded>,
    server: Arc<ServerConfig>,
}

impl EdgeCertificate {
    /// Reads `files`.
    ///
    /// # Errors
    /// When a file is missing, the key is not that of the certificate, or the certificate is out of its time.
    pub fn load(files: EdgeFiles, clock: &Clock) -> Result<Arc<Self>, TlsError> {
        let provider = provider();
        let pem = files.read()?;
        let (key, not_after) = pem.parse(&files, clock, &provider)?;
        let shown = Arc::new(Shown(ArcSwap::from_pointee(key)));
        let mut config = ServerConfig::builder_with_details(Arc::clone(&provider), Arc::new(JudgedBy(clock.clone())))
            .with_protocol_versions(&[&version::TLS13])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&shown) as _);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let loaded = Mutex::new(Loaded { pem, not_after });
        Ok(Arc::new(Self { files, clock: clock.clone(), provider, shown, loaded, server: Arc::new(config) }))
    }

    /// When the certificate that is in use ends.
    pub fn not_after(&self) -> Time {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).not_after
    }

    /// TLS 1.3 for the public listener, with HTTP/2 and HTTP/1.1. Follows the files by itself.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    /// Reads the files again. True when they have changed and the next handshake uses them.
    ///
    /// # Errors
    /// As [`EdgeCertificate::load`]. What was in use stays in use.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let pem = self.files.read()?;
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if pem == loaded.pem {
            return Ok(false);
        }
        let (key, not_after) = pem.parse(&self.files, &self.clock, &self.provider)?;
        self.shown.0.store(Arc::new(key));
        *loaded = Loaded { pem, not_after };
        Ok(true)
    }

    /// Looks at the files every `every` until `tasks` are told to stop. What is wrong with them is logged once.
    pub fn keep_fresh(self: &Arc<Self>, every: Duration, tasks: &Tasks) {
        tasks.spawn(keep_fresh(Arc::clone(self), every, self.clock.clone(), tasks.clone()));
    }
}

impl fmt::Debug for EdgeCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EdgeCertificate").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Renewed for EdgeCertificate {
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

impl Pem {
    fn parse(
        &self,
        files: &EdgeFiles,
        clock: &Clock,
        provider: &CryptoProvider,
    ) -> Result<(CertifiedKey, Time), TlsError> {
        pair((&self.certificate, &files.certificate), (&self.key, &files.key), clock, provider)
    }
}

/// The certificate of now.
struct Shown(ArcSwap<CertifiedKey>);

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown")
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

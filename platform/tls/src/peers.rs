//! Whom a process talks to: the checks of a handshake, from both sides.
//!
//! Promises that a peer is believed only with a chain to a trusted root and a URI that names a service; that a client
//! gets the service it asked for, whatever host it runs on; and that each handshake is checked by the roots of now.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use cartwright_runtime::Clock;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::certificate::service_named_in;

const NO_SERVICE: &str = "the certificate names no service";

/// The cryptography of all connections.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// The time by which certificates are judged.
#[derive(Debug)]
pub(crate) struct JudgedBy(pub(crate) Clock);

impl TimeProvider for JudgedBy {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().seconds()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// What a handshake needs of us at one moment: all of it is of one version of the files.
pub(crate) struct Credentials {
    pub(crate) key: Arc<CertifiedKey>,
    pub(crate) roots: Arc<RootCertStore>,
    clients: Arc<dyn ClientCertVerifier>,
}

impl Credentials {
    pub(crate) fn new(
        key: CertifiedKey,
        roots: Arc<RootCertStore>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, Error> {
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(provider)).build();
        let clients = clients.map_err(|error| Error::General(error.to_string()))?;
        Ok(Self { key: Arc::new(key), roots, clients })
    }

    /// Whether those who trust as we do would believe us.
    pub(crate) fn vouch_for_us(&self, clock: &Clock) -> Result<(), Error> {
        let now = JudgedBy(clock.clone()).current_time().ok_or(Error::FailedToGetCurrentTime)?;
        let (certificate, intermediates) = self.key.cert.split_first().ok_or(Error::NoCertificatesPresented)?;
        self.clients.verify_client_cert(certificate, intermediates, now).map(drop)
    }
}

/// Credentials that can be replaced under the connections that are made with them.
pub(crate) struct Live {
    pub(crate) now: ArcSwap<Credentials>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Live {
    pub(crate) fn new(credentials: Credentials, provider: &CryptoProvider) -> Self {
        Self { now: ArcSwap::from_pointee(credentials), algorithms: provider.signature_verification_algorithms }
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Live")
    }
}

impl ResolvesServerCert for Live {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.now.load().key))
    }
}

impl ResolvesClientCert for Live {
    fn resolve(&self, _roots: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.now.load().key))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Live {
    /// None, because the roots change; a process has one certificate and presents it to everybody.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.now.load().clients.verify_client_cert(certificate, intermediates, now)?;
        service_named_in(certificate).ok_or_else(|| refused(NO_SERVICE))?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Accepts one service, and nothing else that the same roots vouch for.
#[derive(Debug)]
pub(crate) struct Only {
    pub(crate) service: String,
    pub(crate) live: Arc<Live>,
}

impl ServerCertVerifier for Only {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _host: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(certificate)?;
        let roots = Arc::clone(&self.live.now.load().roots);
        let algorithms = self.live.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &roots, intermediates, now, algorithms)?;
        match service_named_in(certificate) {
            Some(service) if service == self.service => Ok(ServerCertVerified::assertion()),
            Some(found) => Err(refused(format!("the server is {found}, not {}", self.service))),
            None => Err(refused(NO_SERVICE)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.live.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.live.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.live.algorithms.supported_schemes()
    }
}

/// Why a certificate that the roots vouch for is not taken, in a sentence that the logs of TLS show as it is.
struct Refusal(String);

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

fn refused(why: impl Into<String>) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(Refusal(why.into())))))
}

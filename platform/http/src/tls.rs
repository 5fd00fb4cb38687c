//! TLS on a listener, and who it says is calling.
//!
//! Promises that an identity comes from a certificate which the handshake has verified, and from nowhere else.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::server::TlsStream;

/// The service that is calling, as its certificate says. An extension of every request behind [`Tls::mutual`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIdentity(pub Arc<str>);

/// Reads the name of a service from a certificate.
type Named = fn(&CertificateDer<'_>) -> Option<String>;

/// How a listener speaks TLS.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    named: Option<Named>,
}

impl Tls {
    /// For the public: clients show no certificate.
    pub fn edge(config: Arc<ServerConfig>) -> Self {
        Self { acceptor: config.into(), named: None }
    }

    /// For services: `config` demands and verifies a certificate of the client, and `named` reads from it who that is. A
    /// connection whose certificate names nobody is closed.
    pub fn mutual(config: Arc<ServerConfig>, named: fn(&CertificateDer<'_>) -> Option<String>) -> Self {
        Self { acceptor: config.into(), named: Some(named) }
    }

    /// The connection after the handshake, with who called; `None` where it failed, which then stands in the log: as a
    /// warning between services, of which all should succeed, and for debugging in public, where anybody may try.
    pub(crate) async fn accept<S>(&self, socket: S, peer: SocketAddr) -> Option<(TlsStream<S>, Option<PeerIdentity>)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = match self.acceptor.accept(socket).await {
            Ok(stream) => stream,
            Err(error) if self.named.is_some() && error.kind() == ErrorKind::InvalidData => {
                tracing::warn!(%peer, %error, "a handshake with a service failed");
                return None;
            }
            Err(error) => {
                tracing::debug!(%peer, %error, "a handshake failed");
                return None;
            }
        };
        let Some(named) = self.named else { return Some((stream, None)) };
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let Some(name) = shown.and_then(named) else {
            tracing::warn!(%peer, "a connection was closed: its certificate names no service");
            return None;
        };
        Some((stream, Some(PeerIdentity(name.into()))))
    }
}

//! What can be wrong with certificates, in sentences for whoever has to mend it.

use std::io;
use std::path::PathBuf;

use cartwright_runtime::Time;

/// Why a certificate, a key or a set of roots is not taken, or cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is not there, or not ours to read.
    #[error("{file} cannot be read: {source}")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file or its folder cannot be written.
    #[error("{file} cannot be written: {source}")]
    Unwritable {
        /// The file or the folder.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that should hold certificates holds none, or something that is none.
    #[error("{file} holds no certificate in PEM form that can be read")]
    NoCertificate {
        /// The file.
        file: PathBuf,
    },
    /// A file that should hold a private key holds none that can be used.
    #[error("{file} holds no private key in PEM form that can be used")]
    NoKey {
        /// The file.
        file: PathBuf,
    },
    /// The key and the certificate are not a pair.
    #[error("the key in {key} does not belong to the certificate in {certificate}")]
    KeyMismatch {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// The certificate's time is over.
    #[error("the certificate in {file} expired at {not_after}; issue a new one")]
    Expired {
        /// The file.
        file: PathBuf,
        /// When it ended.
        not_after: Time,
    },
    /// The certificate's time has not begun.
    #[error("the certificate in {file} is not valid before {not_before}; is the clock of this machine right?")]
    NotYetValid {
        /// The file.
        file: PathBuf,
        /// When it begins.
        not_before: Time,
    },
    /// The certificate names no service.
    #[error(
        "the certificate in {file} names no service: it needs exactly one URI as an alternative name, spiffe://cartwright/SERVICE"
    )]
    NoService {
        /// The file.
        file: PathBuf,
    },
    /// The new certificate is somebody else's.
    #[error("the certificate in {file} names the service {found}, but this process is {expected}")]
    OtherService {
        /// The file.
        file: PathBuf,
        /// Who this process is.
        expected: String,
        /// Whom the certificate names.
        found: String,
    },
    /// The process would trust others by roots that do not vouch for itself.
    #[error("the certificate in {certificate} is not vouched for by the roots in {roots}: {reason}")]
    NotTrusted {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the roots.
        roots: PathBuf,
        /// What the check of the chain said.
        reason: String,
    },
    /// A name that cannot stand in a certificate.
    #[error("{name:?} is no name for a certificate: {reason}")]
    BadName {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A certificate could not be made.
    #[error("a certificate cannot be made: {0}")]
    Issue(#[from] rcgen::Error),
    /// The TLS library refuses the set-up.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

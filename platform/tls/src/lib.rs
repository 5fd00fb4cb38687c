//! Who a process is, and who it talks to: mutual TLS 1.3 between processes, TLS 1.3 at the edge (R-A 10).
//!
//! Promises that a process which cannot prove by a trusted certificate which service it is gets no further than the
//! handshake, that certificates and roots are replaced while everything runs, and that files which are not right change
//! nothing. The cryptography is handed in explicitly, so nothing depends on what the program installed as its default.

mod authority;
mod certificate;
mod edge;
mod error;
mod files;
mod identity;
mod peers;
mod renewal;

pub use authority::{Authority, Issued};
pub use certificate::service_named_in;
pub use edge::{EdgeCertificate, EdgeFiles};
pub use error::TlsError;
pub use identity::{Identity, IdentityFiles};

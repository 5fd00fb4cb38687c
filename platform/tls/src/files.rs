//! Certificates and keys as PEM files: read whole, written whole.
//!
//! Promises that a reader finds the old file or the new one and never a half of one, and that a key is readable by its
//! owner only, at every moment of its life.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::TlsError;

/// More than this is no certificate, no key and no set of roots.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Who may read a file.
#[derive(Clone, Copy, Debug)]
enum Readers {
    Everybody,
    Owner,
}

pub(crate) fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |source| TlsError::Unreadable { file: file.to_owned(), source };
    let bytes = fs::metadata(file).map_err(unreadable)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(unreadable(io::Error::new(io::ErrorKind::InvalidData, "it is too large to be a PEM file")));
    }
    fs::read(file).map_err(unreadable)
}

/// The certificates in `pem`, at least one.
pub(crate) fn certificates(pem: &[u8], file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or_else(|| TlsError::NoCertificate { file: file.to_owned() })
}

pub(crate) fn key(pem: &[u8], file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| TlsError::NoKey { file: file.to_owned() })
}

/// Makes `folder`, for its owner only, where there is none.
pub(crate) fn make_folder(folder: &Path) -> Result<(), TlsError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|source| TlsError::Unwritable { file: folder.to_owned(), source })
}

/// Puts a certificate and its key in the place of `certificate` and `key`. Where one cannot be written, both stay.
///
/// The two are on disk before the first takes its place, so that they do not match for a moment only. The key goes first:
/// whoever reads in that moment finds a pair that does not match, keeps what it has, and looks again.
pub(crate) fn replace_pair((certificate, chain): (&Path, &str), (key, secret): (&Path, &str)) -> Result<(), TlsError> {
    let unwritable = |file: &Path| {
        let file = file.to_owned();
        |source| TlsError::Unwritable { file, source }
    };
    let new_key = write_beside(key, secret, Readers::Owner).map_err(unwritable(key))?;
    let new_certificate = write_beside(certificate, chain, Readers::Everybody).map_err(unwritable(certificate))?;
    fs::rename(new_key, key).map_err(unwritable(key))?;
    fs::rename(new_certificate, certificate).map_err(unwritable(certificate))
}

fn write_beside(file: &Path, text: &str, readers: Readers) -> io::Result<PathBuf> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = file.with_file_name(name);
    // What a crash left behind may have other permissions than a new file gets.
    if let Err(error) = fs::remove_file(&beside)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mode = match readers {
        Readers::Everybody => 0o644,
        Readers::Owner => 0o600,
    };
    let mut new: File = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
    new.write_all(text.as_bytes())?;
    new.sync_all()?;
    Ok(beside)
}

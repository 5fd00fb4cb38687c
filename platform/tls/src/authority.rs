//! A certificate authority for development: one folder with a root, and a certificate for each process.
//!
//! Promises that issuing again replaces a certificate and keeps the root, and that no key is ever readable by others. It
//! is no authority for production: whoever can read its folder can be any service.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cartwright_runtime::{Clock, Time};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SanType, date_time_ymd,
};

use crate::certificate::{Validity, service_uri};
use crate::{EdgeFiles, IdentityFiles, TlsError, files};

const ROOT_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);

/// How much earlier than now a certificate begins, for machines whose clocks are behind.
const BACKDATED: Duration = Duration::from_secs(10 * 60);

/// The last moment that X.509 can say with the encoding everybody reads.
const YEAR_MAX: i32 = 9_999;

/// A development authority, whose files are `ca.pem` and `ca.key` in a folder.
pub struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    clock: Clock,
    is_new: bool,
}

/// A certificate that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The file of the certificate.
    pub certificate: PathBuf,
    /// The file of its key, mode 0600.
    pub key: PathBuf,
    /// When it ends.
    pub not_after: Time,
}

impl Authority {
    /// The authority of `folder`, made with a root of ten years where there is none.
    ///
    /// # Errors
    /// When one of its two files is there without the other, cannot be read, or has expired.
    pub fn open_or_create(folder: &Path, clock: &Clock) -> Result<Self, TlsError> {
        files::make_folder(folder)?;
        let (certificate, key) = (folder.join("ca.pem"), folder.join("ca.key"));
        let is_new = !certificate.exists() && !key.exists();
        let issuer = if is_new { create(&certificate, &key, clock)? } else { open(&certificate, &key, clock)? };
        Ok(Self { folder: folder.to_owned(), issuer, clock: clock.clone(), is_new })
    }

    /// Whether the root was made just now.
    pub const fn is_new(&self) -> bool {
        self.is_new
    }

    /// Writes a certificate that is good for `life` and says "I am `service`", to servers and to clients.
    ///
    /// # Errors
    /// When `service` is no name of a service, or the files cannot be written.
    pub fn issue(&self, service: &str, life: Duration) -> Result<Issued, TlsError> {
        let uri = SanType::URI(name(&service_uri(service)?)?);
        let mut params = self.leaf(service, life)?;
        params.subject_alt_names = vec![uri, dns("localhost")?, dns(service)?];
        params.subject_alt_names.extend(LOOPBACK.map(SanType::IpAddress));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let IdentityFiles { certificate, key, .. } = IdentityFiles::in_folder(&self.folder, service);
        self.write(params, certificate, key)
    }

    /// Writes a certificate that is good for `life` for the public edge, which browsers know by `hosts`.
    ///
    /// # Errors
    /// When a host is no name for a certificate, or the files cannot be written.
    pub fn issue_edge(&self, hosts: &[String], life: Duration) -> Result<Issued, TlsError> {
        let mut params = self.leaf("edge", life)?;
        let hosts = hosts.iter().map(|host| host.parse().map_or_else(|_| dns(host), |ip| Ok(SanType::IpAddress(ip))));
        params.subject_alt_names = hosts.collect::<Result<_, _>>()?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let EdgeFiles { certificate, key } = EdgeFiles::in_folder(&self.folder);
        self.write(params, certificate, key)
    }

    fn leaf(&self, common_name: &str, life: Duration) -> Result<CertificateParams, TlsError> {
        let mut params = parameters(common_name, &self.clock, life)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        Ok(params)
    }

    fn write(&self, params: CertificateParams, certificate: PathBuf, key: PathBuf) -> Result<Issued, TlsError> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let signed = params.signed_by(&pair, &self.issuer)?;
        let not_after = Validity::of(signed.der(), &certificate)?.not_after;
        files::replace_pair((&certificate, &signed.pem()), (&key, &pair.serialize_pem()))?;
        Ok(Issued { certificate, key, not_after })
    }
}

const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// Makes a root. Its name has its date, so that people can tell two roots apart while one takes over from the other.
fn create(certificate: &Path, key: &Path, clock: &Clock) -> Result<Issuer<'static, KeyPair>, TlsError> {
    let mut params = parameters(&format!("Cartwright development CA {}", clock.now()), clock, ROOT_LIFE)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let root = params.self_signed(&pair)?;
    files::replace_pair((certificate, &root.pem()), (key, &pair.serialize_pem()))?;
    Ok(Issuer::new(params, pair))
}

/// Opens a root. During a change of roots `ca.pem` holds several; ours is the one that its key belongs to.
fn open(certificate: &Path, key: &Path, clock: &Clock) -> Result<Issuer<'static, KeyPair>, TlsError> {
    let roots = files::certificates(&files::read(certificate)?, certificate)?;
    let pem = fs::read_to_string(key).map_err(|source| TlsError::Unreadable { file: key.to_owned(), source })?;
    let pair = KeyPair::from_pem(&pem).map_err(|_| TlsError::NoKey { file: key.to_owned() })?;
    let root = roots
        .iter()
        .find(|root| is_of(root, &pair))
        .ok_or_else(|| TlsError::KeyMismatch { certificate: certificate.to_owned(), key: key.to_owned() })?;
    Validity::of(root, certificate)?.check(clock.now(), certificate)?;
    Ok(Issuer::from_ca_cert_der(root, pair)?)
}

fn is_of(root: &rustls_pki_types::CertificateDer<'_>, pair: &KeyPair) -> bool {
    let parsed = x509_parser::parse_x509_certificate(root);
    parsed.is_ok_and(|(_, root)| root.public_key().subject_public_key.data.as_ref() == pair.public_key_raw())
}

fn parameters(common_name: &str, clock: &Clock, life: Duration) -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, common_name);
    let epoch = date_time_ymd(1970, 1, 1);
    let now = clock.now();
    let at = |time: Time| {
        let moment = epoch.checked_add(time.since(Time::from_millis(0)).try_into().ok()?);
        moment.filter(|moment| moment.year() <= YEAR_MAX)
    };
    let out_of_range = || TlsError::BadName { name: common_name.to_owned(), reason: "its life is too long".to_owned() };
    params.not_before = at(now.minus(BACKDATED)).ok_or_else(out_of_range)?;
    params.not_after = at(now.plus(life)).ok_or_else(out_of_range)?;
    Ok(params)
}

fn dns(host: &str) -> Result<SanType, TlsError> {
    let plain = host.strip_prefix("*.").unwrap_or(host);
    match rustls_pki_types::DnsName::try_from(plain) {
        Ok(_) => Ok(SanType::DnsName(name(host)?)),
        Err(_) => Err(TlsError::BadName { name: host.to_owned(), reason: "it is no host name".to_owned() }),
    }
}

fn name<T: for<'a> TryFrom<&'a str, Error = rcgen::Error>>(text: &str) -> Result<T, TlsError> {
    Ok(T::try_from(text)?)
}

//! What a certificate says: which service it names, and from when to when it is good.

use std::path::Path;

use cartwright_runtime::Time;
use rustls_pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use crate::TlsError;

/// What the URI of every service begins with (the SPIFFE form: trust domain, then path).
const SERVICE_URI: &str = "spiffe://cartwright/";

/// The longest name of a service, bytes; that of a DNS label, since it stands as one beside the URI.
const SERVICE_BYTES_MAX: usize = 63;

/// The service that a certificate names, or `None` where it names none or has several URIs.
///
/// Says nothing about whether the certificate is to be believed: call it only on what a handshake has verified.
pub fn service_named_in(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = parse_x509_certificate(certificate).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    let mut uris = names.value.general_names.iter().filter_map(uri);
    // A SPIFFE certificate has exactly one URI, so that nobody can read it in two ways (X509-SVID, section 2).
    let (Some(uri), None) = (uris.next(), uris.next()) else { return None };
    let service = uri.strip_prefix(SERVICE_URI)?;
    is_service_name(service).then(|| service.to_owned())
}

fn uri<'a>(name: &GeneralName<'a>) -> Option<&'a str> {
    if let GeneralName::URI(uri) = name { Some(uri) } else { None }
}

/// The URI that names `service`.
pub(crate) fn service_uri(service: &str) -> Result<String, TlsError> {
    if is_service_name(service) {
        return Ok(format!("{SERVICE_URI}{service}"));
    }
    let reason = format!("a service has up to {SERVICE_BYTES_MAX} small letters, digits and dashes");
    Err(TlsError::BadName { name: service.to_owned(), reason })
}

fn is_service_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=SERVICE_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_plain)
}

/// From when to when a certificate is good.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validity {
    not_before: Time,
    pub(crate) not_after: Time,
}

impl Validity {
    pub(crate) fn of(certificate: &CertificateDer<'_>, file: &Path) -> Result<Self, TlsError> {
        let parsed = parse_x509_certificate(certificate);
        let (_, certificate) = parsed.map_err(|_| TlsError::NoCertificate { file: file.to_owned() })?;
        let validity = certificate.validity();
        let time = |seconds: i64| Time::from_millis(seconds.saturating_mul(1_000));
        Ok(Self { not_before: time(validity.not_before.timestamp()), not_after: time(validity.not_after.timestamp()) })
    }

    pub(crate) fn check(self, now: Time, file: &Path) -> Result<(), TlsError> {
        if now < self.not_before {
            return Err(TlsError::NotYetValid { file: file.to_owned(), not_before: self.not_before });
        }
        if now > self.not_after {
            return Err(TlsError::Expired { file: file.to_owned(), not_after: self.not_after });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn certificate_with(uris: &[&str]) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.subject_alt_names.extend(uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())));
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn a_service_is_named_by_the_one_uri_and_by_nothing_else() {
        assert_eq!(service_named_in(&certificate_with(&["spiffe://cartwright/order"])).as_deref(), Some("order"));
        for uris in [
            &[][..],
            &["spiffe://cartwright/"],
            &["spiffe://cartwright/order/x"],
            &["spiffe://cartwright/Order"],
            &["spiffe://cartwright.example/order"],
            &["https://cartwright/order"],
            &["spiffe://cartwright/order", "spiffe://cartwright/auth"],
            &["spiffe://cartwright/order", "https://elsewhere.example/"],
        ] {
            assert_eq!(service_named_in(&certificate_with(uris)), None, "{uris:?}");
        }
        assert_eq!(service_named_in(&CertificateDer::from(b"no certificate".as_slice())), None);
    }

    #[test]
    fn a_name_that_a_certificate_cannot_carry_is_refused() {
        assert_eq!(service_uri("order-2").unwrap(), "spiffe://cartwright/order-2");
        for name in ["", "a/b", "Order", "a b", "../a", &"x".repeat(64)] {
            assert!(matches!(service_uri(name), Err(TlsError::BadName { .. })), "{name}");
        }
    }
}

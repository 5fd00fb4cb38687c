//! What is said when Redis can never be used as it is described, and that TLS works.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::time::Duration;

use cartwright_bus::Broker as _;
use cartwright_bus_redis::{OpenError, RedisBroker, Settings};
use cartwright_runtime::{Clock, Secret, Tasks};
use cartwright_servers::process::free_port;
use cartwright_servers::redis::Redis;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

async fn open(url: &str, authority: Option<String>) -> Result<RedisBroker, OpenError> {
    let settings = Settings {
        url: Secret::new(url.to_owned()),
        prefix: "open".to_owned(),
        authority,
        claim_after: Duration::from_secs(2),
    };
    RedisBroker::open(settings, Clock::system(), Tasks::new()).await
}

fn sentence(opened: Result<RedisBroker, OpenError>) -> String {
    match opened {
        Ok(_) => panic!("it was opened"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_without_being_repeated() {
    for wrong in ["http://user:s3cret@localhost", "not an address with s3cret", ""] {
        let said = sentence(open(wrong, None).await);
        assert!(said.starts_with("the address of Redis must look like redis://"), "{said}");
        assert!(!said.contains("s3cret"), "{said}");
    }
}

#[tokio::test]
async fn a_wrong_or_missing_password_is_refused_in_a_sentence() {
    let server = Redis::start_with(&["--requirepass", "right"]).await;

    let missing = sentence(open(&server.url(), None).await);
    let wrong = sentence(open(&server.url().replace("redis://", "redis://:wrong@"), None).await);
    let right = open(&server.url().replace("redis://", "redis://:right@"), None).await.unwrap();

    for said in [missing, wrong] {
        assert!(said.starts_with("Redis refuses this user or password"), "{said}");
    }
    assert_eq!(right.lag("town").await.unwrap_err().to_string(), "the broker did not confirm: town has no stream");
}

#[tokio::test]
async fn a_redis_that_is_away_is_no_reason_not_to_start() {
    let broker = open(&format!("redis://127.0.0.1:{}/", free_port()), None).await.unwrap();
    assert!(broker.lag("town").await.is_err());
}

#[tokio::test]
async fn tls_is_spoken_with_a_server_that_the_given_authority_vouches_for_and_with_no_other() {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (certificate, key) = (file("certificate.pem", certificate.pem()), file("key.pem", key.serialize_pem()));
    let port = free_port().to_string();
    let options = ["--tls-port", &port, "--tls-cert-file", &certificate, "--tls-key-file", &key];
    let _server = Redis::start_with(&[&options[..], &["--tls-auth-clients", "no"]].concat()).await;
    let url = format!("rediss://localhost:{port}/");

    let trusting = open(&url, Some(authority.pem())).await.unwrap();
    let distrustful = open(&url, None).await.unwrap();

    assert_eq!(trusting.lag("town").await.unwrap_err().to_string(), "the broker did not confirm: town has no stream");
    assert!(!distrustful.lag("town").await.unwrap_err().to_string().contains("has no stream"));
}

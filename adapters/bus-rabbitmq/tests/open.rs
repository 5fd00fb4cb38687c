//! What is said when RabbitMQ can never be used as it is described, and that TLS works.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::time::Duration;

use cartwright_bus::Broker as _;
use cartwright_bus_rabbitmq::{OpenError, RabbitBroker, Settings};
use cartwright_runtime::{Clock, Secret, Tasks};
use cartwright_servers::process::free_port;
use cartwright_servers::rabbitmq::{self, RabbitMq, Tls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

async fn open(url: &str, authority: Option<String>) -> Result<RabbitBroker, OpenError> {
    let settings = Settings { url: Secret::new(url.to_owned()), prefix: "open".to_owned(), authority };
    RabbitBroker::open(settings, Clock::system(), Tasks::new()).await
}

fn sentence(opened: Result<RabbitBroker, OpenError>) -> String {
    match opened {
        Ok(_) => panic!("it was opened"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_is_none_is_refused_without_being_repeated() {
    for wrong in ["http://user:s3cret@localhost", "not an address with s3cret", ""] {
        let said = sentence(open(wrong, None).await);
        assert!(said.starts_with("the address of RabbitMQ must look like amqp://"), "{said}");
        assert!(!said.contains("s3cret"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_and_an_unknown_virtual_host_are_refused_in_a_sentence() {
    let url = rabbitmq::shared().await;

    let password = sentence(open(&url.replace("guest:guest", "guest:wrong"), None).await);
    let host = sentence(open(&url.replace("%2f", "nowhere"), None).await);

    for said in [password, host] {
        assert!(said.starts_with("RabbitMQ refuses this user, password or virtual host"), "{said}");
        assert!(!said.contains("wrong"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rabbitmq_that_is_away_is_no_reason_not_to_start() {
    let broker = open(&format!("amqp://guest:guest@127.0.0.1:{}/%2f", free_port()), None).await.unwrap();
    let error = broker.lag("town").await.unwrap_err();
    assert_eq!(error.to_string(), "the broker did not confirm: there is no connection to RabbitMQ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_spoken_with_a_server_that_the_given_authority_vouches_for_and_with_no_other() {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let (certificate, key) = (certificate.pem(), key.serialize_pem());
    let node = RabbitMq::start_with_tls(Tls { certificate: &certificate, key: &key }).await;

    let trusting = open(&node.tls_url(), Some(authority.pem())).await.unwrap();
    let distrustful = open(&node.tls_url(), None).await.unwrap();

    let watch = Clock::system().stopwatch();
    // "has no queue" is an answer of RabbitMQ, so there is a connection.
    while !trusting.lag("town").await.unwrap_err().to_string().contains("NOT_FOUND") {
        assert!(watch.elapsed() < Duration::from_secs(20), "there is no connection");
        Clock::system().pause(Duration::from_millis(20)).await;
    }
    assert!(distrustful.lag("town").await.unwrap_err().to_string().contains("there is no connection"));
}

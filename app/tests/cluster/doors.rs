//! Who gets in: processes that prove who they are, and call what is theirs to call.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use cartwright_runtime::Clock;
use cartwright_servers::{mongo, redis};
use cartwright_testkit::ProcessPlan;
use cartwright_tls::{Authority, IdentityFiles};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::calls::until;
use crate::crowd::{Crowd, Manners, nothing_is_lost};
use crate::town::{Evidence, Town, binary, own_database, plan, redis};

fn question(path: &str) -> Request<Body> {
    let request = Request::post(path).header("content-type", "application/json");
    request.body(Body::from("{}")).unwrap()
}

#[tokio::test]
async fn a_stranger_gets_no_further_than_the_handshake_and_a_service_no_further_than_its_own_questions() {
    let folder = Evidence::new();
    let (plan, _redis) = redis(plan(&folder).await).await;
    let town = Town::open(plan.lay_out()).await;
    let logged = |name: &str, words: &str| town.cluster.log(name).matches(words).count();
    let failures = || logged("order-1", "a handshake with a service failed");

    assert_eq!(failures(), 0);
    let answer = answer_in_the_clear(town.cluster.peer_port("order-1")).await;
    assert!(!answer.contains("HTTP"), "somebody is answered without TLS: {answer}");
    let foreign = folder.path().join("foreign");
    Authority::open_or_create(&foreign, &Clock::system()).unwrap().issue("gateway", Duration::from_secs(3600)).unwrap();
    // It trusts the shop, so that it is the shop that refuses.
    let roots = foreign.join("roots.pem");
    let own = std::fs::read(town.cluster.certificates().join("ca.pem")).unwrap();
    std::fs::write(&roots, [std::fs::read(foreign.join("ca.pem")).unwrap(), own].concat()).unwrap();
    let stranger = IdentityFiles { roots, ..IdentityFiles::in_folder(&foreign, "gateway") };
    for peers in [true, false] {
        let before = failures();
        let refused = town.cluster.ask_as(stranger.clone(), "order-1", peers, question("/peer/order-state")).await;
        assert!(refused.is_err(), "{refused:?}");
        until("the handshake is told of", async || (failures() > before).then_some(())).await;
    }

    let refused = town.cluster.ask("cart", "order-1", true, question("/peer/order-facts")).await.unwrap();
    assert_eq!(refused.status(), 403);
    let told = async || town.cluster.log("order-1").contains("a service called what it may not").then_some(());
    until("the call is told of", told).await;
    let refused = town.cluster.ask("cart", "order-1", false, question("/create-order")).await.unwrap();
    assert_eq!(refused.status(), 403, "shoppers come by the gateway");
    let allowed = town.cluster.ask("notification", "order-1", true, question("/peer/order-facts")).await.unwrap();
    assert_ne!(allowed.status(), 403);
}

/// What the port answers somebody who does not speak TLS.
async fn answer_in_the_clear(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: order\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let read = Clock::system().timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    drop(read.expect("the connection is closed"));
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn certificates_are_renewed_under_load_without_a_failed_request() {
    let folder = Evidence::new();
    let (plan, _redis) = redis(plan(&folder).await).await;
    let town = Town::open(plan.lay_out()).await;
    let crowd = Crowd::of(3, Manners::Strict, &town).await;
    let renewed = "a new certificate is in use";
    let (bought, ()) = crowd
        .shops_while(async {
            crowd.orders(3).await;
            let certificates = town.cluster.certificates();
            let made = town.cluster.verb(&["certs", "--dir", certificates.to_str().unwrap()], "").await;
            assert_eq!(made.code, Some(0), "{made:?}");
            for name in town.cluster.names() {
                let taken_over = async || town.cluster.log(name).contains(renewed).then_some(());
                until(&format!("{name} uses the new certificate"), taken_over).await;
            }
            crowd.orders(3).await;
        })
        .await;
    assert_eq!(crowd.refusals(), 0);
    nothing_is_lost(&town, &bought).await;
}

#[tokio::test]
async fn a_process_that_could_not_work_or_would_answer_strangers_says_so_and_does_not_start() {
    let folder = Evidence::new();
    let (mongodb, redis) = (own_database(&mongo::shared().await), redis::shared().await);
    let everything = ["AUTH", "CART", "PRODUCT", "INVENTORY", "PAYMENT", "ORDER", "NOTIFICATION"];
    let plan = |without: &str| {
        let plan = ProcessPlan::new(binary(), folder.path().join("data"));
        let plan = plan.with("MONGODB_URI", &mongodb).with("REDIS_URL", &redis);
        let others = everything.iter().filter(|name| **name != without);
        others.fold(plan, |plan, name| plan.with(&format!("{name}_URL"), "http://127.0.0.1:9"))
    };
    let certificates = folder.path().join("certs");
    let made = plan("").verb(&["certs", "--dir", certificates.to_str().unwrap()]).await;
    assert_eq!(made.code, Some(0), "{made:?}");
    let certificates = certificates.to_str().unwrap();
    let elsewhere = "https://10.0.0.1:4001";
    let cases: [(&str, &[&str], &str); 8] = [
        ("", &["serve", "cart", "--host", "0.0.0.0"], "make them with `cartwright certs` and set CERTS_DIR"),
        ("ORDER", &["serve", "cart"], "set ORDER_URL"),
        ("AUTH", &["serve", "payment"], "set AUTH_URL"),
        ("PRODUCT", &["gateway"], "set PRODUCT_URL"),
        ("", &["serve", "cart", "order", "--certs-dir", certificates], "each service has a process of its own"),
        ("", &["serve", "cart", "--certs-dir", certificates], "begins with http://"),
        ("", &["serve", "cart", "--order-url", elsewhere], "processes talk to other machines by certificates only"),
        ("", &["serve", "carts"], "there is no service `carts`"),
    ];
    for (without, arguments, sentence) in cases {
        let ended = plan(without).verb(arguments).await;
        assert_eq!(ended.code, Some(1), "{arguments:?}: {ended:?}");
        assert!(ended.err.contains(sentence) && !ended.err.contains("panicked"), "{arguments:?}: {ended:?}");
    }
    let alone = ProcessPlan::new(binary(), folder.path().join("data")).verb(&["serve", "auth"]).await;
    assert!(alone.code == Some(1) && alone.err.contains("set AMQP_URL or REDIS_URL"), "{alone:?}");
}

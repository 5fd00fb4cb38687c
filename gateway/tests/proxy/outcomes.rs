//! What a client is told when a service does not answer.

use cartwright_gateway::Proxied;
use cartwright_http::EdgeSettings;

use crate::client::{ask, get};
use crate::service::{Front, Service};

#[tokio::test]
async fn a_service_that_is_away_is_503_and_nothing_happened() {
    let order = Service::start("order").await;
    let front = Front::before(&[&order]).await;
    order.kill().await;
    let answer = ask(front.address, "POST", "/order/slow", "", "{}").await;
    assert_eq!((answer.status, answer.problem().as_str()), (503, "service_unavailable"));
    assert_eq!(answer.header("retry-after"), "1");
}

#[tokio::test]
async fn a_service_that_is_killed_in_the_middle_is_502_and_says_how_to_repeat() {
    let order = Service::start("order").await;
    let front = Front::before(&[&order]).await;
    let (answer, ()) = futures::join!(ask(front.address, "POST", "/order/slow", "", "{}"), async {
        order.reached.notified().await;
        order.kill().await;
    });
    assert_eq!((answer.status, answer.problem().as_str()), (502, "bad_gateway"));
    assert!(answer.body.contains("Idempotency-Key"));
    assert_eq!(order.count(), 1);
}

#[tokio::test]
async fn a_service_that_takes_too_long_is_504_and_one_that_waits_is_not() {
    let order = Service::start("order").await;
    let proxied = Proxied { working_ms: 150, ..order.proxied() };
    let front = Front::with(vec![proxied], None, |edge| EdgeSettings { deadline_ms: 2_000, ..edge }).await;

    let late = ask(front.address, "POST", "/order/slow", "", "{}").await;
    // The service may give up at the same moment, as it was told how long it has.
    assert!(
        matches!((late.status, late.problem().as_str()), (504, "gateway_timeout") | (503, "deadline_exceeded")),
        "{late:?}"
    );
    order.reached.notified().await;

    let (waited, ()) = futures::join!(ask(front.address, "POST", "/order/create-order", "", "{}"), async {
        order.reached.notified().await;
        assert!(get(front.address, "/order/slow").await.status >= 500, "longer than a route that works may take");
        order.reached.notified().await;
        order.gate.notify_one();
    });
    assert_eq!((waited.status, waited.body.as_str()), (200, "done"));
}

#[tokio::test]
async fn who_waits_at_a_service_takes_no_turn_at_the_gateway() {
    let order = Service::start("order").await;
    let adapt = |edge| EdgeSettings { in_flight_max: 1, admission_ms: 50, ..edge };
    let front = Front::with(vec![order.proxied()], None, adapt).await;
    let (waited, ()) = futures::join!(ask(front.address, "POST", "/order/create-order", "", "{}"), async {
        order.reached.notified().await;
        assert_eq!(get(front.address, "/order/count").await.status, 200);
        order.gate.notify_one();
    });
    assert_eq!(waited.status, 200);
}

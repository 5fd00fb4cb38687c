//! What callers may do with payments, over the service's own routes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod counter;

use axum::body::Body;
use axum::http::Request;
use cartwright_contracts::OrderState;
use cartwright_payment::documents::AttemptState;
use cartwright_payment_sandbox::Effect;
use counter::{Counter, order, posting, shopper};
use serde_json::{Value, json};

const ORDER: u128 = 1;

fn owner() -> String {
    format!("customer:{}", shopper())
}

fn paying(method: &str) -> Value {
    json!({"orderId": order(ORDER), "paymentMethod": method})
}

/// An order that waits for its shopper because its first card was declined.
async fn declined() -> Counter {
    let counter = Counter::new().await;
    counter.request(order(ORDER), "pm_card_chargeDeclined").await;
    counter.settle(order(ORDER)).await;
    counter.orders.say(order(ORDER), true, OrderState::Open);
    counter
}

/// An order whose money was taken, and the id of the attempt.
async fn captured() -> (Counter, String) {
    let counter = Counter::new().await;
    counter.orders.say(order(ORDER), false, OrderState::Confirmed);
    counter.request(order(ORDER), "pm_card_visa").await;
    counter.confirm(order(ORDER)).await;
    let payment = counter.until(order(ORDER), |payment| payment.captured.is_some()).await;
    (counter, payment.attempts[0].payment.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_order_is_paid_with_another_card() {
    let counter = declined().await;

    let answer = counter.post(order(ORDER), &owner(), "/process-payment", &paying("pm_card_visa")).await;

    assert_eq!((answer.status.as_u16(), &answer.body["status"]), (201, &json!("authorized")), "{answer:?}");
    assert_eq!((&answer.body["amount"], &answer.body["currency"]), (&json!(49.99), &json!("USD")));
    assert_eq!(counter.news().await, ["payment.declined", "payment.authorized"]);
    counter.agrees(order(ORDER)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shopper_who_must_act_is_told_where_and_approves_there() {
    let counter = declined().await;
    let body = paying("pm_card_authenticationRequired");
    let answer = counter.post(order(ORDER), &owner(), "/process-payment", &body).await;
    assert_eq!(answer.body["status"], "requires_action");
    assert_eq!(answer.body["nextAction"]["type"], "authenticate");
    let url = answer.body["nextAction"]["url"].as_str().unwrap().to_owned();
    let path = url.strip_prefix("http://localhost:3001/payment").unwrap();

    let page = counter.sandbox.routes();
    let approve = Request::post(format!("{path}/approve")).body(Body::empty()).unwrap();
    assert_eq!(tower::ServiceExt::oneshot(page, approve).await.unwrap().status(), 303);
    let which = json!({"paymentId": answer.body["paymentId"]});
    let answer = counter.post(order(ORDER), &owner(), "/validate-payment", &which).await;

    assert_eq!((answer.status.as_u16(), &answer.body["status"]), (200, &json!("authorized")));
    assert_eq!(counter.count("payment.authorized").await, 1);
    counter.agrees(order(ORDER)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_noticed_without_anybody_asking() {
    let counter = declined().await;
    let body = paying("pm_card_authenticationRequired");
    let answer = counter.post(order(ORDER), &owner(), "/process-payment", &body).await;
    let path = format!("/sandbox/{}/approve", answer.body["paymentId"].as_str().unwrap());
    let approve = Request::post(path).body(Body::empty()).unwrap();
    let approved_at = counter.clock.now();
    assert_eq!(tower::ServiceExt::oneshot(counter.sandbox.routes(), approve).await.unwrap().status(), 303);

    counter.until(order(ORDER), |payment| payment.funded().is_some()).await;

    assert!(counter.clock.now().since(approved_at).as_secs() <= 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_pays_once_and_another_body_is_refused() {
    let counter = declined().await;
    let send = |method: &str| {
        let mut request = posting(&owner(), "/process-payment", &paying(method));
        request.headers_mut().insert("idempotency-key", "pay-once-0123456789".parse().unwrap());
        counter.send(order(ORDER), request)
    };
    let first = send("pm_card_visa").await;
    counter.orders.say(order(ORDER), false, OrderState::Confirmed);

    let second = send("pm_card_visa").await;

    assert!(!first.replayed && second.replayed);
    assert_eq!((first.status, &first.body), (second.status, &second.body));
    send("pm_card_amex").await.is(422, "idempotency_key_reused");
    assert_eq!(counter.payment(order(ORDER)).await.attempts.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_attempt_at_a_time_and_five_at_most() {
    let counter = Counter::new().await;
    counter.orders.say(order(ORDER), true, OrderState::Open);
    counter.request(order(ORDER), "pm_sandbox_answersLate").await;
    let beside = counter.post(order(ORDER), &owner(), "/process-payment", &paying("pm_card_visa")).await;
    beside.is(409, "payment_in_progress");

    let counter = declined().await;
    for _ in 0..4 {
        let body = paying("pm_card_chargeDeclinedInsufficientFunds");
        let answer = counter.post(order(ORDER), &owner(), "/process-payment", &body).await;
        assert_eq!((answer.status.as_u16(), &answer.body["status"]), (201, &json!("failed")));
        assert_eq!(answer.body["nextAction"]["declineCode"], "insufficient_funds");
    }
    let sixth = counter.post(order(ORDER), &owner(), "/process-payment", &paying("pm_card_visa")).await;
    sixth.is(409, "too_many_attempts");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_attempts_at_the_same_moment_are_one() {
    let counter = declined().await;
    let (body, owner) = (paying("pm_card_visa"), owner());

    let (first, second) = tokio::join!(
        counter.post(order(ORDER), &owner, "/process-payment", &body),
        counter.post(order(ORDER), &owner, "/process-payment", &body),
    );

    let won = [&first, &second].iter().filter(|answer| answer.status == 201).count();
    assert_eq!(won, 1, "{first:?} {second:?}");
    let authorised = counter.ledger().iter().filter(|it| matches!(it.effect, Effect::Authorised { .. })).count();
    assert_eq!(authorised, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_does_not_wait_for_money_takes_none() {
    let counter = Counter::new().await;
    let pay = || async { counter.post(order(ORDER), &owner(), "/process-payment", &paying("pm_card_visa")).await };
    pay().await.is(404, "order_not_found");
    counter.orders.say(order(ORDER), false, OrderState::Open);
    pay().await.is(409, "order_not_payable");
    counter.orders.say(order(ORDER), true, OrderState::Open);
    counter.cancel(order(ORDER)).await;
    pay().await.is(409, "order_not_payable");
    assert!(counter.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_number_is_refused_wherever_it_stands() {
    let counter = declined().await;
    for body in [
        json!({"orderId": order(ORDER), "paymentMethod": "4242424242424242"}),
        json!({"orderId": order(ORDER), "paymentMethod": "pm_card_visa", "note": ["4242 4242 4242 4242"]}),
        json!({"orderId": order(ORDER), "paymentMethod": "pm_card_visa", "card": {"number": 378_282_246_310_005_u64}}),
    ] {
        let answer = counter.post(order(ORDER), &owner(), "/process-payment", &body).await;
        answer.is(400, "card_number_refused");
        assert!(!answer.body.to_string().contains("4242"));
    }
    assert_eq!(counter.payment(order(ORDER)).await.attempts.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn refunds_are_never_more_than_what_was_captured() {
    let (counter, id) = captured().await;
    let refund = |body: Value| {
        let counter = &counter;
        async move { counter.post(order(ORDER), "admin:root", "/refund-payment", &body).await }
    };
    for (amount, pointer) in
        [(json!(0), "/amount"), (json!(-1), "/amount"), (json!(1.999), "/amount"), (json!("1"), "/amount")]
    {
        let answer = refund(json!({"paymentId": id, "amount": amount, "reason": "broken"})).await;
        answer.is(400, "invalid_input");
        assert_eq!(answer.body["errors"][0]["pointer"], pointer);
    }
    refund(json!({"paymentId": id, "amount": 50, "reason": "broken"})).await.is(409, "refund_too_large");

    let some = refund(json!({"paymentId": id, "amount": 20, "reason": "broken"})).await;
    assert_eq!(
        (some.status.as_u16(), &some.body["status"], &some.body["amount"]),
        (201, &json!("succeeded"), &json!(20.0))
    );
    let too_much = refund(json!({"paymentId": id, "amount": 30, "reason": "broken"})).await;
    too_much.is(409, "refund_too_large");
    assert_eq!(too_much.body["refundable"], json!(29.99));
    let receipt = counter.get(order(ORDER), &owner(), &format!("/receipts/{}", order(ORDER))).await;
    assert_eq!((&receipt.body["status"], &receipt.body["refunded"]), (&json!("partially_refunded"), &json!(20.0)));

    let rest = refund(json!({"paymentId": id, "reason": "all of it"})).await;
    assert_eq!((rest.status.as_u16(), &rest.body["amount"]), (201, &json!(29.99)));
    refund(json!({"paymentId": id, "reason": "once more"})).await.is(409, "refund_too_large");
    assert_eq!(counter.count("payment.refunded").await, 2);
    counter.agrees(order(ORDER)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_in_part_and_a_cancellation_give_back_everything_once() {
    let (counter, id) = captured().await;
    let body = json!({"paymentId": id, "amount": 20, "reason": "broken"});
    assert_eq!(counter.post(order(ORDER), "admin:root", "/refund-payment", &body).await.status, 201);

    counter.cancel(order(ORDER)).await;
    let payment = counter.settle(order(ORDER)).await;

    assert_eq!(payment.refunded(), payment.captured);
    counter.agrees(order(ORDER)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_payment_is_as_unknown_as_none() {
    let (counter, id) = captured().await;
    let stranger = "customer:usr_00000000000000000000000000000bad";
    let nobody = json!({"paymentId": "pay_00000000000000000000000000000bad"});
    let which = json!({"paymentId": id});

    let foreign = counter.post(order(ORDER), stranger, "/validate-payment", &which).await;
    let unknown = counter.post(order(ORDER), &owner(), "/validate-payment", &nobody).await;
    foreign.is(404, "payment_not_found");
    assert_eq!(foreign.body, unknown.body);
    counter.post(order(ORDER), stranger, "/process-payment", &paying("pm_card_visa")).await.is(404, "order_not_found");
    let receipt = format!("/receipts/{}", order(ORDER));
    counter.get(order(ORDER), stranger, &receipt).await.is(404, "receipt_not_found");
    let list = format!("/transactions?orderId={}", order(ORDER));
    counter.get(order(ORDER), stranger, &list).await.is(404, "order_not_found");
    assert_eq!(counter.get(order(ORDER), "admin:root", &list).await.status, 200);
    assert_eq!(counter.get(order(ORDER), &owner(), &list).await.body["items"][0]["type"], "payment");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_admins_and_services_may_do_is_refused_to_others() {
    let (counter, id) = captured().await;
    let body = json!({"paymentId": id, "reason": "mine"});
    for path in ["/capture-payment", "/void-payment", "/refund-payment"] {
        counter.post(order(ORDER), &owner(), path, &body).await.is(403, "forbidden");
        assert_eq!(counter.send(order(ORDER), Request::post(path).body(Body::empty()).unwrap()).await.status, 401);
    }
    counter.post(order(ORDER), "service:order", "/refund-payment", &body).await.is(403, "forbidden");
    let again = counter.post(order(ORDER), "service:order", "/capture-payment", &body).await;
    assert_eq!((again.status.as_u16(), &again.body["status"]), (200, &json!("captured")));
    assert_eq!(counter.count("payment.captured").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn money_that_an_order_stands_on_is_not_let_go_of_and_not_taken_early() {
    let counter = Counter::new().await;
    counter.orders.say(order(ORDER), false, OrderState::Open);
    counter.request(order(ORDER), "pm_card_visa").await;
    let id = counter.settle(order(ORDER)).await.attempts[0].payment;
    let which = json!({"paymentId": id});

    counter.post(order(ORDER), "admin:root", "/void-payment", &which).await.is(409, "not_voidable");
    counter.post(order(ORDER), "admin:root", "/capture-payment", &which).await.is(409, "not_capturable");

    counter.orders.say(order(ORDER), false, OrderState::Confirmed);
    let taken = counter.post(order(ORDER), "admin:root", "/capture-payment", &which).await;
    assert_eq!((taken.status.as_u16(), &taken.body["status"]), (200, &json!("captured")));
    counter.post(order(ORDER), "admin:root", "/void-payment", &which).await.is(409, "not_voidable");
    counter.agrees(order(ORDER)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_waits_for_its_shopper_can_be_given_up() {
    let counter = Counter::new().await;
    counter.orders.say(order(ORDER), true, OrderState::Open);
    counter.request(order(ORDER), "pm_card_authenticationRequired").await;
    let id = counter.settle(order(ORDER)).await.attempts[0].payment;

    let answer = counter.post(order(ORDER), "admin:root", "/void-payment", &json!({"paymentId": id})).await;

    assert_eq!((answer.status.as_u16(), &answer.body["status"]), (200, &json!("failed")));
    assert_eq!(counter.payment(order(ORDER)).await.attempts[0].state, AttemptState::Failed);
    assert_eq!(counter.news().await, ["payment.action-required", "payment.declined"]);
}

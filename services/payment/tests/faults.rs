//! One fault at each call of the provider, before and after it took effect: money ends where it belongs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod counter;

use cartwright_contracts::OrderState;
use cartwright_payment::documents::{AttemptState, Payment};
use counter::{Counter, Fault, order};
use serde_json::json;

const ORDER: u128 = 1;

/// Runs `story` once for each place where a fault can strike; each run must end as `right` says.
async fn survives_every_fault<F>(story: impl Fn(Counter) -> F, right: impl Fn(&Payment) -> bool)
where
    F: Future<Output = Counter>,
{
    for after in [false, true] {
        for place in 0..20 {
            let counter = story(Counter::with(Some(Fault { place, after })).await).await;
            let payment = counter.settle(order(ORDER)).await;

            assert!(right(&payment), "a fault at call {place}, after its effect: {after}: {payment:#?}");
            counter.agrees(order(ORDER)).await;
            for once in ["payment.authorized", "payment.captured", "payment.refunded", "payment.voided"] {
                assert!(counter.count(once).await <= 1, "{once} was told twice");
            }
            if counter.calls() <= place {
                break;
            }
            assert!(place < 19, "a story has fewer calls than that");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_survives_every_fault() {
    for method in
        ["pm_card_visa", "pm_sandbox_timeoutAfterCharge", "pm_sandbox_timeoutBeforeCharge", "pm_sandbox_answersLate"]
    {
        let sale = |counter: Counter| async move {
            counter.request(order(ORDER), method).await;
            counter.until(order(ORDER), |payment| payment.funded().is_some()).await;
            counter.confirm(order(ORDER)).await;
            counter
        };
        survives_every_fault(sale, |payment| payment.attempts[0].state == AttemptState::Captured).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_card_survives_every_fault() {
    let declined = |counter: Counter| async move {
        counter.request(order(ORDER), "pm_card_chargeDeclined").await;
        counter
    };
    survives_every_fault(declined, |payment| payment.attempts[0].decline_code.as_deref() == Some("generic_decline"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_at_once_survives_every_fault() {
    let at_once = |counter: Counter| async move {
        counter.request(order(ORDER), "pm_card_visa").await;
        counter.cancel(order(ORDER)).await;
        counter
    };
    survives_every_fault(at_once, |payment| payment.funded().is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_of_held_money_survives_every_fault() {
    let held = |counter: Counter| async move {
        counter.request(order(ORDER), "pm_card_visa").await;
        counter.until(order(ORDER), |payment| payment.funded().is_some()).await;
        counter.cancel(order(ORDER)).await;
        counter
    };
    survives_every_fault(held, |payment| payment.attempts[0].state == AttemptState::Voided).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_in_the_middle_of_the_capture_survives_every_fault() {
    let sold = |counter: Counter| async move {
        counter.request(order(ORDER), "pm_card_visa").await;
        counter.until(order(ORDER), |payment| payment.funded().is_some()).await;
        counter.confirm(order(ORDER)).await;
        counter.cancel(order(ORDER)).await;
        counter
    };
    survives_every_fault(sold, |payment| payment.refundable().is_none_or(|left| left.minor() == 0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_attempt_beside_a_waiting_one_survives_every_fault() {
    let again = |counter: Counter| async move {
        counter.request(order(ORDER), "pm_card_authenticationRequired").await;
        counter.settle(order(ORDER)).await;
        counter.orders.say(order(ORDER), true, OrderState::Open);
        let body = json!({"orderId": order(ORDER), "paymentMethod": "pm_card_visa"});
        let token = format!("customer:{}", counter::shopper());
        let answer = counter.post(order(ORDER), &token, "/process-payment", &body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        counter
    };
    survives_every_fault(again, |payment| {
        let states: Vec<_> = payment.attempts.iter().map(|attempt| attempt.state).collect();
        states == [AttemptState::Failed, AttemptState::Authorized]
    })
    .await;
}

//! What orders mean for their payments, in whatever order their events arrive, and whatever the provider does.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod counter;

use cartwright_payment::documents::AttemptState;
use cartwright_payment_sandbox::Effect;
use counter::{Counter, order};

const ORDER: u128 = 1;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Event {
    Requested,
    Confirmed,
    Cancelled,
}

const ARRIVALS: &[&[Event]] = &[
    &[Event::Requested],
    &[Event::Requested, Event::Confirmed],
    &[Event::Confirmed, Event::Requested],
    &[Event::Requested, Event::Cancelled],
    &[Event::Cancelled, Event::Requested],
    &[Event::Requested, Event::Confirmed, Event::Cancelled],
    &[Event::Requested, Event::Cancelled, Event::Confirmed],
    &[Event::Confirmed, Event::Requested, Event::Cancelled],
    &[Event::Confirmed, Event::Cancelled, Event::Requested],
    &[Event::Cancelled, Event::Requested, Event::Confirmed],
    &[Event::Cancelled, Event::Confirmed, Event::Requested],
];

/// Tokens, and whether the money comes without the shopper.
const METHODS: &[(&str, bool)] = &[
    ("pm_card_visa", true),
    ("pm_card_chargeDeclined", false),
    ("pm_card_authenticationRequired", false),
    ("pm_sandbox_timeoutAfterCharge", true),
    ("pm_sandbox_timeoutBeforeCharge", true),
    ("pm_sandbox_answersLate", true),
];

async fn deliver(counter: &Counter, event: Event, method: &str) {
    match event {
        Event::Requested => counter.request(order(ORDER), method).await,
        Event::Confirmed => counter.confirm(order(ORDER)).await,
        Event::Cancelled => counter.cancel(order(ORDER)).await,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_of_events_ends_in_one_charge_or_none() {
    for (method, succeeds) in METHODS {
        for arrivals in ARRIVALS {
            for settled_between in [false, true] {
                let told = format!("{method} {arrivals:?} settled between: {settled_between}");
                let counter = Counter::new().await;
                for event in *arrivals {
                    deliver(&counter, *event, method).await;
                    if settled_between {
                        counter.settle(order(ORDER)).await;
                    }
                }

                let payment = counter.settle(order(ORDER)).await;

                counter.agrees(order(ORDER)).await;
                let cancelled = arrivals.contains(&Event::Cancelled);
                let sold = arrivals.contains(&Event::Confirmed) && !cancelled;
                assert_eq!(payment.closed, cancelled, "{told}");
                if cancelled {
                    let left = payment.refundable().map_or(0, |left| left.minor());
                    assert_eq!(left, 0, "{told}");
                    assert!(payment.attempts.iter().all(|it| it.state != AttemptState::Authorized), "{told}");
                } else {
                    let wanted = if sold { AttemptState::Captured } else { AttemptState::Authorized };
                    assert_eq!(payment.attempts[0].state == wanted, *succeeds, "{told}: {payment:#?}");
                    assert_eq!(counter.count("payment.authorized").await, usize::from(*succeeds), "{told}");
                }
                if arrivals[0] == Event::Cancelled {
                    assert!(payment.attempts.is_empty() && counter.news().await.is_empty(), "{told}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_that_comes_after_the_cancellation_is_voided_and_never_announced() {
    let counter = Counter::new().await;
    counter.request(order(ORDER), "pm_sandbox_answersLate").await;
    counter.until(order(ORDER), |payment| payment.lease.failures > 0).await;

    counter.cancel(order(ORDER)).await;
    let payment = counter.settle(order(ORDER)).await;

    assert_eq!(payment.attempts[0].state, AttemptState::Voided);
    assert_eq!(counter.news().await, ["payment.voided"]);
    counter.agrees(order(ORDER)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_cancelled_after_its_capture_gets_all_its_money_back_once() {
    let counter = Counter::new().await;
    counter.request(order(ORDER), "pm_card_visa").await;
    counter.confirm(order(ORDER)).await;
    counter.until(order(ORDER), |payment| payment.captured.is_some()).await;

    counter.cancel(order(ORDER)).await;
    counter.cancel(order(ORDER)).await;
    let payment = counter.settle(order(ORDER)).await;

    assert_eq!(payment.refunded(), payment.amount);
    assert_eq!(counter.count("payment.refunded").await, 1);
    counter.agrees(order(ORDER)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_the_shopper_is_cancelled_with_its_order() {
    let counter = Counter::new().await;
    counter.request(order(ORDER), "pm_card_authenticationRequired").await;
    counter.settle(order(ORDER)).await;
    assert_eq!(counter.news().await, ["payment.action-required"]);

    counter.cancel(order(ORDER)).await;
    let payment = counter.settle(order(ORDER)).await;

    assert_eq!(payment.attempts[0].state, AttemptState::Failed);
    assert!(counter.ledger().iter().any(|entry| entry.effect == Effect::Voided));
    assert_eq!(counter.news().await, ["payment.action-required"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_that_fails_for_a_day_is_told_and_the_order_can_still_be_cancelled() {
    let counter = Counter::new().await;
    counter.request(order(ORDER), "pm_sandbox_captureFails").await;
    counter.confirm(order(ORDER)).await;
    let began = counter.clock.now();

    let payment = counter.settle(order(ORDER)).await;

    assert!(payment.attempts[0].capture_failed);
    assert!(counter.clock.now().since(began) >= cartwright_payment::PATIENCE);
    assert_eq!(counter.news().await, ["payment.authorized", "payment.capture-failed"]);

    counter.cancel(order(ORDER)).await;
    let payment = counter.settle(order(ORDER)).await;
    assert_eq!(payment.attempts[0].state, AttemptState::Voided);
    counter.agrees(order(ORDER)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_under_way_goes_on_after_a_crash() {
    for method in ["pm_card_visa", "pm_sandbox_timeoutAfterCharge", "pm_sandbox_answersLate"] {
        let counter = Counter::new().await;
        counter.request(order(ORDER), method).await;
        let counter = counter.crash().await;
        counter.confirm(order(ORDER)).await;

        let payment = counter.until(order(ORDER), |payment| payment.captured.is_some()).await;

        assert_eq!(payment.attempts.len(), 1, "{method}");
        assert_eq!(counter.count("payment.authorized").await, 1, "{method}");
        counter.agrees(order(ORDER)).await;
    }
}

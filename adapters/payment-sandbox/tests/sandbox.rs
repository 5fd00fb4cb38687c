//! What the sandbox promises: a key is one charge for ever, and nothing is said before it is on disk.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use cartwright_payment::{PaymentProvider, ProviderError, Standing};
use cartwright_payment_sandbox::{Effect, LEDGER_FILE, LedgerError, Sandbox, Settings, read_ledger};
use cartwright_runtime::{Clock, Time};
use cartwright_vocabulary::{Currency, Id, Money, PaymentId, RefundId};
use http_body_util::BodyExt;
use tempfile::TempDir;
use tower::ServiceExt;
use uuid::Uuid;

fn key(number: u128) -> PaymentId {
    Id::new(Uuid::from_u128(number))
}

fn refund_key(number: u128) -> RefundId {
    Id::new(Uuid::from_u128(number))
}

fn price() -> Money {
    Money::from_minor(4_999, Currency::USD)
}

fn clock() -> Clock {
    Clock::manual(Time::from_millis(1_795_340_000_000))
}

fn open(folder: &Path, clock: &Clock) -> Sandbox {
    let settings = Settings { cut_after: Duration::ZERO, ..Settings::default() };
    Sandbox::open(folder, clock.clone(), settings).unwrap()
}

fn effects(folder: &Path) -> Vec<Effect> {
    read_ledger(&folder.join(LEDGER_FILE)).unwrap().into_iter().map(|entry| entry.effect).collect()
}

fn is_unknown<T>(result: &Result<T, ProviderError>) -> bool {
    matches!(result, Err(ProviderError::Unknown(_)))
}

fn is_refused<T>(result: &Result<T, ProviderError>) -> bool {
    matches!(result, Err(ProviderError::Refused(_)))
}

#[tokio::test]
async fn a_charge_is_made_taken_and_given_back_once_however_often_it_is_asked_for() {
    let folder = TempDir::new().unwrap();
    for _ in 0..3 {
        let sandbox = open(folder.path(), &clock());
        sandbox.authorise(key(1), price(), "pm_card_visa").await.unwrap();
        sandbox.capture(key(1), price()).await.unwrap();
        sandbox.refund(key(1), refund_key(7), Money::from_minor(1_000, Currency::USD)).await.unwrap();
    }
    assert_eq!(effects(folder.path()).len(), 3);
    let sandbox = open(folder.path(), &clock());
    let too_much = sandbox.refund(key(1), refund_key(8), Money::from_minor(4_000, Currency::USD)).await;
    assert!(is_refused(&too_much));
    assert!(matches!(sandbox.void(key(1)).await.unwrap(), Standing::Captured { .. }));
}

#[tokio::test]
async fn a_line_cut_short_by_a_crash_is_dropped_and_another_damage_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(LEDGER_FILE);
    open(folder.path(), &clock()).authorise(key(1), price(), "pm_card_visa").await.unwrap();
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(br#"{"at":"2026-11-22T09:30"#).unwrap();
    assert_eq!(effects(folder.path()).len(), 1);

    open(folder.path(), &clock()).authorise(key(2), price(), "pm_card_visa").await.unwrap();
    assert_eq!(effects(folder.path()).len(), 2);

    file.write_all(b"no json\n").unwrap();
    let damaged = Sandbox::open(folder.path(), clock(), Settings::default());
    assert!(matches!(damaged.err().unwrap(), LedgerError::Damaged { line: 3, .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn charges_made_at_once_are_all_in_the_ledger_when_they_are_answered() {
    let folder = TempDir::new().unwrap();
    let sandbox = open(folder.path(), &clock());
    let mut all = tokio::task::JoinSet::new();
    for number in 0..100 {
        let sandbox = sandbox.clone();
        all.spawn(async move { sandbox.authorise(key(number), price(), "pm_card_visa").await });
    }
    while let Some(charged) = all.join_next().await {
        charged.unwrap().unwrap();
    }
    assert_eq!(effects(folder.path()).len(), 100);
}

#[tokio::test]
async fn a_key_that_was_ended_before_it_began_never_begins() {
    let folder = TempDir::new().unwrap();
    assert_eq!(open(folder.path(), &clock()).void(key(1)).await.unwrap(), Standing::Voided);
    let sandbox = open(folder.path(), &clock());
    assert_eq!(sandbox.authorise(key(1), price(), "pm_card_visa").await.unwrap(), Standing::Voided);
    assert_eq!(effects(folder.path()), [Effect::Voided]);
}

#[tokio::test]
async fn processes_that_share_a_ledger_are_one_provider() {
    let (folder, clock) = (TempDir::new().unwrap(), clock());
    let (one, other) = (open(folder.path(), &clock), open(folder.path(), &clock));

    let racing = futures::future::join_all((0..40).map(async |number| {
        let sandbox = if number % 2 == 0 { &one } else { &other };
        sandbox.authorise(key(number / 4), price(), "pm_card_visa").await.unwrap()
    }));
    assert!(racing.await.iter().all(|standing| matches!(standing, Standing::Authorised { .. })));
    other.capture(key(0), price()).await.unwrap();
    assert!(is_refused(&one.refund(key(1), refund_key(1), price()).await), "key 1 was not captured");
    one.refund(key(0), refund_key(1), price()).await.unwrap();
    assert!(is_refused(&other.refund(key(0), refund_key(2), price()).await), "all of it went back");

    let authorised = effects(folder.path()).into_iter().filter(|effect| matches!(effect, Effect::Authorised { .. }));
    assert_eq!(authorised.count(), 10);
}

#[tokio::test]
async fn the_tokens_do_what_the_readme_says() {
    let folder = TempDir::new().unwrap();
    let clock = clock();
    let sandbox = open(folder.path(), &clock);
    for (number, (token, code)) in [
        ("pm_card_chargeDeclined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card"),
        ("pm_card_nonsense", "invalid_payment_method"),
    ]
    .into_iter()
    .enumerate()
    {
        let standing = sandbox.authorise(key(100 + number as u128), price(), token).await.unwrap();
        assert_eq!(standing, Standing::Declined { code: code.to_owned() });
    }

    assert!(is_unknown(&sandbox.authorise(key(1), price(), "pm_sandbox_timeoutAfterCharge").await));
    assert!(matches!(sandbox.ask(key(1)).await.unwrap(), Some(Standing::Authorised { .. })));

    assert!(is_unknown(&sandbox.authorise(key(2), price(), "pm_sandbox_timeoutBeforeCharge").await));
    assert_eq!(sandbox.ask(key(2)).await.unwrap(), None);
    let again = sandbox.authorise(key(2), price(), "pm_sandbox_timeoutBeforeCharge").await.unwrap();
    assert!(matches!(again, Standing::Authorised { .. }));

    let late = sandbox.authorise(key(3), price(), "pm_sandbox_answersLate").await.unwrap();
    assert_eq!(late, Standing::Pending);
    clock.advance(Duration::from_millis(2_999));
    assert_eq!(sandbox.ask(key(3)).await.unwrap(), Some(Standing::Pending));
    clock.advance(Duration::from_millis(1));
    assert!(matches!(sandbox.ask(key(3)).await.unwrap(), Some(Standing::Authorised { .. })));

    sandbox.authorise(key(4), price(), "pm_sandbox_captureFails").await.unwrap();
    assert!(is_refused(&sandbox.capture(key(4), price()).await));
    sandbox.authorise(key(5), price(), "pm_sandbox_refundFails").await.unwrap();
    sandbox.capture(key(5), price()).await.unwrap();
    assert!(is_refused(&sandbox.refund(key(5), refund_key(1), price()).await));
}

async fn fetch(sandbox: &Sandbox, request: Request<Body>) -> (u16, String) {
    let response = Router::new().nest("/payment", sandbox.routes()).oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn the_shopper_approves_or_declines_on_the_hosted_page_once() {
    let folder = TempDir::new().unwrap();
    let sandbox = open(folder.path(), &clock());
    for (number, verb) in [(1, "approve"), (2, "decline")] {
        let standing = sandbox.authorise(key(number), price(), "pm_card_authenticationRequired").await.unwrap();
        let Standing::ActionRequired { url, .. } = standing else { panic!("{standing:?}") };
        let path = url.strip_prefix("http://localhost:3001").unwrap();
        let (status, page) = fetch(&sandbox, Request::get(path).body(Body::empty()).unwrap()).await;
        assert!(status == 200 && page.contains("49.99 USD") && page.contains("Approve"), "{page}");
        assert!(!page.contains("src=") && !page.contains("<script"), "{page}");
        let post = |verb: &str| Request::post(format!("{path}/{verb}")).body(Body::empty()).unwrap();
        assert_eq!(fetch(&sandbox, post(verb)).await.0, 303);
        // A second answer changes nothing.
        assert_eq!(fetch(&sandbox, post("decline")).await.0, 303);
        assert_eq!(fetch(&sandbox, post("approve")).await.0, 303);
        let (_, after) = fetch(&sandbox, Request::get(path).body(Body::empty()).unwrap()).await;
        assert!(!after.contains("<form"));
    }
    assert!(matches!(sandbox.ask(key(1)).await.unwrap(), Some(Standing::Authorised { .. })));
    let declined = Standing::Declined { code: "authentication_failed".to_owned() };
    assert_eq!(sandbox.ask(key(2)).await.unwrap(), Some(declined));
    let unknown = Request::get(format!("/payment/sandbox/{}", key(9))).body(Body::empty()).unwrap();
    assert_eq!(fetch(&sandbox, unknown).await.0, 404);
}

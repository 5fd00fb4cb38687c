//! I9 to I12 and I18: sold and paid, or released and unpaid; and the provider remembers the same as we do.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cartwright_order::documents::Order;
use cartwright_order::domain::Stage;
use cartwright_payment::documents::{Attempt, AttemptState, Cause, JournalEntry, Payment, RefundState};
use cartwright_payment_sandbox::{Effect, LedgerEntry};
use cartwright_vocabulary::{Money, OrderId};

use super::{Books, Findings};

pub(super) fn check(books: &Books, findings: &mut Findings) {
    confirmed_orders_are_paid(books, findings);
    journal_agrees(books, findings);
    if books.quiet {
        no_money_without_a_sale(books, findings);
        provider_agrees(books, findings);
    }
}

fn funded(payment: &Payment) -> Vec<&Attempt> {
    payment.attempts.iter().filter(|attempt| attempt.state.has_money()).collect()
}

/// I9: a confirmed order has exactly one attempt with money, of its total.
fn confirmed_orders_are_paid(books: &Books, findings: &mut Findings) {
    findings.begin("I9");
    for payment in &books.payments {
        findings.expect(funded(payment).len() <= 1, || "more than one attempt has money".to_owned(), &[payment]);
    }
    let payments = books.payments_by_order();
    for order in books.orders.iter().filter(|order| order.stage == Stage::Confirmed) {
        let payment = payments.get(&order.id);
        let paid =
            payment.is_some_and(|payment| funded(payment).len() == 1 && payment.amount == Some(order.totals.total));
        findings.expect(paid, || "it is confirmed and not paid".to_owned(), &[order, &payment]);
    }
}

/// I10 and I18: at rest, what was sold is captured, what was not sold keeps no money, and an order that still waits has none.
fn no_money_without_a_sale(books: &Books, findings: &mut Findings) {
    findings.begin("I10");
    let payments = books.payments_by_order();
    for order in &books.orders {
        let payment = payments.get(&order.id).copied();
        let settled = match (&order.stage, payment) {
            (Stage::Confirmed, Some(payment)) => captured_in_full(order, payment),
            (Stage::Confirmed, None) => false,
            (Stage::Cancelled { .. }, Some(payment)) => nothing_kept(payment),
            (Stage::HoldingStock | Stage::HoldingMoney | Stage::AwaitingPayment { .. }, Some(payment)) => {
                funded(payment).is_empty()
            }
            (
                Stage::Cancelled { .. } | Stage::HoldingStock | Stage::HoldingMoney | Stage::AwaitingPayment { .. },
                None,
            ) => true,
        };
        findings.expect(settled, || "order and money do not agree".to_owned(), &[order, &payment]);
    }
    let orders = books.orders_by_id();
    for payment in &books.payments {
        let known = orders.contains_key(&payment.order);
        findings.expect(known, || "it is for no order".to_owned(), &[payment]);
    }
}

fn captured_in_full(order: &Order, payment: &Payment) -> bool {
    let given_up = payment.funded().is_some_and(|attempt| attempt.capture_failed);
    given_up || payment.captured == Some(order.totals.total)
}

fn nothing_kept(payment: &Payment) -> bool {
    let held =
        payment.attempts.iter().any(|attempt| attempt.state == AttemptState::Authorized || attempt.state.is_open());
    let taken = payment.captured.map_or(0, Money::minor);
    let back = payment.refunded().map_or(0, Money::minor);
    !held && taken == back
}

/// I12: every movement of money has its entry in the journal, and only those have one.
fn journal_agrees(books: &Books, findings: &mut Findings) {
    findings.begin("I12");
    for entry in &books.journal {
        findings.expect(
            entry.amount.minor() >= 0 && entry.debit != entry.credit,
            || "it does not balance".to_owned(),
            &[entry],
        );
    }
    let mut by_order: HashMap<OrderId, Vec<&JournalEntry>> = HashMap::new();
    for entry in &books.journal {
        by_order.entry(entry.order).or_default().push(entry);
    }
    for payment in &books.payments {
        let entries = by_order.remove(&payment.order).unwrap_or_default();
        let currency = payment.amount.map(Money::currency);
        findings.expect(
            entries.iter().all(|entry| Some(entry.amount.currency()) == currency),
            || "the journal counts it in another currency".to_owned(),
            &[payment],
        );
        let sum = |refunds: bool| -> i64 {
            let wanted = entries.iter().filter(|entry| matches!(entry.cause, Cause::Refund { .. }) == refunds);
            wanted.map(|entry| entry.amount.minor()).sum()
        };
        let taken = payment.captured.map_or(0, Money::minor);
        let back = payment.refunded().map_or(0, Money::minor);
        let what = || format!("the journal says {} taken and {} back", sum(false), sum(true));
        findings.expect(sum(false) == taken && sum(true) == back, what, &[payment]);
    }
    for entry in by_order.values().flatten() {
        findings.add("no payment moved this money", &[*entry]);
    }
}

/// I11: the provider's ledger and our books name the same charges in the same state.
fn provider_agrees(books: &Books, findings: &mut Findings) {
    let Some(ledger) = &books.ledger else { return };
    findings.begin("I11");
    let theirs: BTreeMap<String, Charge> = charges(ledger);
    let mut known = BTreeSet::new();
    for payment in &books.payments {
        for attempt in &payment.attempts {
            let key = attempt.payment.to_string();
            let charge = theirs.get(&key);
            findings.expect(
                same(payment, attempt, charge),
                || format!("{key}: the provider says {charge:?}"),
                &[payment],
            );
            known.insert(key);
        }
    }
    for (key, charge) in &theirs {
        findings.expect(
            known.contains(key),
            || format!("the provider has a charge {key} that we do not know: {charge:?}"),
            &[],
        );
    }
}

/// A charge as the provider remembers it.
#[derive(Clone, Copy, Debug, Default)]
struct Charge {
    held_minor: i64,
    captured_minor: i64,
    refunded_minor: i64,
}

/// Each charge of the ledger, by the key that we gave it.
fn charges(ledger: &[LedgerEntry]) -> BTreeMap<String, Charge> {
    let mut charges: BTreeMap<String, Charge> = BTreeMap::new();
    for entry in ledger {
        let charge = charges.entry(entry.key.to_string()).or_default();
        match &entry.effect {
            Effect::Pending { .. } | Effect::ActionRequired { .. } => {}
            Effect::Authorised { amount, .. } => charge.held_minor = amount.minor(),
            Effect::Declined { .. } | Effect::Voided => charge.held_minor = 0,
            Effect::Captured { amount } => {
                charge.held_minor = 0;
                charge.captured_minor += amount.minor();
            }
            Effect::Refunded { amount, .. } => charge.refunded_minor += amount.minor(),
        }
    }
    charges
}

fn same(payment: &Payment, attempt: &Attempt, charge: Option<&Charge>) -> bool {
    let taken_here = if attempt.state == AttemptState::Captured { payment.captured.map_or(0, Money::minor) } else { 0 };
    let back = |state: RefundState| state == RefundState::Succeeded;
    let back_here: i64 = if attempt.state == AttemptState::Captured {
        payment.refunds.iter().filter(|refund| back(refund.state)).map(|refund| refund.amount.minor()).sum()
    } else {
        0
    };
    let wanted = payment.amount.map_or(0, Money::minor);
    match charge {
        None => !attempt.state.has_money(),
        Some(charge) => {
            // What the shopper approved a moment ago is asked for soon.
            let approved = attempt.state.is_open() && charge.held_minor == wanted;
            let held_here = if attempt.state == AttemptState::Authorized { wanted } else { 0 };
            (approved || charge.held_minor == held_here)
                && charge.captured_minor == taken_here
                && charge.refunded_minor == back_here
        }
    }
}

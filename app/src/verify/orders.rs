//! I6, I7, I16, I17, I19: orders are exact, follow the graph, end, and are one a cart version.

use std::collections::HashMap;
use std::time::Duration;

use cartwright_cart::documents::Cart;
use cartwright_order::documents::{Checkout, Order};
use cartwright_order::domain::{Stage, Status};
use cartwright_vocabulary::{CartId, Money};

use super::{Books, Findings};

/// How long after its deadline an order may be open.
const LATE: Duration = Duration::from_secs(120);

pub(super) fn check(books: &Books, findings: &mut Findings) {
    totals_are_exact(books, findings);
    history_is_legal(books, findings);
    one_order_a_cart_version(books, findings);
    no_order_is_late(books, findings);
    if books.quiet {
        every_order_ends(books, findings);
        carts_are_sold_once(books, findings);
    }
}

/// I6 and I7: one currency, nothing negative, and the total is the sum of its parts.
fn totals_are_exact(books: &Books, findings: &mut Findings) {
    findings.begin("I7");
    for order in &books.orders {
        let expected = recomputed(order);
        let what = || format!("its total is {}, its parts make {expected:?}", order.totals.total);
        findings.expect(expected == Some(order.totals.total), what, &[order]);
        let plain =
            (0..=Money::MOST_MINOR).contains(&order.totals.total.minor()) && order.totals.discount_total.minor() >= 0;
        findings.expect(plain, || "an amount is out of its bounds".to_owned(), &[order]);
    }
}

fn recomputed(order: &Order) -> Option<Money> {
    let currency = order.totals.total.currency();
    let mut subtotal = Money::zero(currency);
    for item in &order.items {
        let line = item.unit_price.times(item.quantity.get()).ok().filter(|line| *line == item.line_total)?;
        subtotal = subtotal.plus(line).ok()?;
    }
    let tax = Money::sum(currency, order.totals.tax_lines.iter().map(|line| line.amount)).ok()?;
    if subtotal != order.totals.subtotal || tax != order.totals.tax {
        return None;
    }
    subtotal.minus(order.totals.discount_total).ok()?.plus(order.totals.shipping).ok()?.plus(tax).ok()
}

/// I16: public states follow the graph, and the history ends where the order stands.
fn history_is_legal(books: &Books, findings: &mut Findings) {
    findings.begin("I16");
    for order in &books.orders {
        let statuses: Vec<Status> = order.history.iter().map(|step| step.status).collect();
        let begins = statuses.first() == Some(&Status::Pending);
        let follows = statuses.windows(2).all(|pair| match pair {
            [Status::Pending, to] => matches!(to, Status::AwaitingPayment | Status::Confirmed | Status::Cancelled),
            [Status::AwaitingPayment, to] => matches!(to, Status::Confirmed | Status::Cancelled),
            [Status::Confirmed, to] => *to == Status::Cancelled,
            _ => false,
        });
        let ends = statuses.last() == Some(&order.stage.status());
        findings.expect(begins && follows && ends, || "its history is no path of the graph".to_owned(), &[order]);
    }
}

/// I19: each order has its cart version for itself, and each cart version that made an order has that order.
fn one_order_a_cart_version(books: &Books, findings: &mut Findings) {
    findings.begin("I19");
    let mut by_version: HashMap<String, &Order> = HashMap::new();
    let checkouts: HashMap<String, &Checkout> =
        books.checkouts.iter().map(|it| (Checkout::key_of(it.cart, it.version), it)).collect();
    for order in &books.orders {
        let key = Checkout::key_of(order.cart_id, order.cart_version);
        if let Some(other) = by_version.insert(key.clone(), order) {
            findings.add("one cart version made two orders", &[other, order]);
        }
        let known = checkouts.get(&key).is_some_and(|checkout| checkout.order == Some(order.id));
        findings.expect(known, || "its cart version does not know it".to_owned(), &[order]);
    }
    let orders = books.orders_by_id();
    for checkout in &books.checkouts {
        let made = checkout.order.is_none_or(|id| orders.contains_key(&id));
        findings.expect(made, || "the order that it made is missing".to_owned(), &[checkout]);
    }
}

/// I17: whatever is on its way, an open order has a deadline that is not long past.
fn no_order_is_late(books: &Books, findings: &mut Findings) {
    findings.begin("I17");
    for order in books.orders.iter().filter(|order| order.stage.is_open()) {
        let in_time = order.deadline.is_some_and(|deadline| deadline.plus(LATE) > books.now);
        findings.expect(in_time, || "it is open, and its deadline is past".to_owned(), &[order]);
    }
}

/// I17: at rest an order has ended, or waits for its shopper; a freeze belongs to such an order.
fn every_order_ends(books: &Books, findings: &mut Findings) {
    findings.begin("I17");
    for order in &books.orders {
        let waits = matches!(order.stage, Stage::AwaitingPayment { .. });
        let what = || "it neither ends nor waits for anybody".to_owned();
        findings.expect(!order.stage.is_open() || waits, what, &[order]);
    }
    let orders = books.orders_by_id();
    for cart in &books.carts {
        let Some(frozen) = &cart.frozen else { continue };
        let order = orders.get(&frozen.order);
        let settled_soon = frozen.ask_at.plus(Duration::from_secs(30)) > books.now;
        let held = order.map_or(settled_soon, |order| order.stage.is_open());
        findings.expect(held, || "it is frozen for an order that has ended".to_owned(), &[cart, &order]);
    }
}

/// I19, the cart's half: at rest the cart of an open order is frozen for it as it was ordered, and what was ordered once
/// cannot be ordered again.
fn carts_are_sold_once(books: &Books, findings: &mut Findings) {
    findings.begin("I19");
    let carts: HashMap<CartId, &Cart> = books.carts.iter().map(|cart| (cart.id, cart)).collect();
    for order in &books.orders {
        let cart = carts.get(&order.cart_id);
        let agrees = cart.is_some_and(|cart| {
            if order.stage.is_open() {
                cart.is_frozen_for(order.id) && cart.version == order.cart_version
            } else {
                cart.version > order.cart_version
            }
        });
        findings.expect(agrees, || "order and cart do not agree".to_owned(), &[order, &cart]);
    }
}

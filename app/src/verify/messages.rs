//! I20, I21, I23: events are delivered, nothing is a dead letter, and each confirmed order is told once.

use std::collections::HashMap;
use std::time::Duration;

use cartwright_notification::{Notification, Occasion};
use cartwright_order::domain::Stage;
use cartwright_vocabulary::OrderId;

use super::{Books, Findings};

/// How long an event may be on its way.
const ON_ITS_WAY: Duration = Duration::from_secs(120);

pub(super) fn check(books: &Books, findings: &mut Findings) {
    all_delivered(books, findings);
    findings.begin("I21");
    for letter in &books.dead_letters {
        findings.add(format!("{} could not apply {}", letter.consumer, letter.event.name), &[letter]);
    }
    if books.quiet {
        told_once(books, findings);
    }
}

/// I20: no event waits for long.
fn all_delivered(books: &Books, findings: &mut Findings) {
    findings.begin("I20");
    let late = books.unsent.iter().filter(|event| event.time.plus(ON_ITS_WAY) < books.now);
    let count = late.clone().count();
    if let Some(oldest) = late.min_by_key(|event| event.time) {
        findings.add(format!("{count} events wait to be delivered for more than two minutes"), &[oldest]);
    }
}

/// I23: exactly one confirmation for each order that was ever confirmed, none for others.
fn told_once(books: &Books, findings: &mut Findings) {
    findings.begin("I23");
    let mut all: HashMap<OrderId, usize> = HashMap::new();
    for order in books.notifications.iter().filter_map(confirms) {
        *all.entry(order).or_insert(0) += 1;
    }
    for order in &books.orders {
        let was_confirmed = order.stage == Stage::Confirmed
            || order.history.iter().any(|step| step.status == cartwright_order::domain::Status::Confirmed);
        let told = all.remove(&order.id).unwrap_or(0);
        let what = || format!("it was told of its confirmation {told} times");
        findings.expect(told == usize::from(was_confirmed), what, &[order]);
    }
    for order in all.keys() {
        findings.add(format!("{order} was told of its confirmation and does not exist"), &[]);
    }
}

fn confirms(notification: &Notification) -> Option<OrderId> {
    match notification.occasion {
        Occasion::OrderConfirmed { order, .. } => Some(order),
        Occasion::Registered { .. }
        | Occasion::OrderCancelled { .. }
        | Occasion::Refunded { .. }
        | Occasion::Asked { .. } => None,
    }
}

//! I20, I21, I23: events are delivered, nothing is a dead letter, and each confirmed order is told once.

use cartwright_notification::{Notification, Occasion};
use cartwright_order::domain::Stage;
use cartwright_vocabulary::OrderId;

use super::{Books, Findings};

pub(super) fn check(books: &Books, findings: &mut Findings) {
    findings.begin("I21");
    for letter in &books.dead_letters {
        findings.add(format!("{} could not apply {}", letter.consumer, letter.event.name), &[letter]);
    }
    if books.quiet {
        told_once(books, findings);
    }
}

/// I23: exactly one confirmation for each order that was ever confirmed, none for others.
fn told_once(books: &Books, findings: &mut Findings) {
    findings.begin("I23");
    for order in &books.orders {
        let was_confirmed = order.stage == Stage::Confirmed
            || order.history.iter().any(|step| step.status == cartwright_order::domain::Status::Confirmed);
        let told = books.notifications.iter().filter(|it| confirms(it) == Some(order.id)).count();
        let what = || format!("it was told of its confirmation {told} times");
        findings.expect(told == usize::from(was_confirmed), what, &[order]);
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

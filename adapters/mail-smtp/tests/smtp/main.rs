//! Mail against a real mail server, which the test starts itself, and against a folder.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails by panicking")]

mod folder;
mod over_smtp;
mod server;

use cartwright_notification::Mail;
use cartwright_vocabulary::NotificationId;
use uuid::Uuid;

/// A mail to `to` about message number `number`, written so many minutes after half past nine.
fn mail(to: &str, number: u128) -> Mail {
    let notification = NotificationId::new(Uuid::from_u128(number));
    Mail {
        notification,
        message_id: format!("{notification}@tea.example"),
        from_name: "Tea, \"Cups\" & Söhne".to_owned(),
        from: "shop@tea.example".parse().unwrap(),
        to: to.parse().unwrap(),
        subject: "Your order CW-1001 is confirmed – danke!".to_owned(),
        text: format!("Grüße,\n.\n2 × tea: 25.00 USD\n{}\n", "long ".repeat(300)),
        html: "<p>Grüße, <strong>25.00 USD</strong></p>".to_owned(),
        date: format!("2026-11-22T09:{:02}:00Z", 30 + number % 30).parse().unwrap(),
    }
}

//! Events in, mails out.

use std::time::Duration;

use cartwright_contracts::{CancelReason, OrderCancelled, OrderConfirmed, PaymentRefunded, UserRegistered};
use cartwright_notification::{MailError, Status};
use cartwright_vocabulary::{CartId, Currency, Money, OrderId, PaymentId, RefundId};
use uuid::Uuid;

use crate::desk::{ADA, Desk, ORDER, Post, STRANGER, until};

const CART: CartId = CartId::new(Uuid::from_u128(3));

const fn confirmed() -> OrderConfirmed {
    OrderConfirmed { order: ORDER, user: ADA, cart: CART }
}

const fn cancelled(reason: CancelReason) -> OrderCancelled {
    OrderCancelled { order: ORDER, user: ADA, cart: CART, reason }
}

const fn refunded(refund: u128) -> PaymentRefunded {
    PaymentRefunded {
        order: ORDER,
        payment: PaymentId::new(Uuid::from_u128(4)),
        refund: RefundId::new(Uuid::from_u128(refund)),
        amount: Money::from_minor(1250, Currency::USD),
    }
}

#[tokio::test]
async fn each_occasion_makes_one_mail_however_often_and_in_whatever_order_its_event_arrives() {
    for first in 0..4 {
        let desk = Desk::new().await;
        // Twice round, so that each event is also heard again as another event about the same occasion.
        for place in first..first + 8 {
            match place % 4 {
                0 => desk.hear(&UserRegistered { user: ADA }).await,
                1 => desk.hear(&confirmed()).await,
                2 => desk.hear(&cancelled(CancelReason::ByCustomer)).await,
                _ => desk.hear(&refunded(1)).await,
            }
        }
        desk.settle().await;
        let mut templates: Vec<String> =
            desk.notifications().await.iter().map(|message| message.occasion.template().to_owned()).collect();
        templates.sort();
        assert_eq!(templates, ["order-cancelled", "order-confirmed", "refund", "welcome"]);
        assert_eq!(desk.mails().len(), 4);
        assert!(desk.notifications().await.iter().all(|message| message.status == Status::Sent));
    }
}

#[tokio::test]
async fn a_confirmation_tells_number_items_and_total_to_the_address_of_the_order() {
    let desk = Desk::new().await;
    desk.hear(&confirmed()).await;
    desk.settle().await;

    let [mail] = desk.mails().try_into().unwrap();
    assert_eq!(mail.to.as_str(), "gifts@example.com");
    assert_eq!((mail.from.as_str(), mail.from_name.as_str()), ("shop@tea.example", "Tea & Cups"));
    assert_eq!(mail.subject, "Your order CW-1001 at Tea & Cups is confirmed");
    for told in [
        "order CW-1001",
        "2 x Green tea & honey at 12.50 USD: 25.00 USD\n1 x Cup at 9.99 USD: 9.99 USD\n",
        "Goods: 34.99 USD\nDiscount: -3.50 USD\nShipping: 4.90 USD\nTax: 2.60 USD\nTotal: 38.99 USD\n",
        "Charles\n12 Dorset Street\nW1U 6QS London\nGB\n",
    ] {
        assert!(mail.text.contains(told), "{told:?} is not in\n{}", mail.text);
    }
    for told in ["<strong>CW-1001</strong>", "Green tea &amp; honey", "<strong>38.99 USD</strong>"] {
        assert!(mail.html.contains(told), "{told:?} is not in\n{}", mail.html);
    }
    assert!(!mail.html.contains("src="), "nothing is loaded from elsewhere");
}

#[tokio::test]
async fn every_cancelled_order_is_told_with_its_reason_in_words() {
    for (reason, words) in [
        (CancelReason::OutOfStock, "no longer in stock"),
        (CancelReason::PaymentDeclined, "The payment was declined."),
        (CancelReason::PaymentExpired, "It was not paid in time."),
        (CancelReason::ByCustomer, "You asked us to cancel it."),
        (CancelReason::ByAdmin, "We had to cancel it."),
    ] {
        let desk = Desk::new().await;
        desk.hear(&cancelled(reason)).await;
        desk.settle().await;
        let [mail] = desk.mails().try_into().unwrap();
        assert_eq!(mail.subject, "Your order CW-1001 at Tea & Cups was cancelled");
        assert!(mail.text.contains(words) && mail.html.contains(words), "{}", mail.text);
        assert!(mail.text.contains("2 x Green tea & honey") && mail.text.contains("38.99 USD"), "{}", mail.text);
    }
}

#[tokio::test]
async fn each_refund_is_told_with_its_amount() {
    let desk = Desk::new().await;
    desk.hear(&refunded(1)).await;
    desk.hear(&refunded(2)).await;
    desk.settle().await;
    assert_eq!(desk.mails().len(), 2);
    for mail in desk.mails() {
        assert_eq!(mail.subject, "12.50 USD for your order CW-1001 goes back to you");
        assert!(mail.text.contains("12.50 USD") && mail.text.contains("CW-1001"), "{}", mail.text);
    }
    assert!(desk.notifications().await.iter().all(|message| message.user == Some(ADA)), "learnt from the order");
}

#[tokio::test]
async fn a_new_customer_is_welcomed_by_name() {
    let desk = Desk::new().await;
    desk.hear(&UserRegistered { user: ADA }).await;
    desk.settle().await;
    let [mail] = desk.mails().try_into().unwrap();
    assert_eq!((mail.to.as_str(), mail.subject.as_str()), ("ada@example.com", "Welcome to Tea & Cups"));
    assert!(mail.text.starts_with("Hello Ada <Byron>,"), "{}", mail.text);
    assert!(mail.html.contains("Hello Ada &lt;Byron&gt;,"), "{}", mail.html);
}

#[tokio::test]
async fn a_mail_that_is_not_taken_now_is_tried_later_as_the_same_mail() {
    let desk = Desk::new().await;
    let busy = || Err(MailError::Temporary("451 try again".to_owned()));
    desk.post.answers.lock().unwrap().extend([busy(), busy()]);
    desk.hear(&confirmed()).await;

    desk.tried(1).await;
    let [message] = desk.notifications().await.try_into().unwrap();
    assert_eq!((message.status, message.last_error.as_deref()), (Status::Queued, Some("451 try again")));
    let written = desk.clock.now();
    desk.clock.advance(Duration::from_secs(10));
    desk.tried(2).await;
    desk.clock.advance(Duration::from_secs(20));
    desk.settle().await;

    let [message] = desk.notifications().await.try_into().unwrap();
    assert_eq!((message.status, message.attempts), (Status::Sent, 3));
    assert_eq!(message.sent_at, Some(desk.clock.now()));
    let [mail] = desk.mails().try_into().unwrap();
    assert_eq!((mail.date, mail.message_id), (written, format!("{}@tea.example", message.id)));
}

#[tokio::test]
async fn a_refused_mail_and_a_person_or_order_that_nobody_knows_end_as_failed() {
    let desk = Desk::new().await;
    desk.post.answers.lock().unwrap().push_back(Err(MailError::Refused("550 no such mailbox".to_owned())));
    desk.hear(&confirmed()).await;
    desk.settle().await;
    desk.hear(&UserRegistered { user: STRANGER }).await;
    let unknown = OrderId::new(Uuid::from_u128(99));
    desk.hear(&OrderConfirmed { order: unknown, ..confirmed() }).await;
    desk.settle().await;

    assert!(desk.mails().is_empty());
    let mut errors: Vec<String> =
        desk.notifications().await.into_iter().map(|message| message.last_error.unwrap()).collect();
    errors.sort();
    let unknown = format!("there is no order {unknown}");
    assert_eq!(errors, ["550 no such mailbox", &format!("nobody knows how to reach {STRANGER}"), &unknown]);
    assert!(desk.notifications().await.iter().all(|it| it.status == Status::Failed && it.attempts == 1));
}

#[tokio::test]
async fn a_peer_that_is_away_delays_a_mail_and_loses_none() {
    let desk = Desk::new().await;
    *desk.peers.away.lock().unwrap() = true;
    desk.hear(&confirmed()).await;
    desk.tried(1).await;
    *desk.peers.away.lock().unwrap() = false;
    desk.clock.advance(Duration::from_secs(10));
    desk.settle().await;
    assert_eq!(desk.mails().len(), 1);
}

#[tokio::test]
async fn a_mail_whose_sending_was_not_recorded_before_a_crash_is_sent_again_under_the_same_id() {
    let desk = Desk::new().await;
    *desk.post.crashes.lock().unwrap() = Some(desk.backend.clone());
    desk.hear(&confirmed()).await;
    until("the mail was taken", || async { !desk.mails().is_empty() }).await;

    let restarted = Desk::on(desk.backend.crash(), Post::default()).await;
    restarted.settle().await;
    restarted.hear(&confirmed()).await;

    let ([before], [after]): ([_; 1], [_; 1]) =
        (desk.mails().try_into().unwrap(), restarted.mails().try_into().unwrap());
    assert_eq!((&before.message_id, before.date), (&after.message_id, after.date));
    let [message] = restarted.notifications().await.try_into().unwrap();
    assert_eq!(message.status, Status::Sent);
}

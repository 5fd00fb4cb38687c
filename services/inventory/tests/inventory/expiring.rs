//! Holds whose time is over: direct ones end, those of orders end only by their order.

use std::time::Duration;

use crate::warehouse::{Warehouse, confirmed, created, order, product};
use cartwright_contracts::OrderState;
use cartwright_inventory::documents::ReservationState;
use serde_json::json;

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_reservation_made_by_name_ends_after_its_time_and_not_before() {
    let shop = Warehouse::new().await.with_stock(product(1), 5).await;
    let item = json!({"productId": product(1), "quantity": 2});
    let made = shop.post("service", "/reserve-items", json!({"orderId": "o", "items": [item], "ttlSeconds": 60})).await;
    assert_eq!(made.status, 201);

    shop.clock.advance(MINUTE);
    shop.work().await;
    assert_eq!(shop.counts(product(1)).await, (3, 2, 0, 0));

    shop.clock.advance(Duration::from_millis(1));
    shop.work().await;
    assert_eq!(shop.counts(product(1)).await, (5, 0, 0, 0));
    assert_eq!(shop.reservation("o").await.unwrap().state(), ReservationState::Expired);
    shop.check().await.unwrap();
}

#[tokio::test]
async fn more_overdue_reservations_than_fit_a_page_all_end_in_one_round() {
    let shop = Warehouse::new().await.with_stock(product(1), 250).await;
    for number in 0..250 {
        assert_eq!(shop.reserve(&format!("o{number}"), &[(product(1), 1)]).await.status, 201);
    }

    shop.clock.advance(MINUTE * 16);
    shop.work().await;

    assert_eq!(shop.counts(product(1)).await, (250, 0, 0, 0));
}

async fn overdue_order() -> Warehouse {
    let shop = Warehouse::new().await.with_stock(product(1), 5).await;
    shop.tell(&created(order(1), &[(product(1), 2)])).await;
    shop.clock.advance(MINUTE * 18);
    shop
}

#[tokio::test]
async fn the_hold_of_an_open_order_is_extended() {
    let shop = overdue_order().await;
    shop.orders.is(order(1), OrderState::Open);

    shop.work().await;

    let hold = shop.reservation(&order(1).to_string()).await.unwrap();
    assert_eq!(hold.state(), ReservationState::Held);
    assert!(hold.expires_at() > shop.clock.now());
    assert_eq!(shop.counts(product(1)).await, (3, 2, 0, 0));
}

#[tokio::test]
async fn the_hold_of_a_cancelled_or_unknown_order_is_given_back() {
    for state in [Some(OrderState::Cancelled), None] {
        let shop = overdue_order().await;
        if let Some(state) = state {
            shop.orders.is(order(1), state);
        }

        shop.work().await;

        assert_eq!(shop.state(order(1)).await, Some(ReservationState::Released), "{state:?}");
        assert_eq!(shop.counts(product(1)).await, (5, 0, 0, 0));
    }
}

#[tokio::test]
async fn the_hold_of_a_confirmed_order_waits_for_its_event() {
    let shop = overdue_order().await;
    shop.orders.is(order(1), OrderState::Confirmed);

    shop.work().await;
    assert_eq!(shop.counts(product(1)).await, (3, 2, 0, 0));

    shop.tell(&confirmed(order(1))).await;
    assert_eq!(shop.counts(product(1)).await, (3, 0, 2, 0));
}

#[tokio::test]
async fn a_hold_is_kept_while_order_does_not_answer_and_direct_ones_still_end() {
    let shop = overdue_order().await;
    assert_eq!(shop.reserve("direct", &[(product(1), 1)]).await.status, 201);
    shop.clock.advance(MINUTE * 16);
    shop.orders.away(true);

    shop.work().await;
    assert_eq!(shop.counts(product(1)).await, (3, 2, 0, 0));

    shop.orders.away(false);
    shop.work().await;
    assert_eq!(shop.counts(product(1)).await, (5, 0, 0, 0));
}

#[tokio::test]
async fn a_hold_within_its_time_is_not_asked_about() {
    let shop = Warehouse::new().await.with_stock(product(1), 5).await;
    shop.tell(&created(order(1), &[(product(1), 2)])).await;
    shop.clock.advance(MINUTE * 16);

    shop.work().await;

    assert_eq!(shop.state(order(1)).await, Some(ReservationState::Held));
}

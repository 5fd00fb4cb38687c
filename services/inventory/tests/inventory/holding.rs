//! Who gets what is there: every line or none, each unit once, however many ask at the same moment.

use crate::warehouse::{Warehouse, created, listed, order, product};
use axum::http::StatusCode;
use cartwright_contracts::{LevelChanged, StockRefused, StockReserved};
use cartwright_inventory::documents::ReservationState;
use futures::future::join_all;

#[tokio::test]
async fn the_last_unit_is_held_for_one_of_two_buyers() {
    let shop = Warehouse::new().await.with_stock(product(1), 1).await;

    let (one, two) = (created(order(1), &[(product(1), 1)]), created(order(2), &[(product(1), 1)]));
    tokio::join!(shop.tell(&one), shop.tell(&two));

    assert_eq!(shop.events::<StockReserved>().await.len(), 1);
    assert_eq!(shop.events::<StockRefused>().await.len(), 1);
    assert_eq!(shop.counts(product(1)).await, (0, 1, 0, 0));
    shop.check().await.unwrap();
}

#[tokio::test]
async fn of_a_hundred_orders_for_thirty_units_thirty_get_one() {
    let shop = Warehouse::new().await.with_stock(product(1), 30).await;

    let events: Vec<_> = (0..100).map(|number| created(order(number), &[(product(1), 1)])).collect();
    join_all(events.iter().map(|event| shop.tell(event))).await;

    assert_eq!(shop.events::<StockReserved>().await.len(), 30);
    assert_eq!(shop.events::<StockRefused>().await.len(), 70);
    assert_eq!(shop.counts(product(1)).await, (0, 30, 0, 0));
    shop.check().await.unwrap();
}

#[tokio::test]
async fn orders_that_name_the_same_products_in_any_order_all_come_to_an_end() {
    let shop = Warehouse::new().await.with_stock(product(1), 20).await.with_stock(product(2), 20).await;

    let lines = |number: u128| {
        let (first, second) = if number.is_multiple_of(2) { (1, 2) } else { (2, 1) };
        [(product(first), 1), (product(second), 1)]
    };
    let events: Vec<_> = (0..40).map(|number| created(order(number), &lines(number))).collect();
    join_all(events.iter().map(|event| shop.tell(event))).await;

    assert_eq!(shop.counts(product(1)).await, (0, 20, 0, 0));
    assert_eq!(shop.counts(product(2)).await, (0, 20, 0, 0));
    shop.check().await.unwrap();
}

#[tokio::test]
async fn an_order_with_one_missing_line_holds_nothing_and_learns_what_is_missing() {
    let shop = Warehouse::new().await.with_stock(product(1), 5).await.with_stock(product(2), 1).await;
    let revision = shop.store.get::<cartwright_inventory::documents::StockLevel>(product(1).to_string()).await;

    shop.tell(&created(order(1), &[(product(1), 5), (product(2), 2), (product(3), 1)])).await;

    let refused = shop.events::<StockRefused>().await;
    let missing: Vec<_> = refused[0].missing.iter().map(|it| (it.product, it.wanted, it.available)).collect();
    assert_eq!(missing, [(product(2), 2, 1), (product(3), 1, 0)]);
    let untouched = shop.store.get::<cartwright_inventory::documents::StockLevel>(product(1).to_string()).await;
    assert_eq!(untouched.unwrap(), revision.unwrap());
    assert_eq!(shop.state(order(1)).await, Some(ReservationState::Refused));
}

#[tokio::test]
async fn a_refusal_is_remembered_when_stock_arrives_later() {
    let shop = Warehouse::new().await;
    shop.tell(&created(order(1), &[(product(1), 1)])).await;

    shop.tell(&listed(product(1), Some(5))).await;
    shop.tell(&created(order(1), &[(product(1), 1)])).await;

    assert_eq!(shop.counts(product(1)).await, (5, 0, 0, 0));
    assert!(shop.events::<StockReserved>().await.is_empty());
}

#[tokio::test]
async fn lines_of_the_same_product_count_together() {
    let shop = Warehouse::new().await.with_stock(product(1), 5).await;

    shop.tell(&created(order(1), &[(product(1), 3), (product(1), 3)])).await;
    assert_eq!(shop.state(order(1)).await, Some(ReservationState::Refused));

    let both = shop.reserve("by-name", &[(product(1), 2), (product(1), 3)]).await;
    assert_eq!(both.status, StatusCode::CREATED);
    assert_eq!(shop.counts(product(1)).await, (0, 5, 0, 0));
    shop.check().await.unwrap();
}

#[tokio::test]
async fn a_change_of_what_is_available_is_announced_with_a_rising_version() {
    let shop = Warehouse::new().await.with_stock(product(1), 5).await;

    shop.tell(&created(order(1), &[(product(1), 2)])).await;
    shop.tell(&crate::warehouse::confirmed(order(1))).await;
    shop.tell(&crate::warehouse::cancelled(order(1))).await;

    let told = shop.events::<LevelChanged>().await;
    assert_eq!(told.iter().map(|it| it.available).collect::<Vec<_>>(), [5, 3, 5]);
    assert!(told.is_sorted_by(|earlier, later| earlier.version < later.version));
}

#[tokio::test]
async fn opening_stock_counts_once_whichever_news_of_the_product_comes_first() {
    let shop = Warehouse::new().await;

    shop.tell(&listed(product(1), None)).await;
    assert_eq!(shop.counts(product(1)).await, (0, 0, 0, 0));
    shop.tell(&listed(product(1), Some(7))).await;
    shop.tell(&listed(product(1), Some(9))).await;
    shop.tell(&listed(product(1), None)).await;

    assert_eq!(shop.counts(product(1)).await, (7, 0, 0, 0));
    shop.check().await.unwrap();
}

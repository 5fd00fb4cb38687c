//! Events come in any order and more than once; the end is always the same.

use crate::warehouse::{Warehouse, cancelled, confirmed, created, order, product};
use cartwright_inventory::documents::ReservationState;
use cartwright_store::Envelope;

/// What is delivered of an order's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    Created,
    Confirmed,
    Cancelled,
}

impl News {
    fn envelope(self, shop: &Warehouse) -> Envelope {
        match self {
            Self::Created => shop.envelope(&created(order(1), &[(product(1), 2), (product(2), 1)])),
            Self::Confirmed => shop.envelope(&confirmed(order(1))),
            Self::Cancelled => shop.envelope(&cancelled(order(1))),
        }
    }
}

/// Every order of `items`.
fn permutations<T: Copy>(items: &[T]) -> Vec<Vec<T>> {
    if items.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (at, first) in items.iter().enumerate() {
        let rest: Vec<T> = items.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, item)| *item).collect();
        all.extend(permutations(&rest).into_iter().map(|tail| [vec![*first], tail].concat()));
    }
    all
}

async fn warehouse_of_ten() -> Warehouse {
    Warehouse::new().await.with_stock(product(1), 10).await.with_stock(product(2), 10).await
}

/// Delivers `news` in each order, the same events again (`again`) or as new events of the same meaning, and gives how
/// often each end came out.
async fn every_order_of(
    news: &[News],
    again: bool,
    ends_well: impl Fn(Option<ReservationState>, (u32, u32, u64, u64)) -> bool,
) {
    let doubled = [news, news].concat();
    let mut tried = std::collections::HashSet::new();
    for sequence in permutations(&doubled) {
        if !tried.insert(format!("{sequence:?}")) {
            continue;
        }
        let shop = warehouse_of_ten().await;
        let originals: Vec<(News, Envelope)> = news.iter().map(|it| (*it, it.envelope(&shop))).collect();
        for delivered in &sequence {
            let same = originals.iter().find(|(it, _)| it == delivered).map(|(_, envelope)| envelope.clone());
            shop.deliver(&if again { same.unwrap() } else { delivered.envelope(&shop) }).await;
        }
        let (state, counts) = (shop.state(order(1)).await, shop.counts(product(1)).await);
        assert!(ends_well(state, counts), "{sequence:?} ended as {state:?} with {counts:?}");
        shop.check().await.unwrap_or_else(|wrong| panic!("{sequence:?}: {wrong}"));
    }
}

fn is_sold(state: Option<ReservationState>, counts: (u32, u32, u64, u64)) -> bool {
    state == Some(ReservationState::Committed) && counts == (8, 0, 2, 0)
}

/// Nothing is held, and whatever was sold came back.
fn is_given_back(state: Option<ReservationState>, (available, held, sold, returned): (u32, u32, u64, u64)) -> bool {
    let ended = match state {
        Some(ReservationState::Committed) => sold == 2,
        Some(ReservationState::Released | ReservationState::CancelledAhead) => sold == 0,
        Some(
            ReservationState::Held
            | ReservationState::Expired
            | ReservationState::Refused
            | ReservationState::ConfirmedAhead,
        )
        | None => false,
    };
    ended && available == 10 && held == 0 && sold == returned
}

#[tokio::test]
async fn a_confirmed_order_is_sold_in_any_order_of_delivery() {
    for again in [true, false] {
        every_order_of(&[News::Created, News::Confirmed], again, is_sold).await;
    }
}

#[tokio::test]
async fn a_cancelled_order_holds_nothing_in_any_order_of_delivery() {
    for again in [true, false] {
        every_order_of(&[News::Created, News::Cancelled], again, is_given_back).await;
    }
}

#[tokio::test]
async fn an_order_confirmed_and_then_cancelled_is_restocked_in_any_order_of_delivery() {
    for again in [true, false] {
        every_order_of(&[News::Created, News::Confirmed, News::Cancelled], again, is_given_back).await;
    }
}

#[tokio::test]
async fn an_end_told_at_the_same_moment_as_the_beginning_is_not_lost() {
    for round in 0..50 {
        let shop = warehouse_of_ten().await;
        let (beginning, end) = (News::Created.envelope(&shop), News::Cancelled.envelope(&shop));
        if round % 2 == 0 {
            tokio::join!(shop.deliver(&beginning), shop.deliver(&end));
        } else {
            tokio::join!(shop.deliver(&end), shop.deliver(&beginning));
        }
        assert!(is_given_back(shop.state(order(1)).await, shop.counts(product(1)).await), "{round}");
    }
}

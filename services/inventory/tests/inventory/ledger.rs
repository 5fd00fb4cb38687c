//! Whatever is done, and in whatever order: the counters balance, the ledger adds up, and reservations agree with both.

use std::time::Duration;

use crate::warehouse::{Warehouse, cancelled, confirmed, created, listed, order, product};
use cartwright_contracts::OrderState;
use proptest::prelude::*;
use serde_json::json;

/// Something that may happen to a warehouse. Numbers name one of a few products, orders and names, so that they meet.
#[derive(Clone, Debug)]
enum Happening {
    Listed { product: u128, opening: Option<u32> },
    Created { order: u128, lines: Vec<(u128, u32)> },
    Confirmed { order: u128 },
    Cancelled { order: u128 },
    Adjusted { product: u128, delta: i64 },
    Counted { product: u128, on_hand: u32 },
    Reserved { name: u8, lines: Vec<(u128, u32)> },
    ReservedAsOrder { order: u128, lines: Vec<(u128, u32)> },
    Released { name: u8 },
    Committed { name: u8 },
    TimePassed { minutes: u64 },
}

fn happening() -> impl Strategy<Value = Happening> {
    let product = || 0_u128..4;
    let order = || 0_u128..8;
    let lines = || prop::collection::vec((0_u128..4, 1_u32..6), 1..4);
    prop_oneof![
        1 => (product(), prop::option::of(0_u32..20)).prop_map(|(product, opening)| Happening::Listed { product, opening }),
        4 => (order(), lines()).prop_map(|(order, lines)| Happening::Created { order, lines }),
        3 => order().prop_map(|order| Happening::Confirmed { order }),
        3 => order().prop_map(|order| Happening::Cancelled { order }),
        2 => (product(), -10_i64..20).prop_map(|(product, delta)| Happening::Adjusted { product, delta }),
        1 => (product(), 0_u32..30).prop_map(|(product, on_hand)| Happening::Counted { product, on_hand }),
        3 => (0_u8..6, lines()).prop_map(|(name, lines)| Happening::Reserved { name, lines }),
        1 => (order(), lines()).prop_map(|(order, lines)| Happening::ReservedAsOrder { order, lines }),
        2 => (0_u8..6).prop_map(|name| Happening::Released { name }),
        2 => (0_u8..6).prop_map(|name| Happening::Committed { name }),
        1 => (1_u64..20).prop_map(|minutes| Happening::TimePassed { minutes }),
    ]
}

fn of(lines: &[(u128, u32)]) -> Vec<(cartwright_vocabulary::ProductId, u32)> {
    lines.iter().map(|(number, quantity)| (product(*number), *quantity)).collect()
}

async fn happen(shop: &Warehouse, happening: &Happening) {
    match happening {
        Happening::Listed { product: number, opening } => shop.tell(&listed(product(*number), *opening)).await,
        Happening::Created { order: number, lines } => shop.tell(&created(order(*number), &of(lines))).await,
        Happening::Confirmed { order: number } => shop.tell(&confirmed(order(*number))).await,
        Happening::Cancelled { order: number } => {
            shop.orders.is(order(*number), OrderState::Cancelled);
            shop.tell(&cancelled(order(*number))).await;
        }
        Happening::Adjusted { product: number, delta } => {
            let body = json!({"productId": product(*number), "delta": delta, "reason": "a count"});
            let reply = shop.post("admin", "/update-inventory", body).await;
            assert!([200, 404, 409].contains(&reply.status.as_u16()), "{}", reply.body);
        }
        Happening::Counted { product: number, on_hand } => {
            let body = json!({"productId": product(*number), "onHand": on_hand, "reason": "a count"});
            let reply = shop.post("admin", "/update-inventory", body).await;
            assert!([200, 404, 409].contains(&reply.status.as_u16()), "{}", reply.body);
        }
        Happening::Reserved { name, lines } => {
            let reply = shop.reserve(&format!("name-{name}"), &of(lines)).await;
            assert!([201, 404, 409].contains(&reply.status.as_u16()), "{}", reply.body);
        }
        Happening::ReservedAsOrder { order: number, lines } => {
            let reply = shop.reserve(&order(*number).to_string(), &of(lines)).await;
            assert!([201, 404, 409].contains(&reply.status.as_u16()), "{}", reply.body);
        }
        Happening::Released { name } => {
            let reply = shop.post("service", "/release-items", json!({"orderId": format!("name-{name}")})).await;
            assert!([200, 404, 409].contains(&reply.status.as_u16()), "{}", reply.body);
        }
        Happening::Committed { name } => {
            let reply = shop.post("service", "/commit-items", json!({"orderId": format!("name-{name}")})).await;
            assert!([200, 404, 409].contains(&reply.status.as_u16()), "{}", reply.body);
        }
        Happening::TimePassed { minutes } => {
            shop.clock.advance(Duration::from_secs(60 * minutes));
            shop.work().await;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_ledger_explains_every_level(happenings in prop::collection::vec(happening(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let checked: Result<(), String> = runtime.block_on(async {
            let shop = Warehouse::new().await.with_stock(product(0), 10).await.with_stock(product(1), 10).await;
            for (at, next) in happenings.iter().enumerate() {
                happen(&shop, next).await;
                shop.check().await.map_err(|wrong| format!("after {at} {next:?}: {wrong}"))?;
            }
            Ok(())
        });
        prop_assert!(checked.is_ok(), "{checked:?}");
    }
}

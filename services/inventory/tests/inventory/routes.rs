//! Inventory's routes: who may call them, what they answer, what they refuse.

use crate::warehouse::{Warehouse, created, order, product};
use cartwright_inventory::documents::ReservationState;
use serde_json::{Value, json};

async fn shop() -> Warehouse {
    Warehouse::new().await.with_stock(product(1), 5).await.with_stock(product(2), 0).await
}

#[tokio::test]
async fn anyone_may_ask_what_is_there() {
    let shop = shop().await;
    shop.tell(&created(order(1), &[(product(1), 2)])).await;
    let expected = json!([
        {"productId": product(1), "onHand": 5, "reserved": 2, "available": 3, "status": "low_stock"},
        {"productId": product(2), "onHand": 0, "reserved": 0, "available": 0, "status": "out_of_stock"},
    ]);

    let got = shop.get("", &format!("/check-stock?productId={},{}", product(1), product(2))).await;
    assert_eq!((got.status.as_u16(), &got.body["items"]), (200, &expected));

    let items = json!({"items": [{"productId": product(1), "quantity": 9}, {"productId": product(2)}]});
    assert_eq!(shop.post("", "/check-stock", items).await.body["items"], expected);
    let ids = json!({"productIds": [product(1), product(2)]});
    assert_eq!(shop.post("", "/check-stock", ids).await.body["items"], expected);
}

#[tokio::test]
async fn peers_get_the_stock_of_each_product_in_their_order() {
    let shop = shop().await;
    let stock = shop.stock.availability(&[product(9), product(1)]).await.unwrap();
    assert_eq!(
        stock.iter().map(|it| (it.product, it.available)).collect::<Vec<_>>(),
        [(product(9), 0), (product(1), 5)]
    );
}

#[tokio::test]
async fn an_unknown_product_is_named_in_the_refusal() {
    let shop = shop().await;
    for unknown in [product(7).to_string(), "nonsense".to_owned()] {
        let item = json!({"productId": unknown, "quantity": 1});
        let replies = [
            shop.get("", &format!("/check-stock?productId={unknown}")).await,
            shop.get("admin", &format!("/movements?productId={unknown}")).await,
            shop.post("", "/check-stock", json!({"productIds": [product(1), unknown]})).await,
            shop.post("admin", "/update-inventory", json!({"productId": unknown, "delta": 1, "reason": "r"})).await,
            shop.post("service", "/reserve-items", json!({"orderId": "o", "items": [item]})).await,
        ];
        for reply in replies {
            assert_eq!((reply.status.as_u16(), reply.body["code"].as_str()), (404, Some("product_unknown")));
        }
    }
    assert_eq!(shop.counts(product(1)).await, (5, 0, 0, 0));
}

#[tokio::test]
async fn every_route_that_changes_something_is_closed_to_shoppers() {
    let shop = shop().await;
    let reserve = json!({"orderId": "o", "items": [{"productId": product(1), "quantity": 1}]});
    let update = json!({"productId": product(1), "delta": -5, "reason": "theft"});
    let routes = [
        ("/update-inventory", update.clone()),
        ("/reserve-items", reserve),
        ("/release-items", json!({"orderId": "o"})),
        ("/commit-items", json!({"orderId": "o"})),
    ];
    for (route, body) in routes {
        assert_eq!(shop.post("", route, body.clone()).await.status, 401, "{route}");
        for badge in ["guest", "customer"] {
            assert_eq!(shop.post(badge, route, body.clone()).await.status, 403, "{route} {badge}");
        }
    }
    assert_eq!(shop.post("service", "/update-inventory", update).await.status, 403);
    assert_eq!(shop.get("service", &format!("/movements?productId={}", product(1))).await.status, 403);
    assert_eq!(shop.counts(product(1)).await, (5, 0, 0, 0));
}

#[tokio::test]
async fn stock_never_falls_below_what_is_reserved() {
    let shop = shop().await;
    shop.tell(&created(order(1), &[(product(1), 2)])).await;
    let update = |field: &str, value: i64| {
        let mut body = json!({"productId": product(1), "reason": "a count"});
        body[field] = value.into();
        body
    };

    for refused in [update("delta", -4), update("onHand", 1)] {
        let reply = shop.post("admin", "/update-inventory", refused).await;
        assert_eq!((reply.status.as_u16(), reply.body["code"].as_str()), (409, Some("insufficient_stock")));
        assert_eq!((&reply.body["onHand"], &reply.body["reserved"]), (&json!(5), &json!(2)));
    }
    let reply = shop.post("admin", "/update-inventory", update("onHand", 2)).await;
    assert_eq!((reply.status.as_u16(), &reply.body["available"]), (200, &json!(0)));
    let reply = shop.post("admin", "/update-inventory", update("delta", 7)).await;
    assert_eq!((&reply.body["onHand"], &reply.body["available"]), (&json!(9), &json!(7)));
    shop.check().await.unwrap();
}

#[tokio::test]
async fn a_malformed_adjustment_is_refused_with_a_pointer() {
    let shop = shop().await;
    let cases = [
        (json!({"delta": 1, "onHand": 1, "reason": "r"}), "/onHand"),
        (json!({"reason": "r"}), "/delta"),
        (json!({"delta": 1.5, "reason": "r"}), "/delta"),
        (json!({"delta": 1e9, "reason": "r"}), "/delta"),
        (json!({"delta": "2", "reason": "r"}), "/delta"),
        (json!({"delta": i64::MIN, "reason": "r"}), "/delta"),
        (json!({"onHand": -1, "reason": "r"}), "/onHand"),
        (json!({"onHand": 4_000_000_000_u32, "reason": "r"}), "/onHand"),
        (json!({"delta": 1, "reason": " "}), "/reason"),
    ];
    for (mut body, pointer) in cases {
        body["productId"] = json!(product(1));
        let reply = shop.post("admin", "/update-inventory", body.clone()).await;
        assert_eq!((reply.status.as_u16(), &reply.body["errors"][0]["pointer"]), (400, &json!(pointer)), "{body}");
    }
    assert_eq!(shop.counts(product(1)).await, (5, 0, 0, 0));
}

#[tokio::test]
async fn a_quantity_that_is_none_is_refused_with_a_pointer() {
    let shop = shop().await;
    for wrong in [json!(0), json!(-1), json!(1.5), json!(1e9), json!("2"), Value::Null, json!(1000)] {
        let item = json!({"productId": product(1), "quantity": wrong});
        let reply = shop.post("service", "/reserve-items", json!({"orderId": "o", "items": [item]})).await;
        assert_eq!(
            (reply.status.as_u16(), &reply.body["errors"][0]["pointer"]),
            (400, &json!("/items/0/quantity")),
            "{wrong}"
        );
    }
    assert_eq!(shop.counts(product(1)).await, (5, 0, 0, 0));
}

#[tokio::test]
async fn a_refused_reservation_says_what_is_missing() {
    let shop = shop().await;
    let reply = shop.reserve("o", &[(product(1), 6), (product(2), 1)]).await;
    assert_eq!((reply.status.as_u16(), reply.body["code"].as_str()), (409, Some("out_of_stock")));
    let missing = json!([
        {"productId": product(1), "wanted": 6, "available": 5},
        {"productId": product(2), "wanted": 1, "available": 0},
    ]);
    assert_eq!(reply.body["items"], missing);
    assert!(shop.reservation("o").await.is_none());
}

#[tokio::test]
async fn the_same_reservation_sent_twice_holds_once() {
    let shop = shop().await;
    let first = shop.reserve("o", &[(product(1), 2)]).await;
    let second = shop.reserve("o", &[(product(1), 2)]).await;
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (201, 201));
    assert_eq!(first.body, second.body);
    assert_eq!(first.body["reservationId"], "o");
    assert_eq!(shop.reserve("o", &[(product(1), 3)]).await.body["code"], "reserved_differently");
    assert_eq!(shop.counts(product(1)).await, (3, 2, 0, 0));
}

#[tokio::test]
async fn a_keyed_adjustment_is_made_once_and_its_key_fits_no_other() {
    let shop = shop().await;
    let body = |delta: i64| json!({"productId": product(1), "delta": delta, "reason": "delivery"});
    let send = |delta| shop.send("admin", "POST", "/update-inventory", Some("a-key-of-16-chars"), Some(body(delta)));

    let (first, second, other) = (send(3).await, send(3).await, send(4).await);

    assert_eq!((first.replayed, second.replayed), (false, true));
    assert_eq!(first.body, second.body);
    assert_eq!((other.status.as_u16(), other.body["code"].as_str()), (422, Some("idempotency_key_reused")));
    assert_eq!(shop.counts(product(1)).await, (8, 0, 0, 0));
}

#[tokio::test]
async fn a_reservation_ends_once_and_says_so_again() {
    let shop = shop().await;
    for (name, right, wrong) in
        [("sold", "/commit-items", "/release-items"), ("back", "/release-items", "/commit-items")]
    {
        assert_eq!(shop.reserve(name, &[(product(1), 1)]).await.status, 201);
        let end = json!({"orderId": name});
        let first = shop.post("service", right, end.clone()).await;
        let again = shop.post("admin", right, end.clone()).await;
        assert_eq!((first.status.as_u16(), again.status.as_u16()), (200, 200));
        assert_eq!(first.body, again.body);
        assert_eq!(shop.post("service", wrong, end).await.body["code"], "reservation_ended");
        assert_eq!(shop.reserve(name, &[(product(1), 1)]).await.body["code"], "reservation_ended");
    }
    assert_eq!(
        shop.post("service", "/release-items", json!({"orderId": "never"})).await.body["code"],
        "reservation_unknown"
    );
    assert_eq!(shop.counts(product(1)).await, (4, 0, 1, 0));
    shop.check().await.unwrap();
}

#[tokio::test]
async fn the_hold_of_a_placed_order_is_not_ended_by_hand() {
    let shop = shop().await;
    shop.tell(&created(order(1), &[(product(1), 2)])).await;
    for route in ["/release-items", "/commit-items"] {
        let reply = shop.post("admin", route, json!({"orderId": order(1)})).await;
        assert_eq!((reply.status.as_u16(), reply.body["code"].as_str()), (409, Some("order_decides")));
    }
    assert_eq!(shop.state(order(1)).await, Some(ReservationState::Held));
}

#[tokio::test]
async fn the_ledger_is_read_newest_first_page_by_page() {
    let shop = shop().await;
    for delta in [1, -2, 3] {
        shop.clock.advance(std::time::Duration::from_secs(1));
        let body = json!({"productId": product(1), "delta": delta, "reason": format!("step {delta}")});
        assert_eq!(shop.post("admin", "/update-inventory", body).await.status, 200);
    }
    let path = format!("/movements?productId={}&limit=3", product(1));

    let first = shop.get("admin", &path).await;
    let deltas = |page: &Value| -> Vec<i64> {
        page["items"].as_array().unwrap().iter().map(|it| it["delta"].as_i64().unwrap()).collect()
    };
    assert_eq!(deltas(&first.body), [3, -2, 1]);
    assert_eq!(first.body["items"][1]["kind"], "written_off");

    let cursor = first.body["nextCursor"].as_str().unwrap();
    let second = shop.get("admin", &format!("{path}&cursor={cursor}")).await;
    assert_eq!(deltas(&second.body), [5]);
    assert_eq!(second.body["items"][0]["kind"], "opening");
    assert!(second.body.get("nextCursor").is_none());
    assert_eq!(shop.get("admin", &format!("{path}&cursor=nonsense")).await.status, 400);
}

//! Two of a service are one: what happens at one of them, shoppers of the other one see.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use cartwright::callers::GATEWAY;
use cartwright::role::Role;
use cartwright_testkit::EventStream;
use serde_json::json;

use crate::calls::{Caller, until};
use crate::town::{Evidence, Town, plan, redis};

/// How soon a logout is heard of everywhere.
const LOGGED_OUT_WITHIN: Duration = Duration::from_secs(5);
/// How soon a change is seen in a browser.
const SEEN_WITHIN: Duration = Duration::from_secs(1);

/// A request of somebody logged in, as the gateway hands it on.
fn request(method: &str, path: &str, caller: &Caller, body: Option<serde_json::Value>) -> Request<Body> {
    let request =
        Request::builder().method(method).uri(path).header("authorization", format!("Bearer {}", caller.token));
    let request = request.header("content-type", "application/json");
    request.body(body.map_or_else(Body::empty, |body| Body::from(body.to_string()))).unwrap()
}

#[tokio::test]
async fn a_browser_at_one_instance_sees_within_a_second_what_was_changed_at_the_other() {
    let folder = Evidence::new();
    let (plan, _redis) = redis(plan(&folder).await).await;
    let town = Town::open(plan.two_of(Role::Cart).lay_out()).await;
    let eve = town.guest().await;
    let path = format!("/events/{}", eve.id);
    let stream = town.cluster.ask(GATEWAY, "cart-2", false, request("GET", &path, &eve, None)).await.unwrap();
    assert_eq!(stream.status(), 200);
    let mut events = EventStream::new(stream.into_body());
    assert_eq!(events.next().await.unwrap().1["items"], json!([]), "the cart as it is now comes first");

    for units in 1..=3 {
        let body = json!({"productId": town.products[0], "quantity": 1});
        let add = request("POST", "/add-to-cart", &eve, Some(body));
        let added = town.cluster.ask(GATEWAY, "cart-1", false, add).await.unwrap();
        assert_eq!(added.status(), 200);
        let watch = town.clock.stopwatch();
        let (name, cart) = events.next().await.unwrap();
        let took = watch.elapsed();
        assert_eq!((name.as_str(), &cart["items"][0]["quantity"]), ("cart", &json!(units)), "{cart}");
        println!("seen {took:?} after the answer");
        assert!(took < SEEN_WITHIN, "{took:?}");
    }
}

#[tokio::test]
async fn who_logs_out_at_one_instance_of_auth_is_logged_out_everywhere_within_five_seconds() {
    let folder = Evidence::new();
    let (plan, _redis) = redis(plan(&folder).await).await;
    let town = Town::open(plan.two_of(Role::Auth).lay_out()).await;
    let eve = town.guest().await;
    let (cart, orders) = (format!("/get-cart/{}", eve.id), format!("/orders/{}", eve.id));
    let doors = [
        ("auth-1", "/me"),
        ("auth-2", "/me"),
        ("cart-1", cart.as_str()),
        ("product-1", "/products/prd_01a2148295b972f795e1e875726e5380"),
        ("inventory-1", "/movements"),
        ("payment-1", "/transactions"),
        ("order-1", orders.as_str()),
        ("notification-1", "/templates"),
    ];
    let status = async |name: &str, path: &str| {
        let method = if name == "product-1" { "DELETE" } else { "GET" };
        town.cluster.ask(GATEWAY, name, false, request(method, path, &eve, None)).await.unwrap().status().as_u16()
    };
    for (name, path) in doors {
        assert_ne!(status(name, path).await, 401, "{name} knows her");
    }

    let out = town.cluster.ask(GATEWAY, "auth-1", false, request("POST", "/logout", &eve, None)).await.unwrap();
    assert_eq!(out.status(), 204);
    let watch = town.clock.stopwatch();
    for (name, path) in doors {
        until(&format!("{name} refuses her"), async || (status(name, path).await == 401).then_some(())).await;
    }
    let took = watch.elapsed();
    println!("refused everywhere after {took:?}");
    assert!(took < LOGGED_OUT_WITHIN, "{took:?}");
}

//! A shop that moves from the embedded store to MongoDB and back.

use std::process::Stdio;
use std::time::Duration;

use cartwright_runtime::Clock;
use cartwright_servers::mongo;
use cartwright_testkit::{ProcessPlan, VerbOutput};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::calls::{Caller, order_body, text, until};
use crate::town::{Evidence, binary, own_database};

const END: Duration = Duration::from_secs(30);
/// After so many collections a migration is broken off.
const BROKEN_OFF_AFTER: usize = 8;

/// What the shop says of a shopper and of its shelves, as soon as its search index is made.
async fn account(shopper: &Caller) -> Vec<Value> {
    until("products are listed", async || {
        let listed = shopper.get("/products?limit=1").await["total"].as_u64()?;
        (listed == u64::try_from(cartwright_demo::catalogue().lines().count()).unwrap()).then_some(())
    })
    .await;
    let mut said = vec![shopper.cart().await, json!(shopper.orders().await)];
    for page in ["/products?limit=100", "/search?q=tea"] {
        said.push(shopper.get(page).await["items"].clone());
    }
    for order in said[1].as_array().unwrap().clone() {
        said.push(shopper.get(&format!("/payment/transactions?orderId={}", text(&order["_id"]))).await);
    }
    for product in said[2].as_array().unwrap().clone() {
        said.push(json!(shopper.stock(&text(&product["_id"])).await));
    }
    said
}

/// Three orders, one of them cancelled, and something in the cart.
async fn shops(base: &str) -> Caller {
    let anonymous = Caller::anonymous(base);
    let guest = anonymous.send(Method::POST, "/auth/guest", None, None).await.unwrap().expect(201);
    let shopper = anonymous.with_token(&text(&guest["token"]), &text(&guest["userId"]));
    let products = until("there is tea", async || {
        let found = shopper.get("/search?q=tea").await["items"].as_array()?.clone();
        (found.len() > 3).then_some(found)
    })
    .await;
    for product in products.iter().take(3) {
        add(&shopper, &text(&product["_id"])).await;
        let order = shopper.post("/order/create-order", &order_body("pm_card_visa")).await.expect(201);
        until("the cart is free", async || (shopper.cart().await["items"] == json!([])).then_some(())).await;
        if product == &products[0] {
            shopper.post(&format!("/order/{}/cancel", text(&order["_id"])), &json!({})).await.expect(200);
        }
    }
    add(&shopper, &text(&products[3]["_id"])).await;
    shopper
}

async fn add(shopper: &Caller, product: &str) {
    let body = json!({"productId": product, "quantity": 2});
    shopper.post("/cart/add-to-cart", &body).await.expect(200);
}

/// Runs a migration until it has told of some collections, and kills it.
async fn break_off(folder: &Evidence, data: &str, uri: &str) {
    let mut command = Command::new(binary());
    command.args(["migrate", "to-mongodb"]).env_clear().env("DATA_DIR", data).env("MONGODB_URI", uri);
    command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    for told in 0..BROKEN_OFF_AFTER {
        let line = Clock::system().timeout(END, lines.next_line()).await.unwrap().unwrap();
        line.unwrap_or_else(|| panic!("it ended after {told} collections"));
    }
    child.kill().await.unwrap();
}

#[track_caller]
fn refused(ended: &VerbOutput, sentence: &str) {
    assert!(ended.code == Some(1) && ended.err.contains(sentence), "{sentence}: {ended:?}");
}

#[track_caller]
fn same(now: Vec<Value>, then: Vec<Value>) {
    assert_eq!(now.len(), then.len());
    now.iter().zip(&then).for_each(|(now, then)| assert_eq!(now, then));
}

#[track_caller]
fn at_rest(verified: &VerbOutput) {
    let is_sound = verified.code == Some(0) && verified.out.contains("All of it holds.");
    assert!(is_sound && !verified.out.contains("busy"), "{verified:?}");
}

/// The numbers of documents: all, and those written now.
#[track_caller]
fn moved(ended: &VerbOutput) -> (u64, u64) {
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.err);
    let numbers: Vec<u64> = ended.out.split(' ').filter_map(|word| word.parse().ok()).collect();
    (numbers[0], numbers[1])
}

#[tokio::test]
async fn a_shop_moves_to_mongodb_and_back_and_says_the_same_at_every_place() {
    let folder = Evidence::new();
    let uri = own_database(&mongo::shared().await);
    let at = |name: &str| ProcessPlan::new(binary(), folder.path().join(name)).with("JWT_EXPIRES_IN", "7d").demo();
    let old = at("old");
    let on_mongo = old.clone().with("MONGODB_URI", &uri);
    let shared = old.data().to_str().unwrap().to_owned();

    let shop = old.start().await;
    let shopper = shops(&old.base()).await;
    refused(&on_mongo.verb(&["migrate", "to-mongodb"]).await, &format!("is open in process {}", shop.id()));
    until("nothing is on its way", async || {
        let verified = old.verb(&["verify"]).await;
        (!verified.out.contains("busy")).then_some(())
    })
    .await;
    let before = account(&shopper).await;
    shop.terminate();
    assert_eq!(shop.ended_within(END).await.code(), Some(0));

    let nowhere = at("nowhere").with("MONGODB_URI", &uri);
    refused(&nowhere.verb(&["migrate", "to-mongodb"]).await, "DATA_DIR is the folder of the shop to move");
    break_off(&folder, &shared, &uri).await;
    let (all, written) = moved(&on_mongo.verb(&["migrate", "to-mongodb"]).await);
    println!("{all} documents, {written} of them after it was broken off");
    assert!(0 < written && written < all, "{written} of {all}");
    assert_eq!(moved(&on_mongo.verb(&["migrate", "to-mongodb"]).await), (all, 0));

    let shop = on_mongo.start().await;
    same(account(&shopper).await, before);
    let order = shopper.post("/order/create-order", &order_body("pm_card_visa")).await.expect(201);
    assert_eq!(order["status"], "confirmed");
    until("the cart is free", async || (shopper.cart().await["items"] == json!([])).then_some(())).await;
    let back = at("new").with("SHARED_DIR", &shared);
    let to_embedded = back.clone().with("MONGODB_URI", &uri);
    refused(&to_embedded.verb(&["migrate", "to-embedded"]).await, "a shop runs on the MongoDB");
    // The checker waits until nothing is on its way.
    at_rest(&on_mongo.verb(&["verify"]).await);
    let after = account(&shopper).await;
    shop.terminate();
    assert_eq!(shop.ended_within(END).await.code(), Some(0));

    let ended = until("nobody is at work any more", async || {
        let ended = on_mongo.verb(&["migrate", "to-mongodb"]).await;
        (!ended.err.contains("wait ten seconds")).then_some(ended)
    })
    .await;
    refused(&ended, "the target holds something else");
    moved(&to_embedded.verb(&["migrate", "to-embedded"]).await);
    let shopper = shopper.at(&back.base());
    let shop = back.start().await;
    same(account(&shopper).await, after);
    shop.terminate();
    assert_eq!(shop.ended_within(END).await.code(), Some(0));
    at_rest(&back.verb(&["verify"]).await);
}

//! The main job on the program itself: from an empty folder to a paid order, over HTTP, and what a stop and a start leave.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod calls;

use std::path::Path;
use std::time::Duration;

use calls::{Caller, order_body, text, until};
use cartwright_payment_sandbox::{Effect, LEDGER_FILE, read_ledger};
use cartwright_testkit::{ProcessPlan, VerbOutput};
use futures::future::{join, join_all};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long an orderly end may take.
const END: Duration = Duration::from_secs(30);
/// How long a start on an existing store may take in a build that nobody optimised, beside other tests.
const START: Duration = Duration::from_secs(10);

fn plan(folder: &TempDir) -> ProcessPlan {
    ProcessPlan::new(env!("CARGO_BIN_EXE_cartwright"), folder.path().join("data"))
}

#[tokio::test]
async fn from_an_empty_folder_to_a_paid_order_and_over_a_restart() {
    let folder = TempDir::new().unwrap();
    let plan = plan(&folder).demo();
    let shop = plan.start().await;
    let (ada, goods) = filled_cart(shop.base()).await;
    let before = join_all(goods.iter().map(|(product, _)| ada.stock(product))).await;

    let quote = ada.post("/order/quote", &order_body("pm_card_visa")).await.expect(200);
    let order = ada.post("/order/create-order", &order_body("pm_card_visa")).await.expect(201);

    assert_eq!((&order["status"], &order["total"]), (&json!("confirmed"), &quote["total"]), "{order}");
    assert_eq!(order["items"], quote["items"]);
    for ((product, units), (on_hand, _)) in goods.iter().zip(before) {
        let sold = async || (ada.stock(product).await == (on_hand - units, 0)).then_some(());
        until("the stock is down", sold).await;
    }
    until("the cart is empty", async || (ada.cart().await["items"] == json!([])).then_some(())).await;
    money_was_taken_once(&ada, &order, plan.data()).await;
    until("the mail is there", async || tells_of(&plan.data().join("mail"), &order)).await;

    holds(&plan.verb(&["verify"]).await);
    admin_of_the_demo_gets_in(&plan).await;
    shop.terminate();
    assert_eq!(shop.ended_within(END).await.code(), Some(0));
    holds(&plan.verb(&["verify"]).await);

    let mut shop = plan.spawn();
    let start = shop.healthy().await.unwrap();
    println!("healthy {start:?} after a start on an existing store");
    assert!(start < START, "{start:?}");
    assert_eq!(ada.orders().await, vec![order]);
    assert_eq!(ada.cart().await["items"], json!([]));
    assert!(!plan.log().contains("panicked"), "{}", plan.log());
}

/// Somebody who registered, searched, and put three of what was found into the cart.
async fn filled_cart(base: &str) -> (Caller, Vec<(String, u64)>) {
    let anonymous = Caller::anonymous(base);
    let ada = json!({"email": "ada@example.com", "password": "a fine password 7", "name": "Ada"});
    let registered = anonymous.post("/auth/register", &ada).await.expect(201);
    let ada = anonymous.with_token(&text(&registered["token"]), &text(&registered["user"]["id"]));
    let found = until("tea is found", async || {
        let found = ada.get("/search?q=tea").await;
        (found["items"].as_array()?.len() >= 3).then_some(found)
    });
    let found = found.await;
    let goods: Vec<(String, u64)> =
        found["items"].as_array().unwrap().iter().take(3).map(|it| text(&it["_id"])).zip(1..).collect();
    for (product, units) in &goods {
        ada.post("/cart/add-to-cart", &json!({"productId": product, "quantity": units})).await.expect(200);
    }
    let cart = ada.cart().await;
    let held: Vec<(String, u64)> = cart["items"].as_array().unwrap().iter().map(line).collect();
    assert_eq!(held, goods);
    (ada, goods)
}

fn line(line: &Value) -> (String, u64) {
    (text(&line["productId"]), line["quantity"].as_u64().unwrap())
}

/// Our record and the provider's own agree: the order's total, once.
async fn money_was_taken_once(ada: &Caller, order: &Value, data: &Path) {
    let path = format!("/payment/transactions?orderId={}", text(&order["_id"]));
    until("the money is taken", async || {
        let transactions = ada.get(&path).await;
        let [taken] = transactions["items"].as_array()?.as_slice() else { panic!("not one payment: {transactions}") };
        assert_eq!((&taken["amount"], &taken["currency"]), (&order["total"], &order["currency"]));
        (taken["status"] == "captured").then_some(())
    })
    .await;
    let captured: Vec<_> = read_ledger(&data.join(LEDGER_FILE))
        .unwrap()
        .into_iter()
        .filter_map(|entry| if let Effect::Captured { amount } = entry.effect { Some(amount) } else { None })
        .collect();
    let [amount] = captured.as_slice() else { panic!("not one capture: {captured:?}") };
    let taken = (amount.to_string(), amount.currency().to_string());
    assert_eq!(taken, (decimal(&order["total"]), text(&order["currency"])));
}

/// Something, where one mail in `mailbox` tells of the order's number and total.
fn tells_of(mailbox: &Path, order: &Value) -> Option<()> {
    let number = text(&order["orderNumber"]);
    let mails = std::fs::read_dir(mailbox).unwrap().map(|it| std::fs::read_to_string(it.unwrap().path()).unwrap());
    let mails: Vec<String> =
        mails.filter(|mail| mail.contains(&format!("{number} at Cartwright is confirmed"))).collect();
    let mail = mails.first()?;
    assert_eq!(mails.len(), 1);
    let total = format!("Total: {} {}", decimal(&order["total"]), text(&order["currency"]));
    assert!(mail.contains(&total) && mail.contains("To: ada@example.com"), "{total} is missing in {mail}");
    Some(())
}

/// An amount of dollars as people read it.
fn decimal(amount: &Value) -> String {
    format!("{:.2}", amount.as_f64().unwrap())
}

#[track_caller]
fn holds(verified: &VerbOutput) {
    assert_eq!(verified.code, Some(0), "{}{}", verified.out, verified.err);
    assert!(verified.out.contains("All of it holds."), "{}", verified.out);
}

/// The login that the first start printed is good, and it is an admin's.
async fn admin_of_the_demo_gets_in(plan: &ProcessPlan) {
    let log = plan.log();
    let words: Vec<&str> = log.lines().find(|line| line.contains("shown this once")).unwrap().split(' ').collect();
    let after = |word: &str| words[words.iter().position(|it| *it == word).unwrap() + 1];
    let email = *words.iter().find(|word| word.contains('@')).unwrap();
    let login = json!({"email": email, "password": after("password")});
    let answer = Caller::anonymous(&plan.base()).post("/auth/login", &login).await.expect(200);
    assert_eq!(answer["user"]["role"], "admin");
}

#[tokio::test]
async fn a_shop_that_is_told_to_stop_answers_what_it_has_accepted_and_does_nothing_else() {
    let folder = TempDir::new().unwrap();
    let plan = plan(&folder).demo();
    let shop = plan.start().await;
    let (ada, goods) = filled_cart(shop.base()).await;
    let eve = guest(shop.base()).await;
    let product = &goods[0].0;

    let late = order_body("pm_sandbox_answersLate");
    let ordered = ada.post("/order/create-order", &late);
    let added = answered_adds(&eve, product);
    let stopped = async {
        until("the order is under way", async || {
            let orders = ada.orders().await;
            orders.first().filter(|order| order["status"] == "pending").map(drop)
        })
        .await;
        until("something is in the other cart", async || eve.cart().await["items"].get(0).map(drop)).await;
        shop.terminate();
        shop.ended_within(END).await
    };
    let ((ordered, added), status) = join(join(ordered, added), stopped).await;

    assert_eq!(status.code(), Some(0), "{}", plan.log());
    assert!([201, 202].contains(&ordered.status), "{ordered:?}");
    assert!(added > 0);
    let shop = plan.start().await;
    let cart = eve.cart().await;
    assert_eq!(line(&cart["items"][0]), (product.clone(), added), "what was not answered was not done");
    let path = format!("/order/{}", text(&ordered.body["_id"]));
    let confirmed = async || (ada.get(&path).await["status"] == "confirmed").then_some(());
    until("the order is confirmed", confirmed).await;
    shop.terminate();
    assert_eq!(shop.ended_within(END).await.code(), Some(0));
    holds(&plan.verb(&["verify"]).await);
}

async fn guest(base: &str) -> Caller {
    let anonymous = Caller::anonymous(base);
    let guest = anonymous.send(Method::POST, "/auth/guest", None, None).await.unwrap().expect(201);
    anonymous.with_token(&text(&guest["token"]), &text(&guest["userId"]))
}

/// Adds one unit of the product again and again, on several connections, until no more is taken. Gives the number of
/// adds that were answered.
async fn answered_adds(eve: &Caller, product: &str) -> u64 {
    let body = &json!({"productId": product, "quantity": 1});
    let connections = (0..4).map(async |_| {
        let mut answered = 0;
        // A line takes 999 units; the stop comes long before that.
        for _ in 0..240 {
            match eve.send(Method::POST, "/cart/add-to-cart", None, Some(body)).await {
                Ok(answer) if answer.status == 503 => {}
                Ok(answer) => {
                    answer.expect(200);
                    answered += 1;
                }
                Err(_) => return answered,
            }
        }
        answered
    });
    join_all(connections).await.into_iter().sum()
}

#[tokio::test]
async fn a_store_or_a_port_that_is_taken_is_told_in_a_sentence() {
    let folder = TempDir::new().unwrap();
    let plan = plan(&folder);
    let shop = plan.start().await;
    let port = shop.base().rsplit(':').next().unwrap().to_owned();

    let same_store = plan.verb(&["up", "--port", "0"]).await;
    assert_eq!(same_store.code, Some(1));
    assert!(same_store.err.contains(&format!("is open in process {}", shop.id())), "{same_store:?}");
    let other = folder.path().join("other");
    let same_port = plan.verb(&["up", "--port", &port, "--data-dir", other.to_str().unwrap()]).await;
    assert_eq!(same_port.code, Some(1));
    assert!(same_port.err.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{same_port:?}");
    assert!(same_port.err.contains("--port"), "it says how to mend it: {same_port:?}");
    for told in [same_store.err, same_port.err] {
        assert!(told.lines().count() == 1 && told.starts_with("cartwright: "), "one sentence: {told}");
    }
    assert_eq!(
        Caller::anonymous(shop.base()).get("/health").await["database"],
        "connected",
        "the first is not disturbed"
    );
}

const EXPORT: &str = "\
Handle,Title,Body (HTML),Vendor,Product Category,Published,Option1 Name,Option1 Value,Variant SKU,Variant Inventory Qty,Variant Price,Image Src,Status
tee,Organic Tee,<p>Soft.</p>,Plainweave,Clothing > Tops,true,Size,M,TEE-M,12,29.00,https://pictures.example/front.jpg,active
tee,,,,,,,L,TEE-L,3,31.50,,
mug,Stoneware Mug,<p>Holds tea.</p>,Atelier Brume,Kitchen,true,,,MUG-1,30,12.50,,active
gift,Gift Card,,,,true,,,GIFT-1,1,a lot,,active
";

#[tokio::test]
async fn what_the_operator_does_beside_a_running_shop_its_clients_see() {
    let folder = TempDir::new().unwrap();
    let plan = plan(&folder);
    let file = folder.path().join("products_export.csv");
    std::fs::write(&file, EXPORT).unwrap();
    let file = file.to_str().unwrap();
    let shop = plan.start().await;
    let anonymous = Caller::anonymous(shop.base());

    let imported = plan.verb(&["import", file]).await;
    assert_eq!(imported.code, Some(1), "a line was rejected: {imported:?}");
    assert!(imported.out.starts_with("3 created, 0 updated, 0 unchanged, 1 rejected\n  line 5: "), "{imported:?}");
    let mug = found(&anonymous, "stoneware").await;
    assert_eq!((decimal(&mug["price"]), &mug["sku"]), ("12.50".to_owned(), &json!("MUG-1")));
    let mug = text(&mug["_id"]);
    until("the mugs are on the shelf", async || (anonymous.stock(&mug).await == (30, 0)).then_some(())).await;

    let made = plan.verb_with(&["admin", "create", "anna@shop.example", "--password-stdin"], "correct horse\n").await;
    assert_eq!(made.code, Some(0), "{made:?}");
    let login = json!({"email": "anna@shop.example", "password": "correct horse"});
    assert_eq!(anonymous.post("/auth/login", &login).await.expect(200)["user"]["role"], "admin");
    let token = plan.verb(&["token", "service", "warehouse"]).await;
    assert_eq!(hold_two(&anonymous, &mug).await, 401);
    assert_eq!(hold_two(&anonymous.with_token(token.out.trim(), ""), &mug).await, 201);
    assert_eq!(anonymous.stock(&mug).await, (30, 2));

    let letters = plan.verb(&["dead-letters", "list"]).await;
    assert_eq!((letters.code, letters.out.as_str()), (Some(0), "No dead letters.\n"));
    let checked = plan.verb(&["check"]).await;
    assert!(checked.code == Some(0) && checked.out.contains("A shop runs on "), "{checked:?}");
    let printed: Value = serde_json::from_str(&plan.verb(&["openapi"]).await.out).unwrap();
    assert_eq!(
        printed["paths"],
        anonymous.get("/openapi.json").await["paths"],
        "the printed contract is the served one"
    );
}

#[tokio::test]
async fn what_the_operator_does_on_a_stopped_shop_is_there_at_its_start() {
    let folder = TempDir::new().unwrap();
    let plan = plan(&folder);

    let imported = plan.verb_with(&["import", "-", "--format", "shopify"], EXPORT).await;
    assert!(imported.out.starts_with("3 created, 0 updated, 0 unchanged, 1 rejected\n"), "{imported:?}");
    let made = plan.verb_with(&["admin", "create", "anna@shop.example", "--password-stdin"], "correct horse\n").await;
    assert_eq!(made.code, Some(0), "{made:?}");
    let token = plan.verb(&["token", "service", "warehouse"]).await;
    let checked = plan.verb(&["check"]).await;
    assert!(checked.code == Some(0) && checked.out.contains("No shop runs"), "{checked:?}");
    holds(&plan.verb(&["verify"]).await);

    let shop = plan.start().await;
    let anonymous = Caller::anonymous(shop.base());
    let mug = text(&found(&anonymous, "stoneware").await["_id"]);
    until("the mugs are on the shelf", async || (anonymous.stock(&mug).await == (30, 0)).then_some(())).await;
    let login = json!({"email": "anna@shop.example", "password": "correct horse"});
    anonymous.post("/auth/login", &login).await.expect(200);
    assert_eq!(hold_two(&anonymous.with_token(token.out.trim(), ""), &mug).await, 201);
}

/// Asks to hold two units as a service does, and gives the status of the answer.
async fn hold_two(caller: &Caller, product: &str) -> u16 {
    let items = json!([{"productId": product, "quantity": 2}]);
    let hold = json!({"orderId": "ord_0192f0c0ffee70008000000000000001", "items": items});
    caller.post("/inventory/reserve-items", &hold).await.status
}

/// The one product that a search finds, as soon as it does.
async fn found(caller: &Caller, words: &str) -> Value {
    until("the product is found", async || {
        let found = caller.get(&format!("/search?q={words}")).await;
        found["items"].as_array()?.first().cloned()
    })
    .await
}

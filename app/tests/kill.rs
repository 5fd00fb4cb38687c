//! `kill -9` at random moments under load: what was acknowledged is there afterwards, once, and every order ends.
//!
//! Each shopper repeats under its key what was not answered, and so knows exactly what the shop must hold. A careless one
//! repeats nothing, and knows bounds. `CARTWRIGHT_KILLS` and `CARTWRIGHT_SEED` make other runs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod calls;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use calls::{Caller, PATIENCE, order_body, text, until};
use cartwright_runtime::{Clock, Ids};
use cartwright_testkit::{ProcessPlan, Reply};
use futures::future::{join, join_all};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

const SHOPPERS: usize = 6;
const CARELESS: usize = 2;
const PRODUCTS: usize = 8;
const OPENING_STOCK: u64 = 1_000_000;
/// A process that came up lives this long at most.
const LIFE: Duration = Duration::from_millis(800);
/// One in so many processes is killed while it starts.
const DIES_EARLY: usize = 5;
/// One line of a cart takes 999 units; a careless shopper is somebody else before that.
const CARELESS_ADDS: u64 = 900;

const VISA: &str = "pm_card_visa";
const DECLINED: &str = "pm_card_chargeDeclined";
/// What orders are paid with, each as often as it stands here. The last two leave the shop to ask what became of them.
const CARDS: [&str; 12] = [
    VISA,
    VISA,
    VISA,
    VISA,
    VISA,
    VISA,
    VISA,
    VISA,
    DECLINED,
    DECLINED,
    "pm_sandbox_timeoutAfterCharge",
    "pm_sandbox_answersLate",
];

/// Units by product.
type Goods = BTreeMap<String, u64>;

#[tokio::test]
async fn what_was_acknowledged_outlives_fifty_kills() {
    outlives(kills(50)).await;
}

/// `CARTWRIGHT_KILLS` is how many.
#[tokio::test]
#[ignore = "takes half an hour; `cargo xtask prove` runs it"]
async fn prove_a_thousand_kills() {
    outlives(kills(1000)).await;
}

fn kills(default: usize) -> usize {
    std::env::var("CARTWRIGHT_KILLS").map_or(default, |text| text.parse().unwrap())
}

/// Shops under `kills` kills, lets the shop come to rest, and compares it with what its shoppers know.
async fn outlives(kills: usize) {
    let seed =
        std::env::var("CARTWRIGHT_SEED").map_or_else(|_| u64::from(std::process::id()), |it| it.parse().unwrap());
    let folder = Evidence { folder: TempDir::new().unwrap(), seed };
    let street = Street::open(&folder, seed).await;

    let shoppers = join_all((0..SHOPPERS).map(|number| Shopper::shop(&street, number)));
    let careless = join_all((0..CARELESS).map(|number| careless(&street, number)));
    let crowd = join(shoppers, careless);
    let (mut shop, (shoppers, careless)) = join(street.kill_and_start(kills), crowd).await;

    let everyone: Vec<&Known> = shoppers.iter().chain(careless.iter().flatten()).collect();
    let placed: usize = shoppers.iter().map(|it| it.orders.len()).sum();
    println!("{kills} kills, seed {seed}: {placed} orders, {} carts", everyone.len());
    assert!(placed >= kills / 4, "too little was done between the kills: {placed} orders");
    street.comes_to_rest(&shoppers).await;
    for known in everyone {
        known.is_what_the_shop_knows().await;
    }
    street.sold(&shoppers).await;
    street.told(&shoppers);
    assert!(shop.is_running());
    shop.terminate();
    assert_eq!(shop.ended_within(Duration::from_secs(30)).await.code(), Some(0));
    let verified = street.plan.verb(&["verify"]).await;
    assert_eq!(verified.code, Some(0), "{}{}", verified.out, verified.err);
    assert!(!street.plan.log().contains("panicked"), "{}", street.plan.log());
}

/// The folder of the shop's data, kept where the test fails.
struct Evidence {
    folder: TempDir,
    seed: u64,
}

impl Drop for Evidence {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.folder.disable_cleanup(true);
            let folder = self.folder.path().display();
            eprintln!("seed {}; the data is in {folder}/data, the shop's log is {folder}/data.log", self.seed);
        }
    }
}

/// A shop that dies and comes back, and those who shop there.
struct Street {
    plan: ProcessPlan,
    products: Vec<String>,
    ids: Ids,
    clock: Clock,
    closing: Cell<bool>,
}

impl Street {
    async fn open(evidence: &Evidence, seed: u64) -> Self {
        let plan = ProcessPlan::new(env!("CARGO_BIN_EXE_cartwright"), evidence.folder.path().join("data"));
        let plan = plan.with("JWT_EXPIRES_IN", "7d").with("LOG", "warn");
        let lines = (0..PRODUCTS).map(|number| {
            json!({"sku": format!("SKU-{number}"), "name": format!("Thing {number}"), "price": 3 + number,
                   "currency": "USD", "category": "Things", "openingStock": OPENING_STOCK})
            .to_string()
        });
        let catalogue = lines.collect::<Vec<_>>().join("\n");
        let imported = plan.verb_with(&["import", "-", "--format", "jsonl"], &catalogue).await;
        assert_eq!(imported.code, Some(0), "{imported:?}");
        let shop = plan.start().await;
        let anonymous = Caller::anonymous(&plan.base());
        let products = until("the products are listed", || async {
            let listed = anonymous.get("/products?limit=100").await;
            let products: Vec<String> = listed["items"].as_array()?.iter().map(|it| text(&it["_id"])).collect();
            (products.len() == PRODUCTS).then_some(products)
        })
        .await;
        shop.kill();
        let clock = Clock::system();
        Self { plan, products, ids: Ids::seeded(clock.clone(), seed), clock, closing: Cell::new(false) }
    }

    /// Starts the shop and kills it, `kills` times; then starts it for good and tells the shoppers to come to an end.
    async fn kill_and_start(&self, kills: usize) -> cartwright_testkit::ShopProcess {
        let mut start = Duration::from_secs(1);
        for _ in 0..kills {
            let mut shop = self.plan.spawn();
            if self.one_of(DIES_EARLY) == 0 {
                self.clock.pause(self.ids.jitter(start)).await;
            } else {
                start = shop.healthy().await.unwrap_or_else(|why| panic!("{why}\n{}", self.plan.log()));
                self.clock.pause(self.ids.jitter(LIFE)).await;
            }
            assert!(shop.is_running(), "the shop ended by itself:\n{}", self.plan.log());
            shop.kill();
        }
        let shop = self.plan.start().await;
        self.closing.set(true);
        shop
    }

    fn one_of(&self, count: usize) -> usize {
        usize::from(u16::from_le_bytes(self.ids.bytes::<2>())) % count
    }

    /// A guest, as soon as the shop is there to make one.
    async fn guest(&self) -> Caller {
        let anonymous = Caller::anonymous(&self.plan.base());
        let guest = until("a guest is let in", || async {
            let answer = anonymous.send(Method::POST, "/auth/guest", None, None).await.ok()?;
            (answer.status == 201).then_some(answer.body)
        });
        let guest = guest.await;
        anonymous.with_token(&text(&guest["token"]), &text(&guest["userId"]))
    }

    /// Every order has ended, and nothing is on its way.
    async fn comes_to_rest(&self, shoppers: &[Known]) {
        let watch = self.clock.stopwatch();
        for shopper in shoppers {
            until("all orders have ended", || async {
                let orders = shopper.caller.orders().await;
                let ended = |order: &Value| ["confirmed", "cancelled"].contains(&order["status"].as_str().unwrap());
                orders.iter().all(ended).then_some(())
            })
            .await;
        }
        loop {
            let verified = self.plan.verb(&["verify", "--json"]).await;
            let report: Value = serde_json::from_str(&verified.out).unwrap_or_else(|_| panic!("{verified:?}"));
            if verified.code == Some(0) && report["report"]["quiet"] == true {
                println!("at rest after {:?}: {}", watch.elapsed(), report["report"]["read"]);
                return;
            }
            assert!(watch.elapsed() < PATIENCE, "not at rest after {PATIENCE:?}: {report:#}");
        }
    }

    /// The shelves lack what stands on confirmed orders, no more and no less, and nothing is held.
    async fn sold(&self, shoppers: &[Known]) {
        let mut sold = Goods::new();
        for (_, order) in shoppers.iter().flat_map(|it| &it.orders).filter(|(_, order)| !order.cancelled) {
            order.goods.iter().for_each(|(product, units)| *sold.entry(product.clone()).or_default() += units);
        }
        let anonymous = Caller::anonymous(&self.plan.base());
        for product in &self.products {
            let left = OPENING_STOCK - sold.get(product).copied().unwrap_or(0);
            assert_eq!(anonymous.stock(product).await, (left, 0), "{product}");
        }
    }

    /// Each confirmed order was told of in one mail.
    fn told(&self, shoppers: &[Known]) {
        let mut mails: BTreeMap<String, usize> = BTreeMap::new();
        for file in std::fs::read_dir(self.plan.data().join("mail")).unwrap() {
            let path = file.unwrap().path();
            // What a process that was killed had begun to write is no mail yet.
            if path.extension() != Some("eml".as_ref()) {
                continue;
            }
            let mail = std::fs::read_to_string(path).unwrap();
            let subject = mail.lines().find_map(|line| line.strip_prefix("Subject: Your order ")).unwrap_or_default();
            if subject.contains("is confirmed") {
                *mails.entry(subject.split(' ').next().unwrap().to_owned()).or_default() += 1;
            }
        }
        for (id, order) in shoppers.iter().flat_map(|it| &it.orders) {
            let count = mails.get(&order.number).copied().unwrap_or(0);
            assert!(count == 1 || (order.cancelled && count == 0), "{count} mails tell of {id}, {}", order.number);
        }
    }
}

/// What one shopper knows of the shop for certain.
struct Known {
    caller: Caller,
    cart: Goods,
    /// Units of each product that may be in the cart beside those: they were asked for, and no answer came.
    perhaps: Goods,
    orders: BTreeMap<String, Bought>,
}

/// An order that was acknowledged.
struct Bought {
    number: String,
    goods: Goods,
    cancelled: bool,
}

impl Known {
    fn of(caller: Caller) -> Self {
        Self { caller, cart: Goods::new(), perhaps: Goods::new(), orders: BTreeMap::new() }
    }

    /// Compares all of it with what the shop says.
    async fn is_what_the_shop_knows(&self) {
        self.fits(&self.caller.cart().await);
        let orders = self.caller.orders().await;
        let told: BTreeSet<String> = orders.iter().map(|order| text(&order["_id"])).collect();
        let known: BTreeSet<String> = self.orders.keys().cloned().collect();
        assert_eq!(told, known, "the orders of {}", self.caller.id);
        assert_eq!(orders.len(), known.len(), "an order is listed twice");
        for order in &orders {
            let known = &self.orders[order["_id"].as_str().unwrap()];
            let status = if known.cancelled { "cancelled" } else { "confirmed" };
            assert_eq!((order["status"].as_str(), goods(order)), (Some(status), known.goods.clone()), "{order}");
        }
    }

    /// Whether `cart` holds what is known to be in it, and nothing that cannot be.
    #[track_caller]
    fn fits(&self, cart: &Value) {
        let held = goods(cart);
        let units = |goods: &Goods, product: &String| goods.get(product).copied().unwrap_or(0);
        for product in held.keys().chain(self.cart.keys()) {
            let least = units(&self.cart, product);
            let bounds = least..=least + units(&self.perhaps, product);
            assert!(bounds.contains(&units(&held, product)), "{product}: {bounds:?} are known of, in {cart}");
        }
    }
}

fn goods(document: &Value) -> Goods {
    let lines = document["items"].as_array().unwrap_or_else(|| panic!("no items: {document}"));
    lines.iter().map(|line| (text(&line["productId"]), line["quantity"].as_u64().unwrap())).collect()
}

/// Adds without keys, never asks twice, and remembers what was not answered.
async fn careless(street: &Street, number: usize) -> Vec<Known> {
    let product = &street.products[number % PRODUCTS];
    let body = json!({"productId": product, "quantity": 1});
    let mut all = Vec::new();
    while !street.closing.get() {
        let mut known = Known::of(street.guest().await);
        for _ in 0..CARELESS_ADDS {
            if street.closing.get() {
                break;
            }
            match known.caller.send(Method::POST, "/cart/add-to-cart", None, Some(&body)).await {
                Ok(answer) if answer.status < 500 => {
                    *known.cart.entry(product.clone()).or_default() += 1;
                    known.fits(&answer.expect(200)["cart"]);
                }
                Err(error) if error.is_connect() => street.clock.pause(Duration::from_millis(10)).await,
                Ok(_) | Err(_) => *known.perhaps.entry(product.clone()).or_default() += 1,
            }
        }
        all.push(known);
    }
    all
}

/// Fills carts and orders them, asking under the same key until there is an answer.
struct Shopper<'a> {
    street: &'a Street,
    known: Known,
}

impl<'a> Shopper<'a> {
    async fn shop(street: &'a Street, number: usize) -> Known {
        let mut shopper = Self { street, known: Known::of(street.guest().await) };
        for _ in 0..number {
            shopper.add().await;
        }
        while !street.closing.get() {
            shopper.add().await;
            if street.one_of(2) == 0 {
                shopper.order().await;
            }
        }
        shopper.known
    }

    async fn add(&mut self) {
        let product = self.street.products[self.street.one_of(PRODUCTS)].clone();
        let units = 1 + self.street.one_of(3) as u64;
        let body = json!({"productId": product, "quantity": units});
        let answer = self.insist("/cart/add-to-cart", &body).await.expect(200);
        *self.known.cart.entry(product).or_default() += units;
        self.known.fits(&answer["cart"]);
    }

    /// Orders the cart. One that was declined is paid with another card; some shoppers think better of it.
    async fn order(&mut self) {
        let card = CARDS[self.street.one_of(CARDS.len())];
        let answer = self.insist("/order/create-order", &order_body(card)).await;
        assert!([201, 202].contains(&answer.status), "{answer:?}");
        let (id, number) = (text(&answer.body["_id"]), text(&answer.body["orderNumber"]));
        assert_eq!(goods(&answer.body), self.known.cart, "the order is of another cart: {}", answer.body);
        let bought = Bought { number, goods: std::mem::take(&mut self.known.cart), cancelled: false };
        assert!(self.known.orders.insert(id.clone(), bought).is_none(), "{id} was made of two carts");
        if card == DECLINED {
            self.stands(&id, "awaiting_payment").await;
            let body = json!({"orderId": id, "paymentMethod": VISA});
            self.insist("/payment/process-payment", &body).await.expect(201);
        }
        self.stands(&id, "confirmed").await;
        if self.street.one_of(6) == 0 {
            self.insist(&format!("/order/{id}/cancel"), &json!({})).await.expect(200);
            self.known.orders.get_mut(&id).unwrap().cancelled = true;
        }
    }

    /// Waits until the order has this status.
    async fn stands(&self, id: &str, status: &str) {
        let path = format!("/order/{id}");
        until(&format!("{id} is {status}"), || async {
            let answer = self.known.caller.send(Method::GET, &path, None, None).await.ok()?;
            (answer.status == 200 && answer.body["status"] == status).then_some(())
        })
        .await;
    }

    /// The answer to a POST, which is sent under one key until it is given.
    async fn insist(&self, path: &str, body: &Value) -> Reply {
        let key = self.street.ids.uuid().to_string();
        let watch = self.street.clock.stopwatch();
        loop {
            let answer = self.known.caller.send(Method::POST, path, Some(&key), Some(body)).await;
            match answer {
                Ok(answer) if is_final(&answer) => return answer,
                Ok(_) | Err(_) if watch.elapsed() < PATIENCE => {}
                unanswered => panic!("no answer to {path} {body} in {PATIENCE:?}: {unanswered:?}"),
            }
            self.street.clock.pause(Duration::from_millis(15)).await;
        }
    }
}

/// Whether it says what became of the request, and not to try again.
fn is_final(answer: &Reply) -> bool {
    let later = ["cart_frozen", "request_in_progress", "payment_in_progress"];
    assert_ne!(answer.status, 500, "{answer:?}");
    answer.status < 500 && !answer.body["code"].as_str().is_some_and(|code| later.contains(&code))
}

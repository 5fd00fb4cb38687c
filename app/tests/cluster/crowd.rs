//! Shoppers who order all the time, remember what was acknowledged, and count what they should not have seen.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use cartwright_runtime::{Clock, Ids, Stopwatch};
use cartwright_testkit::Reply;
use futures::future::{join, join_all};
use reqwest::Method;
use serde_json::{Value, json};

use crate::calls::{Caller, PATIENCE, order_body, text, until};
use crate::town::Town;

/// How long is waited where an answer does not say how long.
const A_MOMENT: Duration = Duration::from_millis(50);
/// How often a gateway is asked whether it takes requests, as whoever balances gateways does.
const GATEWAYS_EVERY: Duration = Duration::from_millis(250);

/// A shopper's idea of what is no failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manners {
    /// Every answer but 503 with `Retry-After` has to be the one that was asked for.
    Strict,
    /// Repeats under the same key whatever was not answered, or with 500 and more.
    Insistent,
}

/// Who shops while something happens.
pub(crate) struct Crowd {
    bases: Vec<String>,
    products: Vec<String>,
    manners: Manners,
    ids: Ids,
    clock: Clock,
    watch: Stopwatch,
    closing: Cell<bool>,
    /// The gateways that take requests.
    open: RefCell<Vec<usize>>,
    turn: Cell<usize>,
    /// When each confirmed order was asked for, and when it was confirmed.
    confirmed: RefCell<Vec<(Duration, Duration)>>,
    failures: RefCell<Vec<String>>,
    refusals: Cell<usize>,
    guests: Vec<Caller>,
}

/// What one shopper knows.
pub(crate) struct Bought {
    caller: Caller,
    /// Units by order.
    orders: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Bought {
    /// One order of one unit of `product`.
    pub(crate) fn one(caller: Caller, order: &str, product: &str) -> Self {
        let goods = BTreeMap::from([(product.to_owned(), 1)]);
        Self { caller, orders: BTreeMap::from([(order.to_owned(), goods)]) }
    }

    /// Waits until every order is confirmed.
    pub(crate) async fn confirmed(&self) {
        for id in self.orders.keys() {
            let path = format!("/order/{id}");
            until(&format!("{id} is confirmed"), async || {
                (self.caller.get(&path).await["status"] == "confirmed").then_some(())
            })
            .await;
        }
    }
}

impl Crowd {
    /// `count` shoppers, who are let in now.
    pub(crate) async fn of(count: usize, manners: Manners, town: &Town) -> Self {
        let bases = town.cluster.bases();
        let guests = join_all((0..count).map(|_| town.guest())).await;
        let ids = Ids::random(town.clock.clone());
        Self {
            open: RefCell::new((0..bases.len()).collect()),
            bases,
            products: town.products.clone(),
            manners,
            ids,
            clock: town.clock.clone(),
            watch: town.clock.stopwatch(),
            closing: Cell::new(false),
            turn: Cell::new(0),
            confirmed: RefCell::default(),
            failures: RefCell::default(),
            refusals: Cell::new(0),
            guests,
        }
    }

    /// Shops until `script` has ended and every order has, too.
    pub(crate) async fn shops_while<T>(&self, script: impl Future<Output = T>) -> (Vec<Bought>, T) {
        let script = async {
            let result = script.await;
            self.closing.set(true);
            result
        };
        let shoppers = join_all(self.guests.iter().map(|guest| self.shop(guest.clone())));
        let ((bought, result), ()) = join(join(shoppers, script), self.watch_gateways()).await;
        let failures = self.failures.borrow();
        assert!(failures.is_empty(), "{} failures, the first: {}", failures.len(), failures[0]);
        println!("{} orders, {} times asked to come later", self.confirmed.borrow().len(), self.refusals.get());
        (bought, result)
    }

    /// The time since this crowd was made.
    pub(crate) fn now(&self) -> Duration {
        self.watch.elapsed()
    }

    /// Lets shoppers shop until `count` more orders were both asked for and confirmed from now on. Gives the time until then.
    pub(crate) async fn orders(&self, count: usize) -> Duration {
        let start = self.now();
        loop {
            let done = self.confirmed.borrow().iter().filter(|(asked, _)| *asked >= start).count();
            let took = self.now() - start;
            if done >= count {
                return took;
            }
            assert!(took < PATIENCE, "{done} orders in {took:?}; failures: {:?}", self.failures.borrow().first());
            self.clock.pause(A_MOMENT).await;
        }
    }

    /// The longest that any order took from the wish to its confirmation.
    pub(crate) fn slowest(&self) -> Duration {
        self.confirmed.borrow().iter().map(|(asked, done)| *done - *asked).max().unwrap_or_default()
    }

    /// How many orders were confirmed so far.
    pub(crate) fn count(&self) -> usize {
        self.confirmed.borrow().len()
    }

    /// How often somebody was asked to come again later.
    pub(crate) fn refusals(&self) -> usize {
        self.refusals.get()
    }

    /// Puts something into the cart of somebody who orders nothing.
    pub(crate) async fn adds(&self, caller: &Caller) {
        let body = json!({"productId": self.products[0], "quantity": 1});
        let _done = self.done(caller, "/cart/add-to-cart", &body, &[200]).await;
    }

    async fn shop(&self, caller: Caller) -> Bought {
        let mut bought = Bought { caller, orders: BTreeMap::new() };
        while !self.closing.get() {
            let asked = self.now();
            let mut goods = BTreeMap::new();
            for _ in 0..=usize::from(self.ids.bytes::<1>()[0] % 2) {
                let product = &self.products[usize::from(self.ids.bytes::<1>()[0]) % self.products.len()];
                let body = json!({"productId": product, "quantity": 1});
                let Some(_) = self.done(&bought.caller, "/cart/add-to-cart", &body, &[200]).await else {
                    return bought;
                };
                *goods.entry(product.clone()).or_default() += 1;
            }
            let body = order_body("pm_card_visa");
            let Some(order) = self.done(&bought.caller, "/order/create-order", &body, &[201, 202]).await else {
                return bought;
            };
            let id = text(&order["_id"]);
            assert!(bought.orders.insert(id.clone(), goods).is_none(), "{id} was made of two carts");
            self.confirmation(&bought.caller, &id, order).await;
            self.confirmed.borrow_mut().push((asked, self.now()));
        }
        bought
    }

    /// Waits until the order is confirmed.
    async fn confirmation(&self, caller: &Caller, id: &str, mut order: Value) {
        let watch = self.clock.stopwatch();
        while order["status"] != "confirmed" {
            assert_eq!(order["status"], "pending", "{order}");
            assert!(watch.elapsed() < PATIENCE, "{id} is not confirmed in {PATIENCE:?}: {order}");
            self.clock.pause(A_MOMENT).await;
            let answer = self.answered(caller, Method::GET, &format!("/order/{id}"), None, None).await;
            order = answer.map_or(order, |answer| answer.expect(200));
        }
    }

    /// The body of the answer to a POST under one key, where the status is one of `wanted`; otherwise it is a failure.
    async fn done(&self, caller: &Caller, path: &str, body: &Value, wanted: &[u16]) -> Option<Value> {
        let key = self.ids.uuid().to_string();
        let answer = self.answered(caller, Method::POST, path, Some(&key), Some(body)).await?;
        if wanted.contains(&answer.status) {
            return Some(answer.body);
        }
        self.fails(format!("{path}: {answer:?}"));
        None
    }

    /// The answer, as soon as there is one that is no request to come again.
    async fn answered(
        &self,
        caller: &Caller,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> Option<Reply> {
        let watch = self.clock.stopwatch();
        let mut last = String::new();
        while watch.elapsed() < PATIENCE {
            let answer = caller.at(&self.gateway()).send(method.clone(), path, key, body).await;
            let wait = match &answer {
                Ok(answer) if answer.status == 503 && retry_after(answer).is_some() => {
                    self.refusals.set(self.refusals.get() + 1);
                    retry_after(answer)
                }
                Ok(answer) if is_later(answer) => Some(A_MOMENT),
                Ok(answer) if answer.status >= 500 && self.manners == Manners::Insistent => Some(A_MOMENT),
                Ok(answer) => return Some(answer.clone()),
                // It never reached anybody.
                Err(error) if error.is_connect() => Some(A_MOMENT),
                Err(_) if self.manners == Manners::Insistent => Some(A_MOMENT),
                Err(_) => None,
            };
            last = format!("{answer:?}");
            let Some(wait) = wait else { break };
            self.clock.pause(wait).await;
        }
        self.fails(format!("{method} {path} after {:?} at {:?}: {last}", watch.elapsed(), self.now()));
        None
    }

    fn fails(&self, why: String) {
        eprintln!("a failure: {why}");
        self.failures.borrow_mut().push(why);
    }

    /// The gateway whose turn it is.
    fn gateway(&self) -> String {
        let open = self.open.borrow();
        let turn = self.turn.replace(self.turn.get().wrapping_add(1));
        let place = if open.is_empty() { 0 } else { open[turn % open.len()] };
        self.bases[place].clone()
    }

    /// Knows which gateways take requests. Where there is one there is nothing to choose.
    async fn watch_gateways(&self) {
        if self.bases.len() == 1 {
            return;
        }
        let client = reqwest::Client::builder().timeout(Duration::from_secs(1)).no_proxy().build().unwrap();
        while !self.closing.get() {
            let answers = join_all(self.bases.iter().map(|base| client.get(format!("{base}/readyz")).send())).await;
            let ready = answers.iter().map(|answer| answer.as_ref().is_ok_and(|answer| answer.status().is_success()));
            *self.open.borrow_mut() = ready.enumerate().filter(|(_, ready)| *ready).map(|(place, _)| place).collect();
            self.clock.pause(GATEWAYS_EVERY).await;
        }
    }
}

/// How long the answer asks to be waited.
fn retry_after(answer: &Reply) -> Option<Duration> {
    answer.header("retry-after").map(|text| Duration::from_secs(text.parse().unwrap()))
}

/// Whether it says that something of the same shopper is still under way.
fn is_later(answer: &Reply) -> bool {
    let later = ["cart_frozen", "request_in_progress", "payment_in_progress"];
    answer.body["code"].as_str().is_some_and(|code| later.contains(&code))
}

/// The shop knows every order that was acknowledged and no other; what stands on them was sold, once.
pub(crate) async fn nothing_is_lost(town: &Town, everyone: &[Bought]) {
    let mut sold: BTreeMap<&str, u64> = BTreeMap::new();
    for Bought { caller, orders } in everyone {
        let told = caller.orders().await;
        let ids: Vec<String> = told.iter().map(|order| text(&order["_id"])).collect();
        assert_eq!(ids.len(), orders.len(), "{ids:?} {orders:?}");
        for (order, id) in told.iter().zip(&ids) {
            assert_eq!(order["status"], "confirmed", "{order}");
            let lines = order["items"].as_array().unwrap().iter();
            let goods: BTreeMap<String, u64> =
                lines.map(|line| (text(&line["productId"]), line["quantity"].as_u64().unwrap())).collect();
            assert_eq!(Some(&goods), orders.get(id), "{order}");
        }
        orders.values().flatten().for_each(|(product, units)| *sold.entry(product).or_default() += units);
    }
    town.holds().await;
    let wanted: Vec<u64> = town.products.iter().map(|it| sold.get(it.as_str()).copied().unwrap_or(0)).collect();
    assert_eq!(town.sold().await, wanted);
}

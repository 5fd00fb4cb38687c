//! Servers and networks that fail while shoppers shop.

use std::time::Duration;

use cartwright_servers::mongo::ReplicaSet;
use futures::future::join_all;
use reqwest::Method;
use serde_json::json;

use crate::calls::{Caller, order_body, text, until};
use crate::crowd::{Bought, Crowd, Manners, nothing_is_lost};
use crate::town::{Evidence, Town, is_long, plan, plan_on, rabbitmq, redis};
use crate::wire::Wire;

/// How soon writes are back after the loss of a primary that is missed after a second.
const WRITES_BACK: Duration = Duration::from_secs(5);

/// How long an outage lasts.
fn outage() -> Duration {
    Duration::from_secs(if is_long() { 30 } else { 8 })
}

#[tokio::test]
async fn orders_are_taken_while_the_broker_is_away_until_too_much_waits_and_then_all_of_it_is_done_once() {
    const BOUND: usize = 12;
    let folder = Evidence::new();
    let (plan, mut rabbit) = rabbitmq(plan(&folder).await).await;
    let town = Town::open(plan.with("OUTBOX_MAX", BOUND.to_string()).lay_out()).await;
    let crowd = Crowd::of(2, Manners::Insistent, &town).await;
    // Before anybody shops: a node that is busy never says that its queues are on its disk.
    rabbit.kill().await;
    let (mut bought, taken) = crowd
        .shops_while(async {
            let watch = town.clock.stopwatch();
            let taken = orders_until_refused(&town).await;
            println!("{} orders were taken in {:?} without a broker", taken.len(), watch.elapsed());
            assert!(taken.len() >= BOUND / 2, "only {} orders were taken", taken.len());
            goes_on(&town).await;
            town.clock.pause(outage().saturating_sub(watch.elapsed())).await;
            rabbit.start_again().await;
            let back = town.clock.stopwatch();
            for taken in &taken {
                taken.confirmed().await;
            }
            println!("all of them were confirmed {:?} after the broker was back", back.elapsed());
            crowd.orders(2).await;
            taken
        })
        .await;
    bought.extend(taken);
    nothing_is_lost(&town, &bought).await;
}

/// Orders by one shopper each, until the shop takes no more.
async fn orders_until_refused(town: &Town) -> Vec<Bought> {
    let mut taken = Vec::new();
    for _ in 0..100 {
        let shopper = filled(town).await;
        let headers = [("prefer", "wait=0")];
        let answer = shopper
            .send_with(Method::POST, "/order/create-order", &headers, Some(&order_body("pm_card_visa")))
            .await
            .unwrap();
        if answer.status == 503 {
            assert!(answer.header("retry-after").is_some(), "{answer:?}");
            return taken;
        }
        let order = answer.expect(202);
        taken.push(Bought::one(shopper, &text(&order["_id"]), &town.products[0]));
    }
    panic!("the shop takes orders for ever");
}

/// Somebody with one thing in the cart.
async fn filled(town: &Town) -> Caller {
    let shopper = town.guest().await;
    let body = json!({"productId": town.products[0], "quantity": 1});
    shopper.post("/cart/add-to-cart", &body).await.expect(200);
    shopper
}

/// Everything but ordering works.
async fn goes_on(town: &Town) {
    let shopper = filled(town).await;
    assert_eq!(shopper.cart().await["items"][0]["quantity"], 1);
    assert_eq!(shopper.get("/products").await["items"].as_array().unwrap().len(), town.products.len());
    assert_eq!(shopper.get("/health").await["database"], "connected");
    assert!(shopper.orders().await.is_empty());
}

#[tokio::test]
async fn the_loss_of_the_primary_costs_no_acknowledged_write_and_without_any_node_the_shop_waits_for_one() {
    let folder = Evidence::new();
    let mut set = ReplicaSet::start(3).await;
    let (plan, _redis) = redis(plan_on(&folder, &set.uri())).await;
    let town = Town::open(plan.lay_out()).await;
    let crowd = Crowd::of(3, Manners::Insistent, &town).await;
    let (bought, ()) = crowd
        .shops_while(async {
            crowd.orders(6).await;
            let writer = town.guest().await;
            let lost = set.kill_primary().await;
            let watch = town.clock.stopwatch();
            crowd.adds(&writer).await;
            let back = watch.elapsed();
            crowd.orders(3).await;
            println!("writes are back {back:?} after the loss, and three orders confirmed after {:?}", watch.elapsed());
            assert!(back < WRITES_BACK, "{back:?}");
            town.cluster.healthy().await;
            set.start_again(lost).await;
            crowd.orders(3).await;

            (0..3).for_each(|node| set.kill(node));
            refuses_politely(&town).await;
            for node in 0..3 {
                set.start_again(node).await;
            }
            let healthy = town.cluster.healthy().await;
            let back = crowd.orders(1).await;
            println!("with all nodes back the shop is well after {healthy:?} and an order confirmed after {back:?}");
            crowd.orders(3).await;
        })
        .await;
    nothing_is_lost(&town, &bought).await;
}

/// Without a database: `/health` says so, and whoever asks is told to come again.
async fn refuses_politely(town: &Town) {
    let anonymous = Caller::anonymous(&town.cluster.base());
    until("the shop says that its database is away", async || {
        let health = anonymous.send(Method::GET, "/health", None, None).await.unwrap();
        (health.status == 503 && health.body["services"]["cart"]["database"] == "disconnected").then_some(())
    })
    .await;
    let requests = [
        (Method::POST, "/auth/guest"),
        (Method::GET, "/products"),
        (Method::GET, "/products/prd_01a2148295b972f795e1e875726e5380"),
    ];
    let answers = requests.map(async |(method, path)| {
        let answer = anonymous.send(method, path, None, None).await.unwrap();
        assert_eq!(answer.status, 503, "{path}: {answer:?}");
        assert!(answer.header("retry-after").is_some(), "{path}: {answer:?}");
    });
    join_all(answers).await;
}

#[tokio::test]
async fn orders_end_after_the_network_between_order_and_payment_was_cut() {
    let folder = Evidence::new();
    let (plan, redis) = redis(plan(&folder).await).await;
    let mut cluster = plan.lay_out();
    let broker = Wire::to(port_of(&redis.url())).await;
    let order = Wire::to(cluster.peer_port("order-1")).await;
    cluster.tell("payment-1", "REDIS_URL", &format!("redis://127.0.0.1:{}/", broker.port()));
    cluster.tell("payment-1", "ORDER_PEER_URL", &format!("https://127.0.0.1:{}", order.port()));
    let town = Town::open(cluster).await;
    let crowd = Crowd::of(3, Manners::Insistent, &town).await;
    let (bought, ()) = crowd
        .shops_while(async {
            crowd.orders(3).await;
            broker.cut();
            order.cut();
            let before = crowd.count();
            town.clock.pause(outage()).await;
            let during = crowd.count() - before;
            println!("{during} orders were confirmed meanwhile");
            assert!(during <= 3, "what was on its way may arrive, and nothing else: {during}");
            broker.heal();
            order.heal();
            let back = crowd.orders(3).await;
            println!("three more orders are confirmed {back:?} after the network is whole");
        })
        .await;
    nothing_is_lost(&town, &bought).await;
}

/// The port in `redis://127.0.0.1:PORT/`.
fn port_of(url: &str) -> u16 {
    url.trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap()
}

//! `cartwright cluster up`.

use std::collections::BTreeSet;
use std::fs::File;
use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use cartwright_runtime::Clock;
use cartwright_servers::mongo;
use cartwright_servers::process::free_port;
use cartwright_servers::redis::Redis;
use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::json;
use tokio::process::Command;

use crate::calls::{Caller, order_body, text, until};
use crate::town::{Evidence, binary, own_database};

/// The gateway and one of each service.
const PROCESSES: usize = 8;

/// A port with as many free ones above it as such a shop takes.
fn first_port() -> u16 {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let fits = |first: u16| (0..=7).all(|place| is_free(first + place * 10) && is_free(first + place * 10 + 1000));
    (0..200).map(|_| free_port()).find(|port| fits(*port)).expect("there are free ports")
}

/// The processes that the process `parent` has started.
fn children(parent: u32) -> BTreeSet<i32> {
    let text = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    let mut all: BTreeSet<i32> = text.split_whitespace().map(|id| id.parse().unwrap()).collect();
    for thread in std::fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten() {
        let text = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        all.extend(text.split_whitespace().filter_map(|id| id.parse::<i32>().ok()));
    }
    all
}

fn lives(id: i32) -> bool {
    Pid::from_raw(id).is_some_and(|pid| test_kill_process(pid).is_ok())
}

#[tokio::test]
async fn one_command_opens_a_demo_shop_of_processes_keeps_them_running_and_leaves_none_behind() {
    let folder = Evidence::new();
    let (mongodb, redis) = (own_database(&mongo::shared().await), Redis::start().await);
    let port = first_port();
    let log = File::create(folder.path().join("log")).unwrap();
    let mut command = Command::new(binary());
    command.args(["cluster", "up", "--demo", "--each", "1"]).env_clear().current_dir(folder.path());
    command.env("PORT", port.to_string()).env("MONGODB_URI", &mongodb).env("REDIS_URL", redis.url());
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).kill_on_drop(true);
    let mut cluster = command.spawn().unwrap();
    let parent = cluster.id().unwrap();
    let log = || std::fs::read_to_string(folder.path().join("log")).unwrap();

    let anonymous = Caller::anonymous(&format!("http://127.0.0.1:{port}"));
    let healthy = async || {
        let health = anonymous.send(Method::GET, "/health", None, None).await.ok()?;
        (health.status == 200).then_some(())
    };
    until("the shop is well", healthy).await;
    let before = children(parent);
    assert_eq!(before.len(), PROCESSES, "{before:?}");
    buys_tea(&anonymous).await;
    admin_gets_in(&anonymous, &log()).await;

    let killed = *before.first().unwrap();
    kill_process(Pid::from_raw(killed).unwrap(), Signal::KILL).unwrap();
    let complete = async || {
        let now = children(parent);
        (now.len() == PROCESSES && !now.contains(&killed)).then_some(now)
    };
    let now = until("another one is there in its place", complete).await;
    until("the shop is well", healthy).await;

    kill_process(Pid::from_raw(i32::try_from(parent).unwrap()).unwrap(), Signal::TERM).unwrap();
    let ended = Clock::system().timeout(Duration::from_secs(40), cluster.wait()).await;
    assert_eq!(ended.expect("it ends").unwrap().code(), Some(0), "{}", log());
    assert!(!now.iter().any(|id| lives(*id)), "{}", log());
    assert!(!log().contains("panicked") && !log().contains(" ERROR "), "{}", log());
}

async fn buys_tea(anonymous: &Caller) {
    let tea = until("there is tea in stock", async || {
        let found = anonymous.send(Method::GET, "/search?q=tea", None, None).await.ok()?;
        let product = text(&found.body["items"].as_array()?.first()?["_id"]);
        let path = format!("/inventory/check-stock?productId={product}");
        let stock = anonymous.send(Method::GET, &path, None, None).await.ok()?;
        (stock.body["items"][0]["onHand"].as_u64()? > 0).then_some(product)
    })
    .await;
    let guest = anonymous.send(Method::POST, "/auth/guest", None, None).await.unwrap().expect(201);
    let shopper = anonymous.with_token(&text(&guest["token"]), &text(&guest["userId"]));
    shopper.post("/cart/add-to-cart", &json!({"productId": tea, "quantity": 1})).await.expect(200);
    let order = shopper.post("/order/create-order", &order_body("pm_card_visa")).await.expect(201);
    assert_eq!(order["status"], "confirmed");
}

/// The login that was printed is good, and it is an admin's.
async fn admin_gets_in(anonymous: &Caller, log: &str) {
    let words: Vec<&str> = log.lines().find(|line| line.contains("shown this once")).unwrap().split(' ').collect();
    let after = |word: &str| words[words.iter().position(|it| *it == word).unwrap() + 1];
    let email = *words.iter().find(|word| word.contains('@')).unwrap();
    let login = json!({"email": email, "password": after("password")});
    let answer = anonymous.post("/auth/login", &login).await.expect(200);
    assert_eq!(answer["user"]["role"], "admin");
}

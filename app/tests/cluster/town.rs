//! What a test stands on: servers, a shop of processes with something on its shelves, and a folder that stays where it fails.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cartwright_runtime::{Clock, Ids};
use cartwright_servers::mongo;
use cartwright_servers::rabbitmq::RabbitMq;
use cartwright_servers::redis::Redis;
use cartwright_testkit::{ClusterPlan, ProcessCluster};
use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;

use crate::calls::{Caller, text, until};

/// How many products the shop has.
pub(crate) const PRODUCTS: usize = 4;
/// How many of each there are.
pub(crate) const OPENING_STOCK: u64 = 1_000_000;

/// The folder of a shop, kept where the test fails.
pub(crate) struct Evidence(TempDir);

impl Evidence {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Evidence {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.disable_cleanup(true);
            eprintln!("logs and data are in {}", self.0.path().display());
        }
    }
}

/// The program that is tested.
pub(crate) fn binary() -> PathBuf {
    env!("CARGO_BIN_EXE_cartwright").into()
}

/// Whether faults are taken at their full length.
pub(crate) fn is_long() -> bool {
    std::env::var_os("CARTWRIGHT_LONG").is_some()
}

/// A database of this test alone at the MongoDB that `uri` names.
pub(crate) fn own_database(uri: &str) -> String {
    let name = Ids::random(Clock::system()).uuid().simple().to_string();
    uri.replacen("/?", &format!("/t{}?", &name[16..]), 1)
}

/// A new shop in `folder` on the MongoDB that tests share.
pub(crate) async fn plan(folder: &Evidence) -> ClusterPlan {
    plan_on(folder, &mongo::shared().await)
}

/// A new shop in `folder` on the MongoDB at `uri`.
pub(crate) fn plan_on(folder: &Evidence, uri: &str) -> ClusterPlan {
    ClusterPlan::new(binary(), folder.path()).with("MONGODB_URI", own_database(uri)).with("JWT_EXPIRES_IN", "7d")
}

/// A shop that is open.
pub(crate) struct Town {
    pub(crate) cluster: ProcessCluster,
    pub(crate) products: Vec<String>,
    pub(crate) clock: Clock,
}

impl Town {
    /// Puts products on the shelves, starts all processes, and waits until the shop is well and full.
    pub(crate) async fn open(mut cluster: ProcessCluster) -> Self {
        let lines = (0..PRODUCTS).map(|number| {
            json!({"sku": format!("SKU-{number}"), "name": format!("Thing {number}"), "price": 3 + number,
                   "currency": "USD", "category": "Things", "openingStock": OPENING_STOCK})
            .to_string()
        });
        let catalogue = lines.collect::<Vec<_>>().join("\n");
        let imported = cluster.verb(&["import", "-", "--format", "jsonl"], &catalogue).await;
        assert_eq!(imported.code, Some(0), "{imported:?}");
        let clock = Clock::system();
        let watch = clock.stopwatch();
        cluster.start().await;
        println!("{} processes are well after {:?}", cluster.names().count(), watch.elapsed());
        let anonymous = Caller::anonymous(&cluster.base());
        let products = until("the products are listed and in stock", || async {
            let listed = anonymous.get("/products?limit=100").await;
            let products: Vec<String> = listed["items"].as_array()?.iter().map(|it| text(&it["_id"])).collect();
            for product in &products {
                let path = format!("/inventory/check-stock?productId={product}");
                let answer = anonymous.send(Method::GET, &path, None, None).await.ok()?;
                (answer.body["items"][0]["onHand"] == OPENING_STOCK).then_some(())?;
            }
            (products.len() == PRODUCTS).then_some(products)
        });
        let products = products.await;
        Self { cluster, products, clock }
    }

    /// Somebody with a cart of her own.
    pub(crate) async fn guest(&self) -> Caller {
        let anonymous = Caller::anonymous(&self.cluster.base());
        let guest = until("a guest is let in", || async {
            let answer = anonymous.send(Method::POST, "/auth/guest", None, None).await.ok()?;
            (answer.status == 201).then_some(answer.body)
        })
        .await;
        anonymous.with_token(&text(&guest["token"]), &text(&guest["userId"]))
    }

    /// The checker finds nothing, and when all has come to rest nothing of what holds only then. What a killed process had
    /// claimed goes on when its claim has ended, half a minute later.
    pub(crate) async fn holds(&self) {
        let watch = self.clock.stopwatch();
        let verified = until("nothing is on its way", async || {
            let verified = self.cluster.verb(&["verify"], "").await;
            assert_eq!(verified.code, Some(0), "{}{}", verified.out, verified.err);
            assert!(verified.out.contains("All of it holds."), "{}", verified.out);
            (!verified.out.contains("busy")).then_some(verified)
        })
        .await;
        println!("verified in {:?}: {}", watch.elapsed(), verified.out.lines().next().unwrap());
        for name in self.cluster.names() {
            assert!(!self.cluster.log(name).contains("panicked"), "{}", self.cluster.log(name));
        }
    }

    /// How many units of each product were sold, and that none is held.
    pub(crate) async fn sold(&self) -> Vec<u64> {
        let anonymous = Caller::anonymous(&self.cluster.base());
        let mut sold = Vec::new();
        for product in &self.products {
            let (on_hand, held) = anonymous.stock(product).await;
            assert_eq!(held, 0, "{product}");
            sold.push(OPENING_STOCK - on_hand);
        }
        sold
    }

    /// Asks all processes to stop, and waits until they have.
    pub(crate) async fn close(mut self) {
        let names: Vec<String> = self.cluster.names().map(str::to_owned).collect();
        names.iter().for_each(|name| self.cluster.terminate(name));
        for name in &names {
            self.cluster.ended(name, Duration::from_secs(30)).await;
        }
    }
}

/// RabbitMQ of one test alone, because all shops have the same names there.
pub(crate) async fn rabbitmq(plan: ClusterPlan) -> (ClusterPlan, RabbitMq) {
    let rabbit = RabbitMq::start().await;
    (plan.with("AMQP_URL", rabbit.url()), rabbit)
}

/// Redis of one test alone.
pub(crate) async fn redis(plan: ClusterPlan) -> (ClusterPlan, Redis) {
    let redis = Redis::start().await;
    (plan.with("REDIS_URL", redis.url()), redis)
}

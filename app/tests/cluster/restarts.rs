//! Processes that go and come back while shoppers shop.

use std::time::Duration;

use cartwright::callers::GATEWAY;
use cartwright::role::Role;
use cartwright_testkit::ProcessCluster;

use crate::crowd::{Crowd, Manners, nothing_is_lost};
use crate::town::{Evidence, Town, is_long, plan, rabbitmq};

/// How soon a shop without one of its processes confirms orders again.
const RECOVERY: Duration = Duration::from_secs(5);
/// How long an orderly end may take.
const END: Duration = Duration::from_secs(30);

/// Shoppers use the gateways that say that they take requests, as whoever balances gateways does.
#[tokio::test]
async fn a_rolling_restart_of_every_process_fails_no_request() {
    let folder = Evidence::new();
    let (plan, _rabbit) = rabbitmq(plan(&folder).await).await;
    let plan = Role::ALL.into_iter().fold(plan, |plan, role| plan.two_of(role)).gateways(2);
    let mut town = Town::open(plan.lay_out()).await;
    let crowd = Crowd::of(3, Manners::Strict, &town).await;
    let (bought, ()) = crowd
        .shops_while(async {
            crowd.orders(4).await;
            let names: Vec<String> = town.cluster.names().map(str::to_owned).collect();
            // One after the other takes minutes; both of one service are never away together.
            let waves: Vec<Vec<String>> = if is_long() {
                names.into_iter().map(|name| vec![name]).collect()
            } else {
                let of = |number: &str| names.iter().filter(|name| name.ends_with(number)).cloned().collect();
                vec![of("-1"), of("-2")]
            };
            for wave in waves {
                restart(&mut town.cluster, &wave).await;
                crowd.orders(4).await;
            }
        })
        .await;
    println!("the slowest order took {:?}", crowd.slowest());
    nothing_is_lost(&town, &bought).await;
}

async fn restart(cluster: &mut ProcessCluster, names: &[String]) {
    names.iter().for_each(|name| cluster.terminate(name));
    for name in names {
        cluster.ended(name, END).await;
    }
    names.iter().for_each(|name| cluster.spawn(name));
    for name in names {
        cluster.ready(name).await;
    }
}

#[tokio::test]
async fn whichever_process_is_killed_orders_are_confirmed_again_within_five_seconds_and_none_is_lost() {
    let folder = Evidence::new();
    let (plan, _rabbit) = rabbitmq(plan(&folder).await).await;
    let plan = Role::ALL.into_iter().fold(plan, |plan, role| plan.two_of(role)).gateways(2);
    let mut town = Town::open(plan.lay_out()).await;
    let crowd = Crowd::of(3, Manners::Insistent, &town).await;
    let (bought, ()) = crowd
        .shops_while(async {
            crowd.orders(8).await;
            let usual = crowd.slowest();
            println!("an order takes {usual:?} at most");
            let names = Role::ALL.iter().map(|role| role.name()).chain([GATEWAY]);
            for name in names.map(|name| format!("{name}-1")) {
                town.cluster.kill(&name);
                let recovery = crowd.orders(1).await;
                println!("without {name} the next order is confirmed after {recovery:?}");
                assert!(recovery < RECOVERY + usual, "{recovery:?} without {name}");
                town.cluster.spawn(&name);
            }
            let names: Vec<String> = town.cluster.names().map(str::to_owned).collect();
            for name in names {
                town.cluster.ready(&name).await;
            }
            crowd.orders(4).await;
        })
        .await;
    println!("the slowest order took {:?}", crowd.slowest());
    nothing_is_lost(&town, &bought).await;
}

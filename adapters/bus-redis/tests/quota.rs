//! Gateways that count together, on a real server.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::time::Duration;

use cartwright_bus_redis::RedisQuota;
use cartwright_http::{Left, Quota, Rate, RetryAfter};
use cartwright_runtime::{Clock, Ids};
use cartwright_servers::redis::{Redis, shared};

/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A name that nobody else has.
fn key() -> String {
    Ids::random(Clock::system()).uuid().to_string()
}

/// Waits until both count together: what one took, the other does not get.
async fn together(one: &RedisQuota, two: &RedisQuota) {
    let clock = Clock::system();
    let watch = clock.stopwatch();
    loop {
        let key = key();
        if one.take(&key, Rate::per_hour(1)).await.is_ok() && two.take(&key, Rate::per_hour(1)).await.is_err() {
            return;
        }
        assert!(watch.elapsed() < PATIENCE, "they do not count together");
        clock.pause(Duration::from_millis(50)).await;
    }
}

/// Two gateways, patient enough for a machine that has much else to do.
fn pair(url: &str) -> (RedisQuota, RedisQuota) {
    let gateway = || RedisQuota::with_patience(url, Clock::system(), Duration::from_secs(5)).unwrap();
    (gateway(), gateway())
}

#[tokio::test]
async fn two_gateways_let_through_no_more_than_one_would() {
    let (one, two) = pair(&shared().await);
    together(&one, &two).await;
    let (key, rate) = (key(), Rate { count: 20, per_ms: 3_600_000 });

    let mut left = Vec::new();
    for number in 0..20 {
        let quota = if number % 2 == 0 { &one } else { &two };
        left.push(quota.take(&key, rate).await.unwrap());
    }

    assert_eq!(left, (0..20).rev().map(Left).collect::<Vec<_>>());
    for quota in [&one, &two] {
        let RetryAfter(wait) = quota.take(&key, rate).await.unwrap_err();
        assert!(wait > Duration::from_secs(170) && wait <= Duration::from_secs(180), "{wait:?}");
    }
    assert_eq!(one.take(&format!("{key}-other"), rate).await, Ok(Left(19)));
}

#[tokio::test]
async fn a_token_comes_back_when_its_time_has_come() {
    let (quota, other) = pair(&shared().await);
    together(&quota, &other).await;
    let (key, rate) = (key(), Rate { count: 1, per_ms: 300 });
    assert_eq!(quota.take(&key, rate).await, Ok(Left(0)));
    let RetryAfter(wait) = quota.take(&key, rate).await.unwrap_err();
    assert!(wait <= Duration::from_millis(300));
    Clock::system().pause(wait).await;
    assert_eq!(quota.take(&key, rate).await, Ok(Left(0)));
}

#[tokio::test]
async fn without_redis_each_gateway_counts_for_itself_until_it_is_back() {
    let mut server = Redis::start().await;
    let (one, two) = pair(&server.url());
    together(&one, &two).await;
    let rate = Rate::per_hour(1);

    server.kill();
    let alone = key();
    for quota in [&one, &two] {
        assert_eq!(quota.take(&alone, rate).await, Ok(Left(0)));
        assert!(quota.take(&alone, rate).await.is_err());
    }

    server.start_again().await;
    together(&one, &two).await;
}

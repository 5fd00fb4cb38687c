//! Who asks too often is refused before anything happens.

use std::sync::Arc;
use std::time::Duration;

use cartwright_gateway::{Limiter, RateLimits};
use cartwright_http::{Caller, LocalQuota, Rate, Role, TokenRefused, Verifier};
use cartwright_runtime::{Clock, Time};

use crate::client::{Answer, ask_from};
use crate::service::{Front, Service};

/// Whoever shows a token that begins with `usr` is its holder.
struct ByName;

impl Verifier for ByName {
    fn verify(&self, token: &str) -> Result<Caller, TokenRefused> {
        let id = token.strip_prefix("usr").ok_or(TokenRefused("unknown"))?;
        Ok(Caller {
            id: id.to_owned(),
            role: Role::Customer,
            session: "s".to_owned(),
            expires_at: Time::from_millis(i64::MAX),
        })
    }
}

struct Limited {
    clock: Clock,
    order: Service,
    cart: Service,
    front: Front,
}

impl Limited {
    async fn start(limits: RateLimits) -> Self {
        let clock = Clock::manual(Time::from_millis(1_795_340_000_000));
        let limiter = Limiter { quota: Arc::new(LocalQuota::new(clock.clone())), limits, verifier: Arc::new(ByName) };
        let (order, cart) = (Service::start("order").await, Service::start("cart").await);
        let front = Front::with(vec![order.proxied(), cart.proxied()], Some(limiter), |edge| edge).await;
        Self { clock, order, cart, front }
    }

    async fn post(&self, from: &str, path: &str, token: &str) -> Answer {
        let fields = if token.is_empty() { String::new() } else { format!("authorization: Bearer {token}\r\n") };
        ask_from(from, self.front.address, "POST", path, &fields, "").await
    }
}

#[tokio::test]
async fn the_twenty_first_quote_of_a_minute_is_refused_before_the_service_hears_of_it() {
    let shop = Limited::start(RateLimits::default()).await;
    for number in 0..20 {
        let from = if number % 2 == 0 { "127.0.0.1" } else { "127.0.0.2" };
        assert_eq!(shop.post(from, "/order/quote", "usr1").await.status, 200);
    }

    let refused = shop.post("127.0.0.3", "/order/quote", "usr1").await;
    assert_eq!((refused.status, refused.problem().as_str()), (429, "rate_limited"));
    assert_eq!(refused.header("retry-after"), "3");
    assert_eq!(shop.order.count(), 20);
    assert_eq!(shop.post("127.0.0.3", "/order/quote", "usr2").await.status, 200, "another shopper is another shopper");
    assert_eq!(shop.post("127.0.0.3", "/cart/count", "usr1").await.status, 200, "a cart is not a checkout");

    shop.clock.advance(Duration::from_secs(3));
    assert_eq!(shop.post("127.0.0.3", "/order/quote", "usr1").await.status, 200);
}

#[tokio::test]
async fn who_has_no_valid_token_is_counted_by_address_whatever_they_claim() {
    let limits = RateLimits { checkout: Rate::per_minute(2), ..RateLimits::default() };
    let shop = Limited::start(limits).await;
    assert_eq!(shop.post("127.0.0.1", "/order/quote", "").await.status, 200);
    assert_eq!(shop.post("127.0.0.1", "/order/quote", "forged-1").await.status, 200);
    assert_eq!(shop.post("127.0.0.1", "/order/quote", "forged-2").await.status, 429);
    let forwarded = "x-forwarded-for: 203.0.113.9\r\n";
    let refused = ask_from("127.0.0.1", shop.front.address, "POST", "/order/quote", forwarded, "").await;
    assert_eq!(refused.status, 429);
    assert_eq!(shop.post("127.0.0.2", "/order/quote", "").await.status, 200);
}

#[tokio::test]
async fn codes_of_promotions_are_tried_ten_times_an_hour() {
    let shop = Limited::start(RateLimits::default()).await;
    for _ in 0..10 {
        assert_eq!(shop.post("127.0.0.1", "/cart/apply-promotion", "usr1").await.status, 200);
    }
    assert_eq!(shop.post("127.0.0.1", "/cart/apply-promotion", "usr1").await.header("retry-after"), "360");
    assert_eq!(shop.cart.count(), 10);
}

#[tokio::test]
async fn probes_and_pages_are_not_counted_and_loopback_only_where_it_shall_be() {
    let nothing = Rate::per_minute(0);
    let shop = Limited::start(RateLimits { api: nothing, checkout: nothing, ..RateLimits::default() }).await;
    for (path, status) in [("/health", 200), ("/readyz", 200), ("/docs", 200), ("/openapi.json", 200), ("/search", 429)]
    {
        let answer = ask_from("127.0.0.1", shop.front.address, "GET", path, "", "").await;
        assert_eq!(answer.status, status, "{path}");
    }
    let exempt = RateLimits { checkout: nothing, exempt_loopback: true, ..RateLimits::default() };
    let shop = Limited::start(exempt).await;
    assert_eq!(shop.post("127.0.0.1", "/order/quote", "").await.status, 200);
}

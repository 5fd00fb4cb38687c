//! How often one client may ask, counted at the public edge before a route does anything (R-L 6).
//!
//! Whoever has a valid token is counted by it, wherever they are; whoever has none, by their address. Pages, the document
//! and the probes are not counted.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Extensions, HeaderMap, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use cartwright_http::{Problem, Quota, Rate, RetryAfter, Verifier};

/// How often what may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// Whatever has no rate of its own.
    pub api: Rate,
    /// Changes and reads of carts.
    pub cart: Rate,
    /// Quotes and orders.
    pub checkout: Rate,
    /// Tries of a promotion's code.
    pub promotions: Rate,
    /// Logins from one address.
    pub logins: Rate,
    /// New accounts from one address.
    pub registrations: Rate,
    /// What payment providers report, for each address that they report from.
    pub webhooks: Rate,
    /// Whether clients on this machine may ask as often as they like: for development, tests and benchmarks.
    pub exempt_loopback: bool,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            api: Rate::per_minute(600),
            cart: Rate::per_minute(600),
            checkout: Rate::per_minute(20),
            promotions: Rate::per_hour(10),
            logins: Rate::per_minute(20),
            registrations: Rate::per_hour(10),
            webhooks: Rate::per_second(100),
            exempt_loopback: false,
        }
    }
}

/// Counts requests.
#[derive(Clone)]
pub struct Limiter {
    /// Where they are counted: here, or in a place that all gateways share.
    pub quota: Arc<dyn Quota>,
    /// How many there may be.
    pub limits: RateLimits,
    /// Knows whose token it is.
    pub verifier: Arc<dyn Verifier>,
}

/// Refuses with 429 whoever asks `router`, which is a [`crate::Gateway`]'s, too often. Stands inside
/// [`cartwright_http::layers`], on a public edge alone.
pub fn limited(router: Router, limiter: Limiter) -> Router {
    router.layer(from_fn_with_state(Arc::new(limiter), count))
}

/// What is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Api,
    Cart,
    Checkout,
    Promotions,
    Logins,
    Registrations,
    Webhooks,
}

async fn count(State(limiter): State<Arc<Limiter>>, request: Request, next: Next) -> Response {
    if let Some((key, rate)) = limiter.bucket(&request)
        && let Err(wait) = limiter.quota.take(&key, rate).await
    {
        return too_often(wait);
    }
    next.run(request).await
}

fn too_often(wait: RetryAfter) -> Response {
    let detail = "Too many requests. Nothing happened; try again later.";
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail);
    problem.with_header(header::RETRY_AFTER, &wait.seconds().to_string()).into_response()
}

impl Limiter {
    /// From whose bucket one is taken, and how much that holds; `None` for what is not counted. A request that came over
    /// no socket is this program's own.
    fn bucket(&self, request: &Request) -> Option<(String, Rate)> {
        let address = address_of(request.extensions())?;
        if self.limits.exempt_loopback && address.is_loopback() {
            return None;
        }
        let kind = Kind::of(request.method(), request.uri().path())?;
        Some((format!("{}:{}", kind.name(), self.client(kind, address, request.headers())), self.rate(kind)))
    }

    const fn rate(&self, kind: Kind) -> Rate {
        let limits = &self.limits;
        match kind {
            Kind::Api => limits.api,
            Kind::Cart => limits.cart,
            Kind::Checkout => limits.checkout,
            Kind::Promotions => limits.promotions,
            Kind::Logins => limits.logins,
            Kind::Registrations => limits.registrations,
            Kind::Webhooks => limits.webhooks,
        }
    }

    /// Who is counted: the holder of a valid token, else the address. Whoever logs in has no name yet that could be believed.
    fn client(&self, kind: Kind, address: IpAddr, headers: &HeaderMap) -> String {
        let by_address = matches!(kind, Kind::Logins | Kind::Registrations | Kind::Webhooks);
        let token = if by_address { None } else { bearer(headers) };
        match token.and_then(|token| self.verifier.verify(token).ok()) {
            Some(caller) => format!("user:{}", caller.id),
            None => format!("address:{}", household(address)),
        }
    }
}

impl Kind {
    /// What a request is counted as; `None` for pages and probes, which cost nothing.
    fn of(method: &Method, path: &str) -> Option<Self> {
        let (service, rest) = path.strip_prefix('/')?.split_once('/').unwrap_or((path.get(1..)?, ""));
        let is_post = method == Method::POST;
        match (service, rest) {
            ("" | "docs" | "openapi.json" | "health" | "livez" | "readyz", _) => None,
            ("order", "create-order" | "quote") if is_post => Some(Self::Checkout),
            ("cart", "apply-promotion") if is_post => Some(Self::Promotions),
            ("cart", _) => Some(Self::Cart),
            ("auth", "login") if is_post => Some(Self::Logins),
            ("auth", "register") if is_post => Some(Self::Registrations),
            ("payment", rest) if is_post && rest.starts_with("webhooks/") => Some(Self::Webhooks),
            _ => Some(Self::Api),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Cart => "cart",
            Self::Checkout => "checkout",
            Self::Promotions => "promotions",
            Self::Logins => "logins",
            Self::Registrations => "registrations",
            Self::Webhooks => "webhooks",
        }
    }
}

fn address_of(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip().to_canonical())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// What counts as one address: with IPv6 a subscriber has a whole /64.
fn household(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_is_counted_with_its_kind() {
        let (get, post) = (Method::GET, Method::POST);
        for (method, path, kind) in [
            (&post, "/order/create-order", Some(Kind::Checkout)),
            (&post, "/order/quote", Some(Kind::Checkout)),
            (&get, "/order/quote", Some(Kind::Api)),
            (&get, "/orders/usr_1", Some(Kind::Api)),
            (&get, "/search", Some(Kind::Api)),
            (&post, "/cart/add-to-cart", Some(Kind::Cart)),
            (&post, "/cart/apply-promotion", Some(Kind::Promotions)),
            (&post, "/auth/login", Some(Kind::Logins)),
            (&post, "/auth/register", Some(Kind::Registrations)),
            (&post, "/payment/webhooks/sandbox", Some(Kind::Webhooks)),
            (&post, "/payment/process-payment", Some(Kind::Api)),
            (&get, "/cart", Some(Kind::Cart)),
            (&get, "/", None),
            (&get, "/docs/assets/house.css", None),
            (&get, "/health", None),
            (&get, "/inventory/check-stock", Some(Kind::Api)),
            (&get, "/nowhere", Some(Kind::Api)),
        ] {
            assert_eq!(Kind::of(method, path), kind, "{method} {path}");
        }
    }

    #[test]
    fn a_subscriber_s_ipv6_network_is_one_address() {
        let of = |address: &str| household(address.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("203.0.113.7").to_string(), "203.0.113.7");
    }
}

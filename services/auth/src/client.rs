//! What a request says about the program that sent it: address, kind of session wanted, cookie, origin.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::AuthError;
use crate::domain::refresh_token::RefreshToken;
use crate::domain::session::LONGEST;

/// The cookie of a browser that reaches the shop by https.
const COOKIE: &str = "__Host-cartwright-refresh";
/// The cookie on a developer's own machine, where there is no https and so no `__Host-`.
const COOKIE_LOOPBACK: &str = "cartwright-refresh";

/// The program that sent a request.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    /// Where it is, as far as the connection tells.
    pub(crate) address: Option<IpAddr>,
    /// Tells one client from another: a hash of what it says about itself.
    pub(crate) mark: String,
    /// Whether the refresh token shall be kept in a cookie.
    pub(crate) wants_cookie: bool,
    cookie: Option<String>,
    host: String,
    origin: Option<String>,
    same_origin: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let text = |name: header::HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        let agent = text(header::USER_AGENT).unwrap_or("");
        let mark = Sha256::new().chain_update(format!("{address:?}")).chain_update(agent).finalize();
        let named = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let host = text(header::HOST).or_else(|| parts.uri.authority().map(|it| it.as_str())).unwrap_or("").to_owned();
        let name = cookie_name(&host);
        Ok(Self {
            address,
            mark: URL_SAFE_NO_PAD.encode(&mark[..16]),
            wants_cookie: named("x-session").is_some_and(|kind| kind.eq_ignore_ascii_case("cookie")),
            cookie: cookie(&parts.headers, name),
            origin: text(header::ORIGIN).map(str::to_owned),
            same_origin: named("sec-fetch-site") == Some("same-origin"),
            host,
        })
    }
}

impl Client {
    /// Its address, unless clients on this machine are exempt and it is one.
    pub(crate) fn counted(&self, exempt_loopback: bool) -> Option<Option<IpAddr>> {
        let exempt = exempt_loopback && self.address.is_some_and(|address| address.to_canonical().is_loopback());
        if exempt { None } else { Some(self.address) }
    }

    /// The refresh token in its cookie, where a page of the shop itself asks.
    ///
    /// # Errors
    /// [`AuthError::ForeignOrigin`] where another page asks, or it cannot be told; [`AuthError::InvalidRefreshToken`] without a cookie.
    pub(crate) fn cookie_token(&self, allowed_origins: &[String]) -> Result<&str, AuthError> {
        let own = |origin: &String| {
            let authority = origin.split_once("://").map(|(_, authority)| authority);
            authority.is_some_and(|authority| authority.eq_ignore_ascii_case(&self.host))
                || allowed_origins.contains(origin)
        };
        let trusted = match &self.origin {
            Some(origin) => own(origin),
            None => self.same_origin,
        };
        if !trusted {
            return Err(AuthError::ForeignOrigin);
        }
        self.cookie.as_deref().ok_or(AuthError::InvalidRefreshToken)
    }

    /// The header that hands `token` to the browser and to nothing else.
    pub(crate) fn keep(&self, token: &RefreshToken) -> Option<HeaderValue> {
        self.set_cookie(&token.reveal(), LONGEST.as_secs())
    }

    /// The header that makes the browser forget, where it had a cookie.
    pub(crate) fn forget(&self) -> Option<HeaderValue> {
        self.cookie.as_ref().and_then(|_| self.set_cookie("", 0))
    }

    fn set_cookie(&self, value: &str, seconds: u64) -> Option<HeaderValue> {
        let name = cookie_name(&self.host);
        let secure = if name == COOKIE { "; Secure" } else { "" };
        let cookie = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
        let mut cookie = HeaderValue::from_str(&cookie).ok()?;
        cookie.set_sensitive(true);
        Some(cookie)
    }
}

fn cookie_name(host: &str) -> &'static str {
    if is_loopback(host) { COOKIE_LOOPBACK } else { COOKIE }
}

fn is_loopback(host: &str) -> bool {
    let name = host
        .strip_prefix('[')
        .map_or_else(|| host.split(':').next().unwrap_or(""), |rest| rest.split(']').next().unwrap_or(""));
    name.eq_ignore_ascii_case("localhost")
        || name == "::1"
        || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

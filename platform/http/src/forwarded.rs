//! Whose address counts where a gateway stands between: a service believes `X-Forwarded-For` of its gateway and of nobody
//! else.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Extensions, HeaderMap, HeaderName};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;

use crate::PeerIdentity;

/// The address of the client, as a gateway tells it.
pub const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Who is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forwarder {
    /// The service of this name, by its certificate.
    Peer(String),
    /// Whoever calls from this machine: where services have no certificates they listen on loopback addresses only.
    Loopback,
}

/// Gives each request of `forwarder` the address that it forwards, in place of its own. What anybody else says is dropped.
pub fn trust_forwarded(router: Router, forwarder: Forwarder) -> Router {
    router.layer(from_fn_with_state(Arc::new(forwarder), believe))
}

async fn believe(State(forwarder): State<Arc<Forwarder>>, mut request: Request, next: Next) -> Response {
    let told = last_address(request.headers());
    if forwarder.is_calling(request.extensions()) {
        if let Some(address) = told {
            request.extensions_mut().insert(ConnectInfo(SocketAddr::new(address, 0)));
        }
    } else {
        request.headers_mut().remove(FORWARDED_FOR);
    }
    next.run(request).await
}

impl Forwarder {
    fn is_calling(&self, extensions: &Extensions) -> bool {
        match self {
            Self::Peer(name) => extensions.get::<PeerIdentity>().is_some_and(|PeerIdentity(caller)| **caller == **name),
            Self::Loopback => {
                let caller = extensions.get::<ConnectInfo<SocketAddr>>();
                caller.is_some_and(|ConnectInfo(address)| address.ip().to_canonical().is_loopback())
            }
        }
    }
}

/// The address that the one who calls put there; those before it came with the request.
fn last_address(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all(FORWARDED_FOR).iter().next_back()?.to_str().ok()?;
    last.rsplit(',').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;

    /// The address that a route sees.
    async fn seen(forwarder: &Forwarder, from: &str, identity: Option<&str>, told: &str) -> String {
        let router =
            Router::new().route("/", get(async |ConnectInfo(at): ConnectInfo<SocketAddr>| at.ip().to_string()));
        let mut request = axum::http::Request::get("/").header(FORWARDED_FOR, told).body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(from.parse().unwrap(), 1)));
        if let Some(name) = identity {
            request.extensions_mut().insert(PeerIdentity(name.into()));
        }
        let answer = trust_forwarded(router, forwarder.clone()).oneshot(request).await.unwrap();
        String::from_utf8(to_bytes(answer.into_body(), 100).await.unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn the_gateway_is_believed_by_its_certificate_and_a_stranger_is_not() {
        let gateway = Forwarder::Peer("gateway".to_owned());
        assert_eq!(seen(&gateway, "10.0.0.1", Some("gateway"), "203.0.113.7").await, "203.0.113.7");
        assert_eq!(seen(&gateway, "10.0.0.1", Some("order"), "203.0.113.7").await, "10.0.0.1");
        assert_eq!(seen(&gateway, "127.0.0.1", None, "203.0.113.7").await, "127.0.0.1");
        assert_eq!(seen(&gateway, "10.0.0.1", Some("gateway"), "nonsense").await, "10.0.0.1");
    }

    #[tokio::test]
    async fn without_certificates_this_machine_is_believed() {
        assert_eq!(seen(&Forwarder::Loopback, "127.0.0.1", None, "2001:db8::1").await, "2001:db8::1");
        assert_eq!(seen(&Forwarder::Loopback, "10.0.0.1", None, "203.0.113.7").await, "10.0.0.1");
    }

    #[tokio::test]
    async fn what_the_client_said_of_itself_is_passed_over() {
        assert_eq!(seen(&Forwarder::Loopback, "127.0.0.1", None, "198.51.100.1, 203.0.113.7").await, "203.0.113.7");
    }
}

//! Which service may call what, where processes prove who they are. Whatever is not here is denied.

use axum::http::Method;
use cartwright_http::{ANY_PEER, CallerTable};

/// The name by which services know the gateway.
pub const GATEWAY: &str = "gateway";

/// What is asked of a process itself, whatever service it is.
const ABOUT_IT: [&str; 3] = ["/health", "/livez", "/readyz"];

/// Questions between services: the route, and who may ask.
const QUESTIONS: [(&str, &[&str]); 10] = [
    ("/peer/products", &["cart"]),
    ("/peer/availability", &["cart", "product"]),
    ("/peer/contact", &["order", "notification"]),
    ("/peer/token-guard", &[ANY_PEER]),
    ("/peer/settle-checkout", &["cart"]),
    ("/peer/order-state", &["cart", "inventory", "payment"]),
    ("/peer/payable", &["payment"]),
    ("/peer/order-facts", &["notification"]),
    ("/peer/priced-cart", &["order"]),
    ("/peer/freeze-cart", &["order"]),
];

/// Callers of the routes for shoppers: the gateway brings them.
pub fn of_public_routes() -> CallerTable {
    about_it().permit_below(GATEWAY, "/")
}

/// Callers of the routes for peers.
pub fn of_peer_routes() -> CallerTable {
    QUESTIONS.into_iter().fold(about_it(), |table, (route, callers)| {
        callers.iter().fold(table, |table, caller| table.permit(caller, Method::POST, route))
    })
}

fn about_it() -> CallerTable {
    ABOUT_IT.into_iter().fold(CallerTable::new(), |table, route| table.permit(ANY_PEER, Method::GET, route))
}

//! Which service may call what, where processes prove who they are. Whatever is not here is denied.

use axum::http::Method;
use cartwright_http::{ANY_PEER, CallerTable};

use crate::role::Role;

/// The name by which services know the gateway.
pub const GATEWAY: &str = "gateway";

/// What is asked of a process itself, whatever service it is.
const ABOUT_IT: [&str; 3] = ["/health", "/livez", "/readyz"];

/// Questions between services: who answers, the route, and who may ask.
const QUESTIONS: [(Role, &str, &[&str]); 10] = [
    (Role::Product, "/peer/products", &["cart"]),
    (Role::Inventory, "/peer/availability", &["cart", "product"]),
    (Role::Auth, "/peer/contact", &["order", "notification"]),
    (Role::Auth, "/peer/token-guard", &[ANY_PEER]),
    (Role::Order, "/peer/settle-checkout", &["cart"]),
    (Role::Order, "/peer/order-state", &["cart", "inventory", "payment"]),
    (Role::Order, "/peer/payable", &["payment"]),
    (Role::Order, "/peer/order-facts", &["notification"]),
    (Role::Cart, "/peer/priced-cart", &["order"]),
    (Role::Cart, "/peer/freeze-cart", &["order"]),
];

/// Whether the process that others know as `caller` ever asks `role` anything.
pub fn asks(caller: &str, role: Role) -> bool {
    let mut questions = QUESTIONS.into_iter().filter(|(answers, ..)| *answers == role);
    questions.any(|(_, _, callers)| callers.iter().any(|it| *it == caller || *it == ANY_PEER))
}

/// Callers of the routes for shoppers: the gateway brings them.
pub fn of_public_routes() -> CallerTable {
    about_it().permit_below(GATEWAY, "/")
}

/// Callers of the routes for peers.
pub fn of_peer_routes() -> CallerTable {
    QUESTIONS.into_iter().fold(about_it(), |table, (_, route, callers)| {
        callers.iter().fold(table, |table, caller| table.permit(caller, Method::POST, route))
    })
}

fn about_it() -> CallerTable {
    ABOUT_IT.into_iter().fold(CallerTable::new(), |table, route| table.permit(ANY_PEER, Method::GET, route))
}

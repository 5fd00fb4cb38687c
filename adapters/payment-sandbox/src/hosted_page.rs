//! The page where a shopper approves a payment, as a bank would show it. No scripts, nothing from elsewhere.

use axum::Router;
use axum::extract::{Path, State as Extracted};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use cartwright_payment::ProviderError;
use cartwright_vocabulary::PaymentId;

use crate::book::{Charge, State};
use crate::sandbox::Sandbox;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;background:#f3f4f6;color:#111827;margin:0;display:grid;\
place-items:center;min-height:100vh}main{background:#fff;border:1px solid #e5e7eb;border-radius:12px;padding:2rem;\
max-width:24rem;width:calc(100% - 4rem)}h1{font-size:1.25rem;margin:0 0 .5rem}strong{font-size:1.75rem;display:block;\
margin:1rem 0}form{display:inline}button{font:inherit;border-radius:8px;border:1px solid #1f2937;padding:.6rem 1.2rem;\
margin-right:.5rem;cursor:pointer;background:#fff}button.yes{background:#166534;border-color:#166534;color:#fff}\
small{color:#6b7280}";

const HEADERS: [(HeaderName, &str); 3] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'self'",
    ),
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
];

impl Sandbox {
    /// The hosted page, `/sandbox/{key}`, beside payment's own routes.
    pub fn routes(&self) -> Router {
        Router::new()
            .route("/sandbox/{key}", get(show))
            .route("/sandbox/{key}/approve", post(approve))
            .route("/sandbox/{key}/decline", post(decline))
            .with_state(self.clone())
    }
}

async fn show(Extracted(sandbox): Extracted<Sandbox>, Path(key): Path<String>) -> Response {
    let Ok(key) = key.parse::<PaymentId>() else { return unknown() };
    match sandbox.look(key).await {
        Ok(Some(charge)) => page(StatusCode::OK, &about(&sandbox, key, &charge)),
        Ok(None) => unknown(),
        Err(error) => unavailable(&error),
    }
}

async fn approve(Extracted(sandbox): Extracted<Sandbox>, Path(key): Path<String>) -> Response {
    answered(&sandbox, &key, true).await
}

async fn decline(Extracted(sandbox): Extracted<Sandbox>, Path(key): Path<String>) -> Response {
    answered(&sandbox, &key, false).await
}

async fn answered(sandbox: &Sandbox, key: &str, approved: bool) -> Response {
    let Ok(key) = key.parse::<PaymentId>() else { return unknown() };
    match sandbox.answer(key, approved).await {
        Ok(Some(_)) => Redirect::to(&format!("/payment/sandbox/{key}")).into_response(),
        Ok(None) => unknown(),
        Err(error) => unavailable(&error),
    }
}

fn about(sandbox: &Sandbox, key: PaymentId, charge: &Charge) -> String {
    let amount = charge.amount.map(|amount| format!("<strong>{amount} {}</strong>", amount.currency()));
    let amount = amount.unwrap_or_default();
    let buttons = format!(
        "<form method=\"post\" action=\"/payment/sandbox/{key}/approve\"><button class=\"yes\">Approve</button></form>\
         <form method=\"post\" action=\"/payment/sandbox/{key}/decline\"><button>Decline</button></form>"
    );
    let (title, rest) = match &charge.state {
        State::ActionRequired(_) => ("Approve this payment?", buttons),
        State::Pending(_) => ("This payment is being worked on", String::new()),
        State::Authorised | State::Captured => ("This payment is approved", back(sandbox)),
        State::Declined(_) => ("This payment was declined", back(sandbox)),
        State::Voided => ("This payment was canceled", back(sandbox)),
    };
    format!("<h1>{title}</h1>{amount}{rest}<p><small>Sandbox payment provider. No money moves.</small></p>")
}

fn back(sandbox: &Sandbox) -> String {
    match &sandbox.settings.return_url {
        Some(url) => format!("<p><a href=\"{}\">Back to the shop</a></p>", escaped(url)),
        None => "<p>You can close this page and go back to the shop.</p>".to_owned(),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn unknown() -> Response {
    page(StatusCode::NOT_FOUND, "<h1>There is no such payment</h1>")
}

fn unavailable(error: &ProviderError) -> Response {
    tracing::error!(%error, "the hosted page cannot be shown");
    page(StatusCode::SERVICE_UNAVAILABLE, "<h1>This does not work at the moment. Try again.</h1>")
}

fn page(status: StatusCode, main: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>Sandbox payment</title><style>{STYLE}</style></head><body><main>{main}</main></body></html>"
    );
    (status, HEADERS, Html(html)).into_response()
}

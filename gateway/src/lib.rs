//! The one address for clients: every service under its prefix, wherever it runs, one OpenAPI document, and the pages that
//! explain it.
//!
//! Promises that the document lists exactly the routes that are served, that routes for peers alone are refused at the
//! start and never served, that nobody takes more than their rate, and that its pages load nothing from anywhere else.

mod aliases;
mod document;
mod forwarding;
mod gateway;
mod health;
mod pages;
mod problems;
mod proxy;
mod rates;

pub use gateway::{Gateway, GatewayError, GatewaySettings, Mounted, Served, gateway};
pub use problems::{KNOWN_PROBLEMS, KnownProblem};
pub use proxy::Proxied;
pub use rates::{Limiter, RateLimits, limited};

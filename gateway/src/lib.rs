//! The one address for clients: every service under its prefix, one OpenAPI document, and the pages that explain it.
//!
//! Promises that the document lists exactly the routes that are served, that routes for peers alone are refused at the
//! start and never served, and that its pages load nothing from anywhere else.

mod aliases;
mod document;
mod gateway;
mod health;
mod pages;
mod problems;

pub use gateway::{Gateway, GatewayError, GatewaySettings, Mounted, gateway};
pub use problems::{KNOWN_PROBLEMS, KnownProblem};

//! Puts the services of a shop behind one address, wherever they run.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use cartwright_http::Problem;
use cartwright_runtime::Clock;
use serde_json::Value;
use tower::ServiceExt;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::document::{self, Part};
use crate::{Proxied, aliases, health, pages};

/// A service to be served under its prefix.
pub struct Mounted {
    /// Its name, which is also its prefix: `cart` answers at `/cart`.
    pub name: &'static str,
    /// Its public routes without the prefix, its health among them.
    pub routes: OpenApiRouter,
}

/// A service, in this process or in others.
pub enum Served {
    /// Its routes are called.
    Here(Box<Mounted>),
    /// Its instances are.
    Elsewhere(Proxied),
}

impl From<Mounted> for Served {
    fn from(mounted: Mounted) -> Self {
        Self::Here(Box::new(mounted))
    }
}

impl From<Proxied> for Served {
    fn from(proxied: Proxied) -> Self {
        Self::Elsewhere(proxied)
    }
}

/// What the gateway is told.
#[derive(Clone, Debug)]
pub struct GatewaySettings {
    /// The name of the shop, for people.
    pub shop: String,
    /// The version of the program.
    pub version: String,
    /// The clock.
    pub clock: Clock,
}

/// The gateway, ready to be put behind the edge.
pub struct Gateway {
    /// What it answers.
    pub router: Router,
    /// The OpenAPI 3.1 document of it, as served at `/openapi.json`.
    pub openapi: Value,
}

/// Why services cannot be put behind one address.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// Two services want one prefix.
    #[error("there are two services named {0}")]
    SameName(&'static str),
    /// A route for peers alone is among the public ones.
    #[error("{service} has {path} among its public routes; routes under /peer are for other services alone")]
    PeerRoute {
        /// The service.
        service: &'static str,
        /// The route.
        path: String,
    },
    /// The document cannot be written as JSON.
    #[error("the OpenAPI document cannot be written: {0}")]
    Document(#[from] serde_json::Error),
}

#[derive(OpenApi)]
#[openapi(components(schemas(Problem)))]
struct Shared;

/// Serves `services` under their prefixes, called directly or handed on, with the aliases of the public contract, one
/// OpenAPI document, the health of all, and the pages. It is ready when it reaches an instance of each that is.
///
/// # Errors
/// When two services have one name, or one has a route for peers among its public ones.
pub fn gateway(services: Vec<impl Into<Served>>, settings: &GatewaySettings) -> Result<Gateway, GatewayError> {
    let mut router = Router::new();
    let mut parts = Some(Vec::new());
    let mut mounted: Vec<(String, Router)> = Vec::new();
    for service in services {
        let (name, routes, part) = behind_prefix(service.into())?;
        if mounted.iter().any(|(other, _)| other == name) {
            return Err(GatewayError::SameName(name));
        }
        parts = parts.zip(part).map(|(mut parts, part)| {
            parts.push(part);
            parts
        });
        router = router.nest(&format!("/{name}"), routes.clone());
        mounted.push((name.to_owned(), routes));
    }
    let mounted: Arc<[(String, Router)]> = mounted.into();
    let round = health::Round { services: Arc::clone(&mounted), clock: settings.clock.clone() };
    let own = OpenApiRouter::with_openapi(Shared::openapi()).merge(health::routes(round));
    let (own, own_document) = own.split_for_parts();
    let openapi = match parts {
        Some(parts) => document::merge(&settings.shop, &settings.version, serde_json::to_value(own_document)?, parts),
        None => document::checked_in(&settings.shop, &settings.version)?,
    };
    let pages = pages::routes(&settings.shop, &settings.version, serde_json::to_vec(&openapi)?);
    let router = router.merge(own).merge(pages).fallback(move |request| elsewhere(Arc::clone(&mounted), request));
    Ok(Gateway { router, openapi })
}

/// A service's name and its routes without the prefix, with its part of the document where it is here to give it.
fn behind_prefix(service: Served) -> Result<(&'static str, Router, Option<Part>), GatewayError> {
    match service {
        Served::Elsewhere(proxied) => Ok((proxied.upstream.name(), proxied.router(), None)),
        Served::Here(mounted) => {
            let Mounted { name, routes } = *mounted;
            let (routes, document) = routes.split_for_parts();
            if let Some(path) = document.paths.paths.keys().find(|path| is_for_peers(path)) {
                return Err(GatewayError::PeerRoute { service: name, path: path.clone() });
            }
            let part = Part { service: name.to_owned(), document: serde_json::to_value(document)? };
            Ok((name, routes, Some(part)))
        }
    }
}

fn is_for_peers(path: &str) -> bool {
    path == "/peer" || path.starts_with("/peer/")
}

/// Answers the reads that have no prefix, and refuses whatever is left.
async fn elsewhere(services: Arc<[(String, Router)]>, request: Request) -> Response {
    let service = aliases::service_of(request.uri().path());
    let router = service.and_then(|service| services.iter().find(|(name, _)| name == service));
    let Some((_, router)) = router else {
        return Problem::not_found("unknown_path", "There is nothing at this path.").into_response();
    };
    if !aliases::takes(request.method()) {
        let detail = "This path is for reading; to change something, use the path with the service's prefix.";
        return Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
            .with_header(header::ALLOW, aliases::ALLOW)
            .into_response();
    }
    match router.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

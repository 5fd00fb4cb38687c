//! How the whole shop is: what each service says of itself, asked as anybody else would ask.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use cartwright_http::{DatabaseState, Health, Json, Problem};
use cartwright_runtime::Clock;
use futures::future::join_all;
use serde::Serialize;
use tower::ServiceExt;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// An answer about health is small.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// The services to ask.
#[derive(Clone)]
pub(crate) struct Round {
    pub(crate) services: Arc<[(String, Router)]>,
    pub(crate) clock: Clock,
}

/// How the shop is.
#[derive(Debug, Serialize, ToSchema)]
struct ShopHealth {
    #[serde(flatten)]
    health: Health,
    /// How each service is, by its name.
    services: BTreeMap<String, Health>,
}

/// `GET /health`, `/livez` and `/readyz` of the gateway.
pub(crate) fn routes(round: Round) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(health)).routes(routes!(livez)).routes(routes!(readyz)).with_state(round)
}

/// How the shop and each of its services is, for people.
#[utoipa::path(get, path = "/health", tag = "health", responses(
    (status = 200, description = "All services are well.", body = ShopHealth),
    (status = 503, description = "At least one service is not.", body = ShopHealth),
))]
async fn health(State(round): State<Round>) -> Response {
    let services: BTreeMap<String, Health> =
        join_all(round.services.iter().map(|service| round.visit(service))).await.into_iter().collect();
    let is_well = services.values().all(|health| health.database == DatabaseState::Connected);
    let (status, database) = match is_well {
        true => (StatusCode::OK, DatabaseState::Connected),
        false => (StatusCode::SERVICE_UNAVAILABLE, DatabaseState::Disconnected),
    };
    let health = Health { status: "Gateway Service is running!".to_owned(), timestamp: round.clock.now(), database };
    (status, Json(ShopHealth { health, services })).into_response()
}

/// Whether this process answers at all. Asks nobody else.
#[utoipa::path(get, path = "/livez", tag = "health", responses((status = 200, description = "It answers.")))]
async fn livez() -> StatusCode {
    StatusCode::OK
}

/// Whether requests should be sent here.
#[utoipa::path(get, path = "/readyz", tag = "health", responses(
    (status = 200, description = "Every service takes requests."),
    (status = 503, description = "At least one does not.", body = Problem, content_type = "application/problem+json"),
))]
async fn readyz(State(round): State<Round>) -> Result<StatusCode, Problem> {
    let asked = round.services.iter().map(async |(name, router)| {
        let answer = ask(router, "/readyz").await;
        (!answer.status().is_success()).then(|| name.clone())
    });
    let unready: Vec<String> = join_all(asked).await.into_iter().flatten().collect();
    if unready.is_empty() {
        return Ok(StatusCode::OK);
    }
    Err(Problem::unavailable("not_ready", "Not every service takes requests.").with_fact("services", unready))
}

impl Round {
    /// What a service says of itself; a service that says nothing is not well.
    async fn visit(&self, (name, router): &(String, Router)) -> (String, Health) {
        let answer = ask(router, "/health").await;
        let body = to_bytes(answer.into_body(), ANSWER_BYTES_MAX).await.unwrap_or_default();
        let health = serde_json::from_slice(&body).unwrap_or_else(|_| Health {
            status: format!("The {name} service does not say how it is."),
            timestamp: self.clock.now(),
            database: DatabaseState::Disconnected,
        });
        (name.clone(), health)
    }
}

async fn ask(router: &Router, path: &'static str) -> Response {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = axum::http::Uri::from_static(path);
    match router.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

//! Whether a service is well: for people (`/health`) and for orchestrators (`/livez`, `/readyz`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use cartwright_runtime::Time;
use cartwright_store::Store;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::{Json, Problem};

/// A store that does not say within this time that it is well is not.
const PATIENCE: Duration = Duration::from_secs(2);

/// How a service is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `Cart Service is running!`, with the service's own name.
    pub status: String,
    /// Now.
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: Time,
    /// Whether its store answers and takes writes.
    pub database: DatabaseState,
}

/// Whether a store answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DatabaseState {
    /// It answers and takes writes.
    Connected,
    /// It does not answer, or takes no writes.
    Disconnected,
}

/// A process's word that it is about to stop: it still answers, and wants no new requests. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Leaving(Arc<AtomicBool>);

impl Leaving {
    /// Says it, for good.
    pub fn announce(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was said.
    pub fn is_announced(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Clone)]
struct Patient {
    name: &'static str,
    store: Store,
    leaving: Leaving,
}

impl Patient {
    async fn database(&self) -> DatabaseState {
        let clock = self.store.clock();
        let ready = tokio::select! {
            biased;
            ready = self.store.ready() => ready,
            () = clock.pause(PATIENCE) => return DatabaseState::Disconnected,
        };
        match ready {
            Ok(()) => DatabaseState::Connected,
            Err(error) => {
                tracing::warn!(service = self.name, %error, "the store is not ready");
                DatabaseState::Disconnected
            }
        }
    }
}

/// `GET /health`, `/livez` and `/readyz` of the service `name`, whose documents are in `store`, until it is `leaving`.
pub fn health(name: &'static str, store: Store, leaving: Leaving) -> OpenApiRouter {
    let patient = Patient { name, store, leaving };
    OpenApiRouter::new().routes(routes!(read_health)).routes(routes!(livez)).routes(routes!(readyz)).with_state(patient)
}

/// How this service is, for people.
#[utoipa::path(get, path = "/health", operation_id = "health", tag = "health", responses(
    (status = 200, description = "It is well.", body = Health),
    (status = 503, description = "Its store does not answer.", body = Health),
))]
async fn read_health(State(patient): State<Patient>) -> Response {
    let database = patient.database().await;
    let status = match database {
        DatabaseState::Connected => StatusCode::OK,
        DatabaseState::Disconnected => StatusCode::SERVICE_UNAVAILABLE,
    };
    let health = Health {
        status: format!("{} Service is running!", capitalised(patient.name)),
        timestamp: patient.store.clock().now(),
        database,
    };
    (status, Json(health)).into_response()
}

/// Whether this process answers at all. Asks nobody else.
#[utoipa::path(get, path = "/livez", tag = "health", responses((status = 200, description = "It answers.")))]
async fn livez() -> StatusCode {
    StatusCode::OK
}

/// Whether requests should be sent here.
#[utoipa::path(get, path = "/readyz", tag = "health", responses(
    (status = 200, description = "Its store takes writes."),
    (status = 503, description = "Its store does not take writes.", body = Problem, content_type = "application/problem+json"),
))]
async fn readyz(State(patient): State<Patient>) -> Result<StatusCode, Problem> {
    if patient.leaving.is_announced() {
        return Err(Problem::unavailable("not_ready", "This process is about to stop."));
    }
    match patient.database().await {
        DatabaseState::Connected => Ok(StatusCode::OK),
        DatabaseState::Disconnected => Err(Problem::unavailable("not_ready", "The store does not take writes.")),
    }
}

fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

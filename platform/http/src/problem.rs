//! RFC 9457 problem documents: the one shape of every refusal.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cartwright_store::{KeyReused, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// One field of the input that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InvalidField {
    /// A JSON pointer (RFC 6901) to it, or the name of the query parameter.
    pub pointer: String,
    /// What is wrong with it, for people.
    pub detail: String,
}

/// Why a request was refused. `code` is stable and meant for programs, `detail` for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// A URI reference that names the kind of problem: `/docs/problems#code`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status in words.
    pub title: String,
    /// The HTTP status code.
    pub status: u16,
    /// What happened and what to do, for people.
    pub detail: String,
    /// The id of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The stable name of the problem.
    pub code: String,
    /// The fields that were refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<InvalidField>,
    /// Facts that belong to this kind of problem.
    #[serde(flatten)]
    pub facts: Map<String, Value>,
    #[serde(skip)]
    #[schema(ignore)]
    headers: Vec<(String, String)>,
}

impl Problem {
    /// A problem of `status`, with its stable `code` and a text for people.
    pub fn new(status: StatusCode, code: &str, detail: impl ToString) -> Self {
        Self {
            kind: format!("/docs/problems#{code}"),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: detail.to_string(),
            instance: None,
            code: code.to_owned(),
            errors: Vec::new(),
            facts: Map::new(),
            headers: Vec::new(),
        }
    }

    /// 400: the request cannot be understood or breaks a rule that needs no data to check.
    pub fn bad_request(code: &str, detail: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 400 `invalid_input` about one field; `pointer` is a JSON pointer.
    pub fn invalid(pointer: &str, detail: impl ToString) -> Self {
        Self::bad_request("invalid_input", "Some of the input is not valid.").with_error(pointer, detail)
    }

    /// 401: no valid token.
    pub fn unauthorized(code: &str, detail: impl ToString) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, detail).with_header(header::WWW_AUTHENTICATE, "Bearer")
    }

    /// 403: a valid token that does not allow this.
    pub fn forbidden(detail: impl ToString) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// 404.
    pub fn not_found(code: &str, detail: impl ToString) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// 409: the request does not fit the present state.
    pub fn conflict(code: &str, detail: impl ToString) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// 412: `If-Match` names an old version; `present` is the present one.
    pub fn precondition_failed(present: u64) -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "version_changed",
            "It has changed since the version that If-Match names. Read it again.",
        )
        .with_fact("version", present)
        .with_header(header::ETAG, &crate::etag(present))
    }

    /// 503 with `Retry-After`: not now.
    pub fn unavailable(code: &str, detail: impl ToString) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).with_header(header::RETRY_AFTER, "1")
    }

    /// 500; `cause` goes to the log only.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "Something went wrong on our side.")
    }

    /// Adds a field that was refused.
    #[must_use]
    pub fn with_error(mut self, pointer: &str, detail: impl ToString) -> Self {
        self.errors.push(InvalidField { pointer: pointer.to_owned(), detail: detail.to_string() });
        self
    }

    /// Adds a fact to the document.
    #[must_use]
    pub fn with_fact(mut self, name: &str, value: impl Serialize) -> Self {
        if let Ok(value) = serde_json::to_value(value) {
            drop(self.facts.insert(name.to_owned(), value));
        }
        self
    }

    /// Adds a header to the response.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.push((name.to_string(), value.to_owned()));
        self
    }

    /// Names the request that was refused.
    #[must_use]
    pub fn with_instance(mut self, request_id: &str) -> Self {
        self.instance = Some(request_id.to_owned());
        self
    }

    /// The response without the marker that lets the edge name the request; see [`IntoResponse`].
    pub fn render(&self) -> Response {
        let body = serde_json::to_vec(self).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        drop(headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json")));
        for (name, value) in &self.headers {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
                drop(headers.insert(name, value));
            }
        }
        response
    }
}

impl IntoResponse for Problem {
    /// The document, and the problem itself among the response's extensions, so that the edge can name the request in it.
    fn into_response(self) -> Response {
        let mut response = self.render();
        drop(response.extensions_mut().insert(self));
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict { .. } | StoreError::NotUnique { .. } => Self::unavailable(
                "contended",
                "Too many changes of the same thing at once. Nothing happened; try again.",
            ),
            StoreError::Busy(_) => {
                Self::unavailable("overloaded", "Too busy at the moment. Nothing happened; try again.")
            }
            StoreError::Full(_) => Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "storage_full",
                "There is no room to store this. Nothing happened.",
            ),
            StoreError::Unavailable(cause) => {
                tracing::error!(cause, "the store is unavailable");
                Self::unavailable(
                    "store_unavailable",
                    "It is not known whether this took effect. Repeat it with the same Idempotency-Key.",
                )
            }
            StoreError::Unusable(cause) => Self::internal(&cause),
        }
    }
}

impl From<KeyReused> for Problem {
    fn from(error: KeyReused) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", error)
    }
}

//! A body that may be left out: no bytes are the same as an object without fields.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use cartwright_http::{Json, Problem};
use serde::de::DeserializeOwned;

/// A JSON body, or nothing.
pub(crate) struct Maybe<T>(pub(crate) T);

impl<T, S> FromRequest<S> for Maybe<T>
where
    T: DeserializeOwned + Default,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes =
            Bytes::from_request(Request::from_parts(parts.clone(), body), state).await.map_err(|rejection| {
                match rejection.status() {
                    StatusCode::PAYLOAD_TOO_LARGE => {
                        Problem::new(rejection.status(), "body_too_large", "The body is larger than this route takes.")
                    }
                    _ => Problem::bad_request("body_incomplete", "The body ended before it was complete."),
                }
            })?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        let Json(value) = Json::from_request(Request::from_parts(parts, Body::from(bytes)), state).await?;
        Ok(Self(value))
    }
}

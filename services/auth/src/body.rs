//! A body that may be left out: no bytes are the same as an object without fields.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::response::IntoResponse;
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
                let status = rejection.into_response().status();
                Problem::new(status, "body_incomplete", "The body is too large, or ended before it was complete.")
            })?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        let Json(value) = Json::from_request(Request::from_parts(parts, Body::from(bytes)), state).await?;
        Ok(Self(value))
    }
}

//! Commands: a caller, a typed body and the request's identity, read in one go; and the answer to one.

use axum::extract::{FromRequest, FromRequestParts, MatchedPath};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use cartwright_store::{Answer, Request};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Caller, Json, Problem};

/// A body sent by a caller, under the `Idempotency-Key` it came with, if any.
///
/// The key's scope is the caller and the route; the fingerprint is that of the typed body, so unknown fields and the order
/// of fields do not matter.
#[derive(Clone, Debug)]
pub struct Command<T> {
    /// Who sent it.
    pub caller: Caller,
    /// What they want.
    pub body: T,
    /// The request's identity, for [`cartwright_store::execute`].
    pub request: Request,
}

impl<T, S> FromRequest<S> for Command<T>
where
    T: DeserializeOwned + Serialize,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: axum::extract::Request, state: &S) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let caller = <Caller as FromRequestParts<S>>::from_request_parts(&mut parts, state).await?;
        let key = IdempotencyKey::of(&parts)?;
        let request = axum::extract::Request::from_parts(parts, body);
        let Json(body) = Json::<T>::from_request(request, state).await?;
        let request = key.request(&caller.id, &body)?;
        Ok(Self { caller, body, request })
    }
}

/// The `Idempotency-Key` of a request and the route it was sent to.
#[derive(Clone, Debug, Default)]
pub struct IdempotencyKey {
    key: Option<String>,
    route: String,
}

impl IdempotencyKey {
    /// The identity of the request of `principal` with this typed body.
    ///
    /// # Errors
    /// When the body cannot be written as JSON.
    pub fn request(&self, principal: &str, body: &impl Serialize) -> Result<Request, Problem> {
        let Some(key) = &self.key else { return Ok(Request::unkeyed()) };
        let fingerprint = serde_json::to_vec(body).map_err(|error| Problem::internal(&error))?;
        Ok(Request::keyed(principal, &self.route, key, &fingerprint))
    }

    /// Reads the header: visible ASCII, bare or as a quoted string. Short keys are taken too; long ones are better.
    fn of(parts: &Parts) -> Result<Self, Problem> {
        let path = parts.extensions.get::<MatchedPath>().map_or(parts.uri.path(), MatchedPath::as_str);
        let route = format!("{} {path}", parts.method);
        let Some(value) = parts.headers.get("idempotency-key") else { return Ok(Self { key: None, route }) };
        let text = value.to_str().unwrap_or("").trim();
        let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        if !(1..=255).contains(&bare.len()) || !bare.bytes().all(|byte| byte.is_ascii_graphic()) {
            let detail = "An Idempotency-Key has 1 to 255 visible ASCII characters; 16 or more are advised.";
            return Err(Problem::bad_request("invalid_idempotency_key", detail));
        }
        Ok(Self { key: Some(bare.to_owned()), route })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        Self::of(parts)
    }
}

/// The response to a command: `status` and the reply as JSON; a replayed one says so in `Idempotent-Replayed`.
pub fn answer<R: Serialize>(status: StatusCode, answer: Answer<R>) -> Response {
    let mut headers = HeaderMap::new();
    if answer.replayed {
        drop(headers.insert("idempotent-replayed", HeaderValue::from_static("true")));
    }
    (status, headers, Json(answer.reply)).into_response()
}

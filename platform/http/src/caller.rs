//! Who is calling: the holder of a verified bearer token.

use std::sync::Arc;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::header;
use axum::http::request::Parts;
use cartwright_runtime::Time;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Problem;

/// What a caller may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// An anonymous shopper.
    Guest,
    /// A registered shopper.
    Customer,
    /// One who runs the shop.
    Admin,
    /// Another service.
    Service,
}

/// The holder of a verified token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The user's id, or the service's name.
    pub id: String,
    /// What they may do.
    pub role: Role,
    /// The session that the token belongs to.
    pub session: String,
    /// When the token ends.
    pub expires_at: Time,
}

/// Why a token was refused; the text may be shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TokenRefused(pub &'static str);

/// Checks tokens. Handed to the routes as an extension, `Extension<Arc<dyn Verifier>>`.
pub trait Verifier: Send + Sync + 'static {
    /// The holder of `token`.
    ///
    /// # Errors
    /// When the token is not ours, not valid now, or was revoked.
    fn verify(&self, token: &str) -> Result<Caller, TokenRefused>;
}

impl Caller {
    /// Whether this is an admin, or another service.
    pub const fn is_staff(&self) -> bool {
        matches!(self.role, Role::Admin | Role::Service)
    }

    /// Lets the user `id`, admins and services through.
    ///
    /// # Errors
    /// 403 for everybody else.
    pub fn may_act_for(&self, id: &str) -> Result<(), Problem> {
        if self.id == id || self.is_staff() {
            Ok(())
        } else {
            Err(Problem::forbidden("This belongs to somebody else."))
        }
    }

    /// Lets admins and services through: an admin may do what a service may.
    ///
    /// # Errors
    /// 403 for everybody else.
    pub fn must_be_staff(&self) -> Result<(), Problem> {
        if self.is_staff() { Ok(()) } else { Err(Problem::forbidden("This needs an admin or a service.")) }
    }

    /// Lets admins through.
    ///
    /// # Errors
    /// 403 for everybody else.
    pub fn must_be_admin(&self) -> Result<(), Problem> {
        if self.role == Role::Admin { Ok(()) } else { Err(Problem::forbidden("This needs an admin.")) }
    }

    fn of(parts: &Parts) -> Result<Option<Self>, Problem> {
        let Some(value) = parts.headers.get(header::AUTHORIZATION) else { return Ok(None) };
        let token = value.to_str().ok().and_then(|text| {
            let (scheme, token) = text.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let token =
            token.ok_or_else(|| Problem::unauthorized("invalid_token", "Authorization must be `Bearer <token>`."))?;
        let verifier = parts.extensions.get::<Arc<dyn Verifier>>();
        let verifier = verifier.ok_or_else(|| Problem::internal(&"no verifier among the extensions"))?;
        verifier.verify(token).map(Some).map_err(|refused| Problem::unauthorized("invalid_token", refused))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        Self::of(parts)?.ok_or_else(|| Problem::unauthorized("token_missing", "This needs a token: log in first."))
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Problem> {
        Self::of(parts)
    }
}

//! The routes of auth: extract, run the operation, answer.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cartwright_http::{Caller, IdempotencyKey, Json, Problem, Role, Verifier};
use cartwright_runtime::{Secret, Time};
use cartwright_store::{KeyReused, Stored};
use cartwright_vocabulary::{Email, UserId};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::body::Maybe;
use crate::client::Client;
use crate::documents::user_by_email;
use crate::domain::address_book::{AddressBook, SavedAddress};
use crate::domain::password::Password;
use crate::domain::profile::{self, NotificationPreferences, PreferencesChange, ProfileChange};
use crate::domain::refresh_token::RefreshToken;
use crate::domain::user::{User, UserView};
use crate::issuing::Opened;
use crate::keyring::PublicKey;
use crate::operations::refresh_session::Refreshed;
use crate::operations::{
    change_password, change_profile, enter_as_guest, log_in, log_out, refresh_session, register as registering,
};
use crate::{AuthError, Core};

/// The routes, relative to the gateway's prefix.
pub(crate) fn routes(core: Arc<Core>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(register))
        .routes(routes!(login))
        .routes(routes!(guest))
        .routes(routes!(validate_token))
        .routes(routes!(refresh))
        .routes(routes!(logout))
        .routes(routes!(logout_all))
        .routes(routes!(me, patch_me))
        .routes(routes!(post_change_password))
        .routes(routes!(jwks))
        .with_state(core)
}

/// What makes an account.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Register {
    /// Compared without regard to case; one account for each.
    email: Email,
    /// At least 8 characters, any characters; the passwords that attackers try first are refused.
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String, format = "password", min_length = 8, max_length = 256)]
    password: Secret<String>,
    /// What to call them.
    #[serde(default)]
    name: Option<String>,
}

/// What of a registration its idempotency key stands for. Not the password: a fast hash of it must not be stored.
#[derive(Serialize)]
struct Registration<'a> {
    email: &'a Email,
    name: &'a Option<String>,
}

/// What proves an account.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Login {
    /// The address of the account.
    email: Email,
    /// Its password.
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String, format = "password")]
    password: Secret<String>,
}

/// A session and what goes with it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SessionView {
    /// Whose it is.
    user: UserView,
    /// Their id.
    user_id: UserId,
    /// The access token, a JWT, for `Authorization: Bearer`.
    token: String,
    /// Always `Bearer`.
    token_type: &'static str,
    /// Seconds for which the access token is good.
    expires_in: u64,
    /// Works once at `/refresh`. Absent with `X-Session: cookie`.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
}

/// A token to look at, where it does not come as bearer.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ValidateToken {
    /// The access token.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    token: Option<Secret<String>>,
}

/// What a token is worth.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TokenView {
    /// Whether it is accepted now.
    valid: bool,
    /// Whose it is: a user's id, or a service's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    /// Their address; absent for guests and services.
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<Email>,
    /// What they may do.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    expires_at: Option<Time>,
    /// Why it is not accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// A refresh token, where it is not in the cookie.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Refresh {
    /// As it was given by the last answer.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    refresh_token: Option<Secret<String>>,
}

/// Somebody as they see themselves.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MeView {
    #[serde(flatten)]
    user: UserView,
    /// Their telephone number.
    phone: Option<String>,
    /// Their addresses.
    addresses: Vec<SavedAddress>,
    /// By which ways they want to hear from the shop.
    notification_preferences: NotificationPreferences,
}

/// Changes of one's own profile. What is left out stays; `null` empties.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ProfilePatch {
    /// What to call them.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, max_length = 200)]
    name: Option<Option<String>>,
    /// Their telephone number.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, max_length = 40)]
    phone: Option<Option<String>>,
    /// All their addresses, 20 at most. The first one is the default where none is named.
    #[serde(default)]
    addresses: Option<Vec<SavedAddress>>,
    /// By which ways they want to hear from the shop.
    #[serde(default)]
    notification_preferences: Option<PreferencesChange>,
}

/// Another password.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ChangePassword {
    /// The present one.
    #[serde(deserialize_with = "secret", alias = "oldPassword")]
    #[schema(value_type = String, format = "password")]
    current_password: Secret<String>,
    /// The one to have from now on.
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String, format = "password", min_length = 8, max_length = 256)]
    new_password: Secret<String>,
}

/// The public keys that access tokens can be checked with (RFC 7517). Empty where `JWT_SECRET` is set.
#[derive(Serialize, ToSchema)]
struct KeySet {
    keys: Vec<PublicKey>,
}

/// Makes an account and opens its first session.
///
/// With an `Idempotency-Key`, a repeat opens another session of the same account, given the same password.
#[utoipa::path(post, path = "/register", tag = "auth", operation_id = "authRegister", request_body = Register, responses(
    (status = 201, description = "The account and its first session", body = SessionView),
    (status = 400, description = "Invalid input, or `weak_password`", body = Problem),
    (status = 409, description = "`email_taken`", body = Problem),
    (status = 422, description = "`idempotency_key_reused`", body = Problem),
    (status = 503, description = "Too many passwords are being hashed", body = Problem),
))]
async fn register(
    State(core): State<Arc<Core>>,
    client: Client,
    key: IdempotencyKey,
    Json(body): Json<Register>,
) -> Result<Response, Problem> {
    let name = body.name.as_deref().map_or(Ok(None), profile::name).map_err(|detail| invalid("/name", detail))?;
    let password = core.chosen(&body.password, "/password", &body.email, name.as_deref())?;
    let request = key.request(&client.mark, &Registration { email: &body.email, name: &name })?;
    if request.receipt().is_none() && user_by_email(&core.store, &body.email).await?.is_some() {
        return Err(AuthError::EmailTaken.into());
    }
    let hash = core.hasher.hash(&password).await?;
    let (id, now) = (UserId::new(core.store.ids().uuid()), core.store.clock().now());
    let mut user = User::registered(id, Role::Customer, body.email.clone(), hash, now);
    user.name = name;
    let opened = core.opened(user);
    let answer = registering::register(&core.store, &request, &body.email, &opened).await?;
    if !answer.replayed {
        return core.answer(StatusCode::CREATED, &client, &opened, false);
    }
    let user = core.user(answer.reply).await?;
    if !core.hasher.matches(Some(password), user.password.clone()).await? {
        return Err(AuthError::from(KeyReused).into());
    }
    core.answer_again(&client, user).await
}

/// Opens a session for whoever knows the password.
#[utoipa::path(post, path = "/login", tag = "auth", operation_id = "authLogin", request_body = Login, responses(
    (status = 200, description = "A session", body = SessionView),
    (status = 401, description = "`invalid_credentials`: unknown address or wrong password, not told which", body = Problem),
    (status = 429, description = "`too_many_attempts`", body = Problem),
    (status = 503, description = "Too many passwords are being checked", body = Problem),
))]
async fn login(State(core): State<Arc<Core>>, client: Client, Json(body): Json<Login>) -> Result<Response, Problem> {
    let counted = client.counted(core.settings.exempt_loopback);
    if let Some(address) = counted {
        core.attempts.begin(body.email.as_str(), address, core.store.clock().now())?;
    }
    let password = body.password.reveal();
    let user = log_in::identify(&core.store, &core.hasher, &body.email, password).await?;
    if let Some(address) = counted {
        core.attempts.succeeded(body.email.as_str(), address);
    }
    log_in::renew_hash(&core.store, &core.hasher, &user, password).await;
    let opened = core.opened(user);
    log_in::open_session(&core.store, &opened).await?;
    core.answer(StatusCode::OK, &client, &opened, false)
}

/// Lets an anonymous shopper in, who can fill a cart and check out.
#[utoipa::path(post, path = "/guest", tag = "auth", operation_id = "authGuest", responses(
    (status = 201, description = "A session of a new guest", body = SessionView),
))]
async fn guest(State(core): State<Arc<Core>>, client: Client, key: IdempotencyKey) -> Result<Response, Problem> {
    let request = key.request(&client.mark, &())?;
    let (id, now) = (UserId::new(core.store.ids().uuid()), core.store.clock().now());
    let opened = core.opened(User::guest(id, now));
    let answer = enter_as_guest::enter_as_guest(&core.store, &request, &opened).await?;
    if !answer.replayed {
        return core.answer(StatusCode::CREATED, &client, &opened, false);
    }
    let user = core.user(answer.reply).await?;
    core.answer_again(&client, user).await
}

/// Says what an access token is worth. The token comes as bearer or in the body.
#[utoipa::path(post, path = "/validate-token", tag = "auth", operation_id = "authValidateToken", request_body = Option<ValidateToken>, responses(
    (status = 200, description = "Whether it is accepted, and whose it is or why not", body = TokenView),
))]
async fn validate_token(
    State(core): State<Arc<Core>>,
    headers: HeaderMap,
    Maybe(body): Maybe<ValidateToken>,
) -> Result<Response, Problem> {
    let token = body.token.as_ref().map(Secret::reveal).map(String::as_str).or_else(|| bearer(&headers));
    let refused = |reason| TokenView {
        valid: false,
        user_id: None,
        email: None,
        role: None,
        expires_at: None,
        reason: Some(reason),
    };
    let view = match token.map(|token| core.gate.verify(token)) {
        None => refused("There is no token."),
        Some(Err(why)) => refused(why.0),
        Some(Ok(caller)) => TokenView {
            valid: true,
            email: core.email_of(&caller).await?,
            user_id: Some(caller.id),
            role: Some(caller.role),
            expires_at: Some(caller.expires_at),
            reason: None,
        },
    };
    Ok(private(Json(view)))
}

/// Trades a refresh token for a new pair. It works once; a second use ends the session.
///
/// With `X-Session: cookie` the token is taken from and kept in the cookie; the page must be of the shop's own origin.
#[utoipa::path(post, path = "/refresh", tag = "auth", operation_id = "authRefresh", request_body = Option<Refresh>, responses(
    (status = 200, description = "A new pair", body = SessionView),
    (status = 401, description = "`invalid_refresh_token`", body = Problem),
    (status = 403, description = "`foreign_origin`", body = Problem),
))]
async fn refresh(
    State(core): State<Arc<Core>>,
    mut client: Client,
    Maybe(body): Maybe<Refresh>,
) -> Result<Response, Problem> {
    let text = match &body.refresh_token {
        Some(token) => token.reveal().as_str(),
        None => client.cookie_token(&core.settings.allowed_origins)?,
    };
    let token = RefreshToken::parse(text).ok_or(AuthError::InvalidRefreshToken)?;
    // What came in a cookie goes back into it: no script shall ever see it.
    client.wants_cookie |= body.refresh_token.is_none();
    let life = core.settings.jwt_expires_in;
    match refresh_session::refresh_session(&core.store, &token, &client.mark, life).await? {
        Refreshed::Granted(opened) => core.answer(StatusCode::OK, &client, &opened, false),
        Refreshed::Ended(revocation) => {
            core.gate.revoke(&revocation.tokens());
            Err(AuthError::InvalidRefreshToken.into())
        }
    }
}

/// Ends this session.
#[utoipa::path(post, path = "/logout", tag = "auth", operation_id = "authLogout", security(("bearer" = [])), responses(
    (status = 204, description = "It has ended"),
    (status = 401, description = "No valid token", body = Problem),
))]
async fn logout(State(core): State<Arc<Core>>, caller: Caller, client: Client) -> Result<Response, Problem> {
    // A service's token belongs to no session and ends by itself.
    if let Ok(session) = caller.session.parse()
        && let Some(revocation) = log_out::log_out(&core.store, session).await?
    {
        core.gate.revoke(&revocation.tokens());
    }
    Ok(ended(&client))
}

/// Ends every session of the caller, on all devices.
#[utoipa::path(post, path = "/logout-all", tag = "auth", operation_id = "authLogoutAll", security(("bearer" = [])), responses(
    (status = 204, description = "They have ended"),
    (status = 401, description = "No valid token", body = Problem),
))]
async fn logout_all(State(core): State<Arc<Core>>, caller: Caller, client: Client) -> Result<Response, Problem> {
    let revocation = log_out::log_out_everywhere(&core.store, holder(&caller)?).await?;
    core.gate.revoke(&revocation.tokens());
    Ok(ended(&client))
}

/// Who the caller is.
#[utoipa::path(get, path = "/me", tag = "auth", operation_id = "authMe", security(("bearer" = [])), responses(
    (status = 200, description = "Their profile", body = MeView),
    (status = 401, description = "No valid token", body = Problem),
))]
async fn me(State(core): State<Arc<Core>>, caller: Caller) -> Result<Response, Problem> {
    let user = core.user(holder(&caller)?).await?;
    Ok(private(Json(MeView::from(user))))
}

/// Changes the caller's profile: name, telephone number, addresses, notification preferences; nothing else.
#[utoipa::path(patch, path = "/me", tag = "auth", operation_id = "authChangeMe", security(("bearer" = [])), request_body = ProfilePatch, responses(
    (status = 200, description = "Their profile, changed", body = MeView),
    (status = 400, description = "Invalid input", body = Problem),
    (status = 401, description = "No valid token", body = Problem),
))]
async fn patch_me(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Json(patch): Json<ProfilePatch>,
) -> Result<Response, Problem> {
    let user = change_profile::change_profile(&core.store, holder(&caller)?, &patch.checked()?).await?;
    Ok(private(Json(MeView::from(user))))
}

/// Gives the caller another password and ends all their sessions, this one too.
#[utoipa::path(post, path = "/change-password", tag = "auth", operation_id = "authChangePassword", security(("bearer" = [])), request_body = ChangePassword, responses(
    (status = 204, description = "Log in with the new password"),
    (status = 400, description = "`invalid_credentials` about the present password, `weak_password` about the new one", body = Problem),
    (status = 401, description = "No valid token", body = Problem),
    (status = 403, description = "Guests and services have no password", body = Problem),
    (status = 429, description = "`too_many_attempts`", body = Problem),
))]
async fn post_change_password(
    State(core): State<Arc<Core>>,
    caller: Caller,
    client: Client,
    Json(body): Json<ChangePassword>,
) -> Result<Response, Problem> {
    let user = core.user(holder(&caller)?).await?;
    let (Some(email), Some(old)) = (&user.email, &user.password) else { return Err(AuthError::NeedsAccount.into()) };
    let new = core.chosen(&body.new_password, "/newPassword", email, user.name.as_deref())?;
    let counted = client.counted(core.settings.exempt_loopback);
    if let Some(address) = counted {
        core.attempts.begin(email.as_str(), address, core.store.clock().now())?;
    }
    let typed = Password::typed(body.current_password.reveal());
    if !core.hasher.matches(typed, Some(old.clone())).await? {
        return Err(AuthError::WrongPassword.into());
    }
    if let Some(address) = counted {
        core.attempts.succeeded(email.as_str(), address);
    }
    let new = core.hasher.hash(&new).await?;
    let revocation = change_password::change_password(&core.store, &user, old, &new).await?;
    core.gate.revoke(&revocation.tokens());
    Ok(ended(&client))
}

/// The public keys.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "auth", operation_id = "authKeys", responses(
    (status = 200, description = "The keys that access tokens are signed with", body = KeySet),
))]
async fn jwks(State(core): State<Arc<Core>>) -> Response {
    let keys = Json(KeySet { keys: core.keyring.public_keys() });
    ([(header::CACHE_CONTROL, "public, max-age=300")], keys).into_response()
}

impl Core {
    fn opened(&self, user: User) -> Opened {
        Opened::new(&self.store, user, self.settings.jwt_expires_in)
    }

    async fn user(&self, id: UserId) -> Result<User, AuthError> {
        let user: Option<Stored<User>> = self.store.get(id.to_string()).await?;
        user.map(|user| user.doc).ok_or(AuthError::UnknownHolder)
    }

    async fn email_of(&self, caller: &Caller) -> Result<Option<Email>, AuthError> {
        let Ok(id) = caller.id.parse::<UserId>() else { return Ok(None) };
        let user: Option<Stored<User>> = self.store.get(id.to_string()).await?;
        Ok(user.and_then(|user| user.doc.email))
    }

    fn chosen(
        &self,
        text: &Secret<String>,
        pointer: &'static str,
        email: &Email,
        name: Option<&str>,
    ) -> Result<Password, AuthError> {
        let context = [email.as_str(), name.unwrap_or(""), "cartwright"];
        Password::chosen(text.reveal(), self.settings.password_min, &context)
            .map_err(|why| AuthError::WeakPassword { pointer, why })
    }

    /// The answer to a repeated request: another session of the same user, since no token is kept to be given again.
    async fn answer_again(&self, client: &Client, user: User) -> Result<Response, Problem> {
        let opened = self.opened(user);
        log_in::open_session(&self.store, &opened).await?;
        self.answer(StatusCode::CREATED, client, &opened, true)
    }

    fn answer(
        &self,
        status: StatusCode,
        client: &Client,
        opened: &Opened,
        replayed: bool,
    ) -> Result<Response, Problem> {
        let token = opened.token(&self.keyring, &self.store)?;
        let view = SessionView {
            user: opened.user.view(),
            user_id: opened.user.id,
            token,
            token_type: "Bearer",
            expires_in: opened.ends_at.since(self.store.clock().now()).as_secs(),
            refresh_token: if client.wants_cookie { None } else { Some(opened.refresh.reveal()) },
        };
        let mut response = private((status, Json(view)));
        let headers = response.headers_mut();
        if client.wants_cookie
            && let Some(cookie) = client.keep(&opened.refresh)
        {
            headers.append(header::SET_COOKIE, cookie);
        }
        if replayed {
            drop(headers.insert("idempotent-replayed", HeaderValue::from_static("true")));
        }
        Ok(response)
    }
}

impl ProfilePatch {
    fn checked(self) -> Result<ProfileChange, AuthError> {
        let line = |given: Option<Option<String>>, check: fn(&str) -> Result<Option<String>, &'static str>, pointer| {
            let checked = given.map(|text| text.as_deref().map_or(Ok(None), check)).transpose();
            checked.map_err(|detail| invalid(pointer, detail))
        };
        let addresses = self.addresses.map(AddressBook::checked).transpose();
        Ok(ProfileChange {
            name: line(self.name, profile::name, "/name")?,
            phone: line(self.phone, profile::phone, "/phone")?,
            addresses: addresses.map_err(|wrong| invalid(&format!("/addresses{}", wrong.pointer), wrong.detail))?,
            notification_preferences: self.notification_preferences,
        })
    }
}

impl From<User> for MeView {
    fn from(user: User) -> Self {
        Self {
            user: user.view(),
            phone: user.phone,
            addresses: user.addresses.saved().to_vec(),
            notification_preferences: user.notification_preferences,
        }
    }
}

/// The user whose token it is; services are none.
fn holder(caller: &Caller) -> Result<UserId, AuthError> {
    caller.id.parse().map_err(|_| AuthError::NeedsAccount)
}

fn invalid(pointer: &str, detail: &str) -> AuthError {
    AuthError::Invalid { pointer: pointer.to_owned(), detail: detail.to_owned() }
}

/// A text that no error message may repeat, not even where it is of the wrong type.
fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret<String>, D::Error> {
    Secret::deserialize(deserializer).map_err(|_| serde::de::Error::custom("a text is needed"))
}

/// A field that was given, be it `null`.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// An answer that no cache may keep.
fn private(answer: impl IntoResponse) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], answer).into_response()
}

/// 204, and no cookie any more.
fn ended(client: &Client) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Some(cookie) = client.forget() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

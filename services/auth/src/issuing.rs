//! Access tokens: what each kind of holder is given.

use std::time::Duration;

use cartwright_http::Role;
use cartwright_runtime::Time;
use cartwright_store::Store;

use crate::AuthError;
use crate::domain::refresh_token::RefreshToken;
use crate::domain::session::{Seed, Session};
use crate::domain::user::User;
use crate::keyring::{Claims, Keyring};

/// A session that begins or goes on, and the tokens that go with it.
pub(crate) struct Opened {
    pub(crate) user: User,
    pub(crate) session: Session,
    pub(crate) refresh: RefreshToken,
    /// When the access token ends.
    pub(crate) ends_at: Time,
}

impl Opened {
    /// A new session of `user`, not yet stored, whose access tokens live for `life`.
    pub(crate) fn new(store: &Store, user: User, life: Duration) -> Self {
        let (ids, now) = (store.ids(), store.clock().now());
        let seed = Seed { key: ids.bytes(), secret: ids.bytes() };
        let id = crate::domain::refresh_token::SessionId::new(ids.uuid());
        let (mut session, refresh) = Session::open(id, user.id, user.epoch, seed, now);
        let ends_at = session.issue(life, now);
        Self { user, session, refresh, ends_at }
    }

    /// The access token.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub(crate) fn token(&self, keyring: &Keyring, store: &Store) -> Result<String, AuthError> {
        let now = store.clock().now().seconds();
        keyring.sign(&Claims {
            iss: keyring.issuer(),
            aud: keyring.audience(),
            sub: self.user.id.to_string(),
            sid: self.session.id.to_string(),
            jti: store.ids().uuid().simple().to_string(),
            client_id: "shop".to_owned(),
            scope: scope(self.user.role).to_owned(),
            role: self.user.role,
            epoch: self.user.epoch,
            iat: now,
            nbf: now,
            exp: self.ends_at.seconds(),
        })
    }
}

/// The access token of the service `name`, good for `life`. It belongs to no session.
///
/// # Errors
/// When it cannot be signed.
pub(crate) fn service_token(keyring: &Keyring, store: &Store, name: &str, life: Duration) -> Result<String, AuthError> {
    let now = store.clock().now();
    keyring.sign(&Claims {
        iss: keyring.issuer(),
        aud: keyring.audience(),
        sub: name.to_owned(),
        sid: format!("service:{name}"),
        jti: store.ids().uuid().simple().to_string(),
        client_id: name.to_owned(),
        scope: scope(Role::Service).to_owned(),
        role: Role::Service,
        epoch: 0,
        iat: now.seconds(),
        nbf: now.seconds(),
        exp: now.plus(life).seconds(),
    })
}

const fn scope(role: Role) -> &'static str {
    match role {
        Role::Guest => "shop",
        Role::Customer => "shop account",
        Role::Admin => "shop account admin",
        Role::Service => "service",
    }
}

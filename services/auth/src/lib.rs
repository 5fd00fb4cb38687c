//! Auth: who is calling, and what they may do.
//!
//! Promises that a token that was forged, has expired or was revoked gets nobody in; that a refresh token works once, and
//! its copy ends the session; that nobody learns from an answer or its cost whether an account exists; and that passwords
//! and tokens are stored as hashes only.

mod api;
mod attempts;
mod body;
mod client;
mod documents;
mod domain;
mod error;
mod gate;
mod hashing;
mod issuing;
mod keyring;
mod operations;
mod peer;
mod remote;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use cartwright_bus::DeadLetter;
use cartwright_contracts::{TokenGuard, Users};
use cartwright_http::{Role, Verifier};
use cartwright_runtime::Secret;
use cartwright_service::{Job, Service};
use cartwright_store::{Changes, Database, Document, Store, StoreError};
use cartwright_vocabulary::{Email, UserId};

pub use domain::password::WeakPassword;
pub use error::AuthError;
pub use remote::TokenChecker;
pub use settings::{Hashing, Pepper, Settings, parse_lifetime};

use attempts::Attempts;
use documents::{Revocation, SigningKey, user_by_email};
use domain::password::Password;
use domain::session::{Bytes32, Session};
use domain::user::User;
use gate::Gate;
use hashing::Hasher;
use keyring::Keyring;

/// How often revocations and keys of other processes are looked for; they take effect within 5 s (R-A 4).
const CATCH_UP: Duration = Duration::from_secs(2);
/// How often what has ended is removed.
const SWEEP: Duration = Duration::from_secs(3600);

/// Auth's part of `database`.
///
/// # Errors
/// When the engine cannot prepare the collections.
pub async fn open(database: &Database) -> Result<Store, StoreError> {
    let collections = [User::spec(), Session::spec(), SigningKey::spec(), Revocation::spec(), DeadLetter::spec()];
    database.scoped("auth", &collections).await
}

/// Everything the routes and operations need.
pub(crate) struct Core {
    store: Store,
    settings: Settings,
    keyring: Arc<Keyring>,
    gate: Arc<Gate>,
    hasher: Hasher,
    attempts: Attempts,
}

/// Auth, running. Cheap to clone.
#[derive(Clone)]
pub struct Auth(Arc<Core>);

/// Loads the signing keys, or makes the first one, and learns what was revoked.
///
/// # Errors
/// [`AuthError::Settings`] with a sentence about a setting that cannot be used, or the store's own error.
pub async fn start(store: Store, settings: Settings) -> Result<Auth, AuthError> {
    settings.check()?;
    let keyring = Arc::new(Keyring::new(settings.issuer.clone(), settings.audience.clone()));
    match &settings.jwt_secret {
        Some(secret) => keyring.share(secret),
        None => {
            make_first_key(&store).await?;
            load_keys(&store, &keyring).await?;
        }
    }
    let gate = Arc::new(Gate::new(Arc::clone(&keyring), store.clock().clone()));
    gate.learn(&store).await?;
    let hasher = Hasher::new(settings.hashing, settings.pepper.clone(), store.ids().clone())?;
    Ok(Auth(Arc::new(Core { store, settings, keyring, gate, hasher, attempts: Attempts::default() })))
}

impl Auth {
    /// Routes and jobs.
    pub fn service(&self) -> Service {
        let clock = self.0.store.clock();
        let (here, swept) = (Arc::clone(&self.0), self.0.store.clone());
        let jobs = vec![
            Job::every(CATCH_UP, clock.clone(), "auth: revocations of other processes", move || {
                let core = Arc::clone(&here);
                async move { core.catch_up().await }
            }),
            Job::by_turns(SWEEP, &self.0.store, "auth: sessions that have ended", move || {
                let store = swept.clone();
                async move { operations::sweep::sweep(&store).await }
            }),
        ];
        Service { name: "auth", routes: api::routes(Arc::clone(&self.0)), subscriptions: Vec::new(), jobs }
    }

    /// Checks tokens, with keys and revocations in memory.
    pub fn verifier(&self) -> Arc<dyn Verifier> {
        Arc::<Gate>::clone(&self.0.gate)
    }

    /// How peers ask for people.
    pub fn users(&self) -> Arc<dyn Users> {
        Arc::new(peer::LocalUsers(self.0.store.clone()))
    }

    /// What checks tokens in other processes.
    pub fn token_guard(&self) -> Arc<dyn TokenGuard> {
        Arc::new(peer::LocalTokenGuard(Arc::clone(&self.0)))
    }

    /// Makes sure that the user with `email` is an admin with `password`. Where that is so already, nothing changes.
    ///
    /// Of the password only the length is asked: the operator has chosen it.
    ///
    /// # Errors
    /// [`AuthError::WeakPassword`] where it is too short or too long, or the store's own error.
    pub async fn create_admin(&self, email: &Email, password: &Secret<String>) -> Result<UserId, AuthError> {
        let core = &*self.0;
        let weak = |why| AuthError::WeakPassword { pointer: "/password", why };
        let password = Password::long_enough(password.reveal(), core.settings.password_min).map_err(weak)?;
        if let Some(user) = user_by_email(&core.store, email).await?
            && user.doc.role == Role::Admin
            && core.hasher.matches(Some(password.clone()), user.doc.password).await?
        {
            return Ok(user.doc.id);
        }
        let hash = core.hasher.hash(&password).await?;
        let (id, revocation) = operations::create_admin::create_admin(&core.store, email, &hash).await?;
        if let Some(revocation) = revocation {
            core.gate.revoke(&revocation.tokens());
        }
        Ok(id)
    }

    /// A token for the service `name`, good for `life`. It cannot be revoked.
    ///
    /// # Errors
    /// [`AuthError::Cryptography`] when it cannot be signed.
    pub fn service_token(&self, name: &str, life: Duration) -> Result<String, AuthError> {
        issuing::service_token(&self.0.keyring, &self.0.store, name, life)
    }
}

impl Core {
    async fn catch_up(&self) -> Result<(), AuthError> {
        self.gate.catch_up(&self.store).await?;
        if self.settings.jwt_secret.is_none() {
            load_keys(&self.store, &self.keyring).await?;
        }
        Ok(())
    }
}

/// Makes the first key where there is none. Of two processes that start together, one makes it.
async fn make_first_key(store: &Store) -> Result<(), StoreError> {
    if store.get::<SigningKey>(SigningKey::named(1)).await?.is_some() {
        return Ok(());
    }
    let key = SigningKey {
        generation: 1,
        id: store.ids().uuid().simple().to_string(),
        seed: Secret::new(Bytes32(store.ids().bytes())),
        created_at: store.clock().now(),
    };
    match store.commit(Changes::new().insert(&key)).await {
        Err(StoreError::Conflict { .. }) => Ok(()),
        result => result,
    }
}

async fn load_keys(store: &Store, keyring: &Keyring) -> Result<(), AuthError> {
    store.scan::<SigningKey>().all().await?.iter().try_for_each(|key| keyring.add(&key.doc))
}

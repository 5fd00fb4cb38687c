//! Checking tokens in a process that auth does not run in.
//!
//! Promises that what auth revoked is refused here within a few seconds, and that no token is let in before auth said once
//! what is revoked. Where auth is away later, what is known goes on being used.

use std::sync::Arc;

use cartwright_contracts::{Guard, TokenGuard};
use cartwright_http::Verifier;
use cartwright_runtime::Clock;
use cartwright_service::Job;

use crate::gate::Gate;
use crate::keyring::Keyring;
use crate::{AuthError, CATCH_UP, Settings};

/// A process's own check of tokens. Cheap to clone.
#[derive(Clone)]
pub struct TokenChecker {
    gate: Arc<Gate>,
    keyring: Arc<Keyring>,
    auth: Arc<dyn TokenGuard>,
    clock: Clock,
    shares_secret: bool,
}

impl TokenChecker {
    /// A checker that knows what `auth` knows now.
    ///
    /// # Errors
    /// [`AuthError::Peer`] while auth does not answer, [`AuthError::Settings`] where a setting cannot be used.
    pub async fn start(auth: Arc<dyn TokenGuard>, settings: &Settings, clock: Clock) -> Result<Self, AuthError> {
        settings.check()?;
        let keyring = Arc::new(Keyring::new(settings.issuer.clone(), settings.audience.clone()));
        if let Some(secret) = &settings.jwt_secret {
            keyring.share(secret);
        }
        let gate = Arc::new(Gate::new(Arc::clone(&keyring), clock.clone()));
        let checker = Self { gate, keyring, auth, clock, shares_secret: settings.jwt_secret.is_some() };
        let guard = checker.auth.guard(None).await?;
        checker.take_over(&guard)?;
        Ok(checker)
    }

    /// The check itself, with keys and revocations in memory.
    pub fn verifier(&self) -> Arc<dyn Verifier> {
        Arc::<Gate>::clone(&self.gate)
    }

    /// Asks auth for news, for as long as the program runs.
    pub fn job(&self) -> Job {
        let checker = self.clone();
        Job::every(CATCH_UP, self.clock.clone(), "auth: revocations and keys", move || {
            let checker = checker.clone();
            async move { checker.catch_up().await }
        })
    }

    async fn catch_up(&self) -> Result<(), AuthError> {
        let guard = self.auth.guard(Some(self.gate.known_until())).await?;
        self.take_over(&guard)
    }

    fn take_over(&self, guard: &Guard) -> Result<(), AuthError> {
        guard.revoked.iter().for_each(|revoked| self.gate.revoke(revoked));
        if self.shares_secret { Ok(()) } else { self.keyring.trust(&guard.keys) }
    }
}

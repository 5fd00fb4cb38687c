//! Hashes passwords with argon2id, a bounded number at a time, off the threads that serve requests.
//!
//! Checking a password costs the same whether there is a hash to check or not.

use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use cartwright_runtime::Ids;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::AuthError;
use crate::domain::password::Password;
use crate::domain::user::PasswordHash;
use crate::settings::{Hashing, Pepper};

/// Bytes of a hash.
const OUTPUT: usize = 32;

/// Hashes and checks passwords. Cheap to clone; clones share the bound.
#[derive(Clone)]
pub(crate) struct Hasher {
    params: Params,
    pepper: Option<Pepper>,
    ids: Ids,
    /// Places for those who hash and those who wait.
    room: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    /// Checked against where there is no hash to check.
    dummy: Arc<PasswordHash>,
}

impl Hasher {
    /// Hashes at this cost.
    ///
    /// # Errors
    /// When argon2 does not take the cost.
    pub(crate) fn new(cost: Hashing, pepper: Option<Pepper>, ids: Ids) -> Result<Self, AuthError> {
        let params = Params::new(cost.memory_kib, cost.passes, 1, Some(OUTPUT))
            .map_err(|error| AuthError::Settings(format!("The cost of hashing passwords cannot be used: {error}.")))?;
        let room = Arc::new(Semaphore::new(cost.at_once.saturating_add(cost.waiting)));
        let turns = Arc::new(Semaphore::new(cost.at_once));
        let dummy = Arc::new(compute(&params, pepper.as_ref(), ids.secret().as_bytes(), ids.bytes())?);
        Ok(Self { params, pepper, ids, room, turns, dummy })
    }

    /// The hash of `password`, with a salt of its own.
    ///
    /// # Errors
    /// [`AuthError::Busy`] where too many wait already.
    pub(crate) async fn hash(&self, password: &Password) -> Result<PasswordHash, AuthError> {
        let (params, pepper) = (self.params.clone(), self.pepper.clone());
        let (password, salt) = (password.clone(), self.ids.bytes());
        self.run(move || compute(&params, pepper.as_ref(), password.reveal().as_bytes(), salt)).await?
    }

    /// Whether `password` is the one behind `hash`. Without a hash, or a password that cannot be one, the same work and false.
    ///
    /// # Errors
    /// [`AuthError::Busy`] where too many wait already.
    pub(crate) async fn matches(
        &self,
        password: Option<Password>,
        hash: Option<PasswordHash>,
    ) -> Result<bool, AuthError> {
        let real = password.is_some() && hash.is_some();
        let hash = hash.filter(|_| real).unwrap_or_else(|| PasswordHash::clone(&self.dummy));
        let pepper = self.pepper.clone();
        let typed = password.map_or_else(String::new, |password| password.reveal().to_owned());
        let same = self.run(move || check(pepper.as_ref(), typed.as_bytes(), &hash)).await?;
        Ok(real && same)
    }

    /// Whether `hash` was made at another cost or with another pepper than hashes are made now.
    pub(crate) fn is_outdated(&self, hash: &PasswordHash) -> bool {
        let params = argon2::PasswordHash::new(&hash.phc).ok().and_then(|phc| Params::try_from(&phc).ok());
        let same_cost = params.is_some_and(|params| {
            (params.m_cost(), params.t_cost(), params.p_cost())
                == (self.params.m_cost(), self.params.t_cost(), self.params.p_cost())
        });
        !same_cost || hash.pepper.as_ref() != self.pepper.as_ref().map(|pepper| &pepper.id)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, AuthError> {
        let place = Arc::clone(&self.room).try_acquire_owned().map_err(|_| AuthError::Busy)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| AuthError::Busy)?;
        // The permits go with the work: a caller who gives up does not make room before the work has ended.
        let held: (OwnedSemaphorePermit, OwnedSemaphorePermit) = (place, turn);
        let done = tokio::task::spawn_blocking(move || {
            let output = work();
            drop(held);
            output
        });
        done.await.map_err(|error| AuthError::Cryptography(error.to_string()))
    }
}

fn compute(
    params: &Params,
    pepper: Option<&Pepper>,
    password: &[u8],
    salt: [u8; 16],
) -> Result<PasswordHash, AuthError> {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    let hash = argon2.hash_password_with_salt(&seasoned(pepper, password), &salt);
    let phc = hash.map_err(|error| AuthError::Cryptography(error.to_string()))?.to_string();
    Ok(PasswordHash { phc, pepper: pepper.map(|pepper| pepper.id.clone()) })
}

fn check(pepper: Option<&Pepper>, password: &[u8], hash: &PasswordHash) -> bool {
    let pepper = match &hash.pepper {
        None => None,
        Some(wanted) => match pepper.filter(|pepper| pepper.id == *wanted) {
            Some(pepper) => Some(pepper),
            None => {
                tracing::error!(pepper = wanted, "a password was hashed with a pepper that is not among the settings");
                return false;
            }
        },
    };
    Argon2::default().verify_password(&seasoned(pepper, password), hash.phc.as_str()).is_ok()
}

/// The password as it is hashed: HMAC-SHA256 under the pepper, where there is one.
fn seasoned(pepper: Option<&Pepper>, password: &[u8]) -> Vec<u8> {
    let Some(pepper) = pepper else { return password.to_vec() };
    let mut mac =
        Hmac::<Sha256>::new_from_slice(pepper.key.reveal().as_bytes()).expect("HMAC takes keys of any length");
    mac.update(password);
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use cartwright_runtime::{Clock, Secret, Time};

    use super::*;

    fn hasher(passes: u32, pepper: Option<&str>) -> Hasher {
        let cost = Hashing { memory_kib: 8, passes, at_once: 1, waiting: 1 };
        let pepper = pepper.map(|id| Pepper { id: id.to_owned(), key: Secret::new(format!("key of {id}")) });
        Hasher::new(cost, pepper, Ids::seeded(Clock::manual(Time::from_millis(0)), 1)).unwrap()
    }

    #[tokio::test]
    async fn a_hash_made_at_another_cost_or_with_another_pepper_is_outdated_and_still_checked() {
        let password = Password::typed("correct horse").unwrap();
        let old = hasher(1, None).hash(&password).await.unwrap();
        let now = hasher(2, Some("p1"));
        assert!(now.is_outdated(&old));
        assert!(now.matches(Some(password.clone()), Some(old)).await.unwrap());
        let new = now.hash(&password).await.unwrap();
        assert!(!now.is_outdated(&new));
        assert!(now.matches(Some(password.clone()), Some(new.clone())).await.unwrap());
        assert!(!hasher(2, Some("p2")).matches(Some(password), Some(new)).await.unwrap());
    }

    #[tokio::test]
    async fn more_than_fit_are_turned_away() {
        let hasher = hasher(1, None);
        let running = Arc::clone(&hasher.room).acquire_many_owned(2).await.unwrap();
        let password = Password::typed("correct horse").unwrap();
        assert!(matches!(hasher.hash(&password).await, Err(AuthError::Busy)));
        drop(running);
        assert!(hasher.hash(&password).await.is_ok());
    }
}

//! Answers peers of the same process that ask how to reach somebody, and what checks tokens.

use std::sync::Arc;

use async_trait::async_trait;
use cartwright_contracts::{Contact, Guard, PeerError, TokenGuard, Users};
use cartwright_runtime::Time;
use cartwright_store::{Store, Stored};
use cartwright_vocabulary::UserId;

use crate::Core;
use crate::documents::Revocation;
use crate::domain::user::User;

/// The users in this process's store.
pub(crate) struct LocalUsers(pub(crate) Store);

#[async_trait]
impl Users for LocalUsers {
    async fn contact(&self, user: UserId) -> Result<Option<Contact>, PeerError> {
        let user: Option<Stored<User>> =
            self.0.get(user.to_string()).await.map_err(|error| PeerError::store("auth", &error))?;
        Ok(user.and_then(|user| user.doc.email.map(|email| Contact { email, name: user.doc.name })))
    }
}

/// The keys and revocations of this process's store.
pub(crate) struct LocalTokenGuard(pub(crate) Arc<Core>);

#[async_trait]
impl TokenGuard for LocalTokenGuard {
    async fn guard(&self, since: Option<Time>) -> Result<Guard, PeerError> {
        let store = &self.0.store;
        let found = match since {
            Some(since) => store.find::<Revocation>("by-time", Vec::new()).from(since),
            None => store.find::<Revocation>("by-end", Vec::new()).from(store.clock().now()),
        };
        let found = found.all().await.map_err(|error| PeerError::store("auth", &error))?;
        let revoked = found.iter().map(|revocation| revocation.doc.tokens()).collect();
        Ok(Guard { keys: self.0.keyring.checking_keys(), revoked })
    }
}

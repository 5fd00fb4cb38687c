//! Answers peers of the same process that ask how to reach somebody.

use async_trait::async_trait;
use cartwright_contracts::{Contact, PeerError, Users};
use cartwright_store::{Store, Stored};
use cartwright_vocabulary::UserId;

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

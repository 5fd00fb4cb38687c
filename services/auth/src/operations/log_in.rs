//! Opens a session for whoever knows the password. Unknown addresses and wrong passwords are told and cost the same.

use cartwright_store::{Changes, Decision, Lane, Store, Stored, change};
use cartwright_vocabulary::Email;

use crate::AuthError;
use crate::documents::user_by_email;
use crate::domain::password::Password;
use crate::domain::user::{PasswordHash, User};
use crate::hashing::Hasher;
use crate::issuing::Opened;

/// The user whose address and password these are.
///
/// # Errors
/// [`AuthError::InvalidCredentials`].
pub(crate) async fn identify(store: &Store, hasher: &Hasher, email: &Email, password: &str) -> Result<User, AuthError> {
    let user = user_by_email(store, email).await?;
    let hash = user.as_ref().and_then(|user| user.doc.password.clone());
    let right = hasher.matches(Password::typed(password), hash).await?;
    user.filter(|_| right).map(|user| user.doc).ok_or(AuthError::InvalidCredentials)
}

/// Stores the session of `opened`. It is void from the start where the user's password changed meanwhile.
///
/// # Errors
/// The store's own.
pub(crate) async fn open_session(store: &Store, opened: &Opened) -> Result<(), AuthError> {
    Ok(store.commit(Changes::new().insert(&opened.session)).await?)
}

/// Hashes a password anew where its hash is not made as hashes are made now. The user has just shown that they know it.
pub(crate) async fn renew_hash(store: &Store, hasher: &Hasher, user: &User, password: &str) {
    let Some(old) = user.password.as_ref().filter(|hash| hasher.is_outdated(hash)) else { return };
    let Some(password) = Password::typed(password) else { return };
    let renewed = async {
        let new = hasher.hash(&password).await?;
        change(store, Lane::of::<User>(user.id.to_string()), |view| replace_hash(view, user, old, new.clone())).await
    };
    if let Err(error) = renewed.await {
        tracing::warn!(user = %user.id, %error, "a password could not be hashed anew; the next login tries again");
    }
}

async fn replace_hash(
    view: Store,
    user: &User,
    old: &PasswordHash,
    new: PasswordHash,
) -> Result<Decision<()>, AuthError> {
    let stored: Option<Stored<User>> = view.get(user.id.to_string()).await?;
    let Some(mut stored) = stored.filter(|stored| stored.doc.password.as_ref() == Some(old)) else {
        return Ok(Decision::unchanged(()));
    };
    stored.doc.password = Some(new);
    Ok(Decision::new(Changes::new().replace(&stored), ()))
}

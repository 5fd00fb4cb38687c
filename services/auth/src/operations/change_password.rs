//! Gives a user another password and ends everything that was issued under the old one.

use cartwright_store::{Changes, Decision, Lane, Store, Stored, change};

use crate::AuthError;
use crate::documents::Revocation;
use crate::domain::user::{PasswordHash, User};
use crate::operations::log_out::ended;

/// Replaces the password `old`, which the caller has shown to know, with `new`.
///
/// # Errors
/// [`AuthError::WrongPassword`] where the password changed meanwhile.
pub(crate) async fn change_password(
    store: &Store,
    user: &User,
    old: &PasswordHash,
    new: &PasswordHash,
) -> Result<Revocation, AuthError> {
    change(store, Lane::of::<User>(user.id.to_string()), |view| decide(view, user, old, new)).await
}

async fn decide(
    view: Store,
    user: &User,
    old: &PasswordHash,
    new: &PasswordHash,
) -> Result<Decision<Revocation>, AuthError> {
    let stored: Option<Stored<User>> = view.get(user.id.to_string()).await?;
    let stored = stored.filter(|stored| stored.doc.password.as_ref() == Some(old));
    let mut stored = stored.ok_or(AuthError::WrongPassword)?;
    let now = view.clock().now();
    stored.doc.set_password(new.clone(), now);
    let (changes, revocation) = ended(&view, Changes::new().replace(&stored), &stored.doc, now).await?;
    Ok(Decision::new(changes, revocation))
}

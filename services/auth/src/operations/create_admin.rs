//! Makes sure that somebody is an admin with a known password. Said twice, the second time changes nothing.

use cartwright_http::Role;
use cartwright_store::{Changes, Decision, Lane, Store, change};
use cartwright_vocabulary::{Email, UserId};

use crate::AuthError;
use crate::documents::{Revocation, user_by_email};
use crate::domain::user::{PasswordHash, User};
use crate::operations::log_out::ended;

/// Makes the user with `email` an admin whose password has the hash `password`, with a new account where there is none.
///
/// # Errors
/// The store's own.
pub(crate) async fn create_admin(
    store: &Store,
    email: &Email,
    password: &PasswordHash,
) -> Result<(UserId, Option<Revocation>), AuthError> {
    let id = UserId::new(store.ids().uuid());
    change(store, Lane::of::<User>(email.as_str()), |view| decide(view, id, email, password)).await
}

async fn decide(
    view: Store,
    id: UserId,
    email: &Email,
    password: &PasswordHash,
) -> Result<Decision<(UserId, Option<Revocation>)>, AuthError> {
    let now = view.clock().now();
    let Some(mut user) = user_by_email(&view, email).await? else {
        let user = User::registered(id, Role::Admin, email.clone(), password.clone(), now);
        return Ok(Decision::new(Changes::new().insert(&user), (id, None)));
    };
    user.doc.role = Role::Admin;
    user.doc.set_password(password.clone(), now);
    let (changes, revocation) = ended(&view, Changes::new().replace(&user), &user.doc, now).await?;
    Ok(Decision::new(changes, (user.doc.id, Some(revocation))))
}

//! Makes an account. Of two who want one address at the same moment, one gets it.

use cartwright_contracts::UserRegistered;
use cartwright_store::{Answer, Changes, Decision, Lane, Request, Store, execute};
use cartwright_vocabulary::{Email, UserId};

use crate::AuthError;
use crate::documents::user_by_email;
use crate::domain::user::User;
use crate::issuing::Opened;

/// Stores the user and the first session of `opened`, and says who registered.
///
/// # Errors
/// [`AuthError::EmailTaken`].
pub(crate) async fn register(
    store: &Store,
    request: &Request,
    email: &Email,
    opened: &Opened,
) -> Result<Answer<UserId>, AuthError> {
    execute(store, request, Lane::of::<User>(email.as_str()), |view| decide(view, email, opened)).await
}

async fn decide(view: Store, email: &Email, opened: &Opened) -> Result<Decision<UserId>, AuthError> {
    if user_by_email(&view, email).await?.is_some() {
        return Err(AuthError::EmailTaken);
    }
    let user = opened.user.id;
    let changes = Changes::new().insert(&opened.user).insert(&opened.session).publish(&UserRegistered { user });
    Ok(Decision::new(changes, user))
}

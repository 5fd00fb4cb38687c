//! Changes what a user says about themselves.

use cartwright_store::{Changes, Decision, Lane, Store, Stored, change};
use cartwright_vocabulary::UserId;

use crate::AuthError;
use crate::domain::profile::ProfileChange;
use crate::domain::user::User;

/// Applies `wanted` and gives the user as they are then.
///
/// # Errors
/// [`AuthError::UnknownHolder`].
pub(crate) async fn change_profile(store: &Store, id: UserId, wanted: &ProfileChange) -> Result<User, AuthError> {
    change(store, Lane::of::<User>(id.to_string()), |view| async move {
        let user: Option<Stored<User>> = view.get(id.to_string()).await?;
        let mut user = user.ok_or(AuthError::UnknownHolder)?;
        user.doc.apply(wanted.clone(), view.clock().now());
        Ok(Decision::new(Changes::new().replace(&user), user.doc))
    })
    .await
}

//! Ends one session, or all of a user.

use cartwright_runtime::Time;
use cartwright_store::{Changes, Decision, Lane, Store, StoreError, Stored, change};
use cartwright_vocabulary::UserId;

use crate::AuthError;
use crate::documents::{Revocation, Revoked};
use crate::domain::refresh_token::SessionId;
use crate::domain::session::{LONGEST, Session};
use crate::domain::user::User;

/// Ends the session; `None` where it had ended before.
///
/// # Errors
/// The store's own.
pub(crate) async fn log_out(store: &Store, id: SessionId) -> Result<Option<Revocation>, AuthError> {
    change(store, Lane::of::<Session>(id.to_string()), |view| async move {
        let session: Option<Stored<Session>> = view.get(id.to_string()).await?;
        let now = view.clock().now();
        let Some(mut session) = session else { return Ok(Decision::unchanged(None)) };
        if !session.doc.revoke(now) {
            return Ok(Decision::unchanged(None));
        }
        let until = session.doc.tokens_end_at();
        let revocation = Revocation { subject: Revoked::Session(id), at: now, until };
        Ok(Decision::new(Changes::new().replace(&session).insert(&revocation), Some(revocation)))
    })
    .await
}

/// Ends all sessions of the user.
///
/// # Errors
/// [`AuthError::UnknownHolder`].
pub(crate) async fn log_out_everywhere(store: &Store, id: UserId) -> Result<Revocation, AuthError> {
    change(store, Lane::of::<User>(id.to_string()), |view| async move {
        let user: Option<Stored<User>> = view.get(id.to_string()).await?;
        let mut user = user.ok_or(AuthError::UnknownHolder)?;
        let now = view.clock().now();
        user.doc.end_everything(now);
        let (changes, revocation) = ended(&view, Changes::new().replace(&user), &user.doc, now).await?;
        Ok(Decision::new(changes, revocation))
    })
    .await
}

/// Adds to `changes` that tokens of earlier epochs of `user` must not be accepted any more.
///
/// # Errors
/// The store's own.
pub(crate) async fn ended(
    view: &Store,
    changes: Changes,
    user: &User,
    now: Time,
) -> Result<(Changes, Revocation), StoreError> {
    let before: Option<Stored<Revocation>> = view.get(Revocation::of_user(user.id)).await?;
    let subject = Revoked::User { id: user.id, epoch: user.epoch };
    // No access token outlives its session, and no session lives longer than this.
    let revocation = Revocation { subject, at: now, until: now.plus(LONGEST) };
    Ok((changes.save(&revocation, before.map(|stored| stored.revision)), revocation))
}

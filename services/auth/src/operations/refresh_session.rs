//! Trades a refresh token for a new pair. A token that is used twice ends its session.

use std::time::Duration;

use cartwright_store::{Changes, Decision, Lane, Store, Stored, change};

use crate::AuthError;
use crate::documents::{Revocation, Revoked};
use crate::domain::refresh_token::RefreshToken;
use crate::domain::session::{Presented, Session};
use crate::domain::user::User;
use crate::issuing::Opened;

/// What came of presenting a refresh token.
pub(crate) enum Refreshed {
    /// The session goes on.
    Granted(Box<Opened>),
    /// A copied token ended the session; its access tokens must not be accepted any more.
    Ended(Revocation),
}

/// Trades `token`, presented by `client`, for access that lives for `life`.
///
/// # Errors
/// [`AuthError::InvalidRefreshToken`]; nothing changed then.
pub(crate) async fn refresh_session(
    store: &Store,
    token: &RefreshToken,
    client: &str,
    life: Duration,
) -> Result<Refreshed, AuthError> {
    let lane = Lane::of::<Session>(token.session().to_string());
    change(store, lane, |view| decide(view, token, client, life)).await
}

async fn decide(
    view: Store,
    token: &RefreshToken,
    client: &str,
    life: Duration,
) -> Result<Decision<Refreshed>, AuthError> {
    let now = view.clock().now();
    let session: Option<Stored<Session>> = view.get(token.session().to_string()).await?;
    let mut session = session.ok_or(AuthError::InvalidRefreshToken)?;
    let user: Option<Stored<User>> = view.get(session.doc.user.to_string()).await?;
    let user = user.ok_or(AuthError::InvalidRefreshToken)?.doc;
    if !session.doc.is_live(user.epoch, now) {
        return Err(AuthError::InvalidRefreshToken);
    }
    match session.doc.present(token, client, view.ids().bytes(), now) {
        Presented::Rotated(refresh) => {
            let ends_at = session.doc.issue(life, now);
            let changes = Changes::new().replace(&session);
            Ok(Decision::new(changes, granted(user, session.doc, refresh, ends_at)))
        }
        Presented::Repeated(refresh) => {
            let ends_at = session.doc.issue(life, now);
            Ok(Decision::unchanged(granted(user, session.doc, refresh, ends_at)))
        }
        Presented::Reused => {
            let id = session.doc.id;
            tracing::warn!(session = %id, user = %user.id, "a refresh token was used twice; its session has ended");
            let until = session.doc.tokens_end_at();
            let revocation = Revocation { subject: Revoked::Session(id), at: now, until };
            Ok(Decision::new(Changes::new().replace(&session).insert(&revocation), Refreshed::Ended(revocation)))
        }
        Presented::Unknown => Err(AuthError::InvalidRefreshToken),
    }
}

fn granted(user: User, session: Session, refresh: RefreshToken, ends_at: cartwright_runtime::Time) -> Refreshed {
    Refreshed::Granted(Box::new(Opened { user, session, refresh, ends_at }))
}

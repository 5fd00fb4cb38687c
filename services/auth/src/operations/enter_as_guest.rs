//! Lets an anonymous shopper in.

use cartwright_store::{Answer, Changes, Decision, Lane, Request, Store, execute};
use cartwright_vocabulary::UserId;

use crate::AuthError;
use crate::issuing::Opened;

/// Stores the guest and the session of `opened`.
///
/// # Errors
/// The store's own.
pub(crate) async fn enter_as_guest(
    store: &Store,
    request: &Request,
    opened: &Opened,
) -> Result<Answer<UserId>, AuthError> {
    execute(store, request, Lane::none(), |_view| async {
        Ok(Decision::new(Changes::new().insert(&opened.user).insert(&opened.session), opened.user.id))
    })
    .await
}

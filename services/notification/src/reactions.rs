//! Events in, one message each out: of one occasion there is one, in whatever order and however often its event arrives.

use cartwright_bus::Failure;
use cartwright_store::{Changes, Lane, Lease, Store};

use crate::domain::notification::Notification;
use crate::domain::occasion::Occasion;

/// The lane of the message about `occasion`.
pub(crate) fn lane(occasion: &Occasion) -> Lane {
    occasion.id().map_or_else(Lane::none, |id| Lane::of::<Notification>(id.to_string()))
}

/// Somebody is to be told of `occasion`, unless a message about it exists.
///
/// # Errors
/// When the store does not answer.
pub(crate) async fn react(store: &Store, occasion: Occasion) -> Result<Changes, Failure> {
    let Some(id) = occasion.id() else { return Ok(Changes::new()) };
    if store.get::<Notification>(id.to_string()).await?.is_some() {
        return Ok(Changes::new());
    }
    let message = Notification::new(id, occasion, Lease::held_by(store), store.clock().now());
    Ok(Changes::new().insert(&message))
}

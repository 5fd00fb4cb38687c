//! Starts a message again that failed or waits for its next attempt.

use cartwright_store::{Changes, Decision, Store};
use cartwright_vocabulary::NotificationId;

use crate::domain::notification::Notification;
use crate::error::NotificationError;
use crate::operations::request_email::Requested;

/// Makes the message `id` due at once.
pub(crate) async fn retry_delivery(
    store: &Store,
    id: NotificationId,
) -> Result<Decision<Requested>, NotificationError> {
    let message = store.get::<Notification>(id.to_string()).await?;
    let mut message = message.ok_or(NotificationError::UnknownDelivery(id))?;
    let before = message.doc.clone();
    message.doc.try_again(store.clock().now())?;
    let changes = if message.doc == before { Changes::new() } else { Changes::new().replace(&message) };
    Ok(Decision::new(changes, Requested { notification_id: id }))
}

//! Asks for an e-mail from a template, to an address or to a user.
//!
//! The template is tried with what was given, so that what could never be sent is refused while somebody still listens.

use std::collections::BTreeMap;

use cartwright_store::{Changes, Decision, Lease, Store};
use cartwright_vocabulary::{Email, NotificationId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::documents::template_named;
use crate::domain::datum::Datum;
use crate::domain::notification::Notification;
use crate::domain::occasion::{Occasion, Recipient, deduplicated};
use crate::domain::words::Shop;
use crate::error::NotificationError;

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RequestEmail {
    /// The address it goes to; either this or `userId`.
    pub(crate) to: Option<Email>,
    /// The user it goes to, at the address that they have when it is sent.
    #[schema(value_type = Option<String>)]
    pub(crate) user_id: Option<UserId>,
    /// The template's name.
    pub(crate) template: String,
    /// What the template is told, beside `shop` and `name`.
    #[serde(default)]
    pub(crate) data: BTreeMap<String, Datum>,
    /// Asked for twice under one key, it is sent once; the first one counts.
    pub(crate) dedupe_key: Option<String>,
}

/// The message that will be sent.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Requested {
    /// Its id, as in the delivery log.
    #[schema(value_type = String)]
    pub(crate) notification_id: NotificationId,
}

impl RequestEmail {
    /// The id of the message: that of the key, where one was given.
    ///
    /// # Errors
    /// When the key is empty or too long.
    pub(crate) fn id(&self, store: &Store) -> Result<NotificationId, NotificationError> {
        let Some(key) = &self.dedupe_key else { return Ok(NotificationId::new(store.ids().uuid())) };
        if !(1..=200).contains(&key.chars().count()) {
            return Err(NotificationError::BadDedupeKey);
        }
        Ok(deduplicated(key))
    }

    fn recipient(&self) -> Result<Recipient, NotificationError> {
        match (&self.to, self.user_id) {
            (Some(address), None) => Ok(Recipient::Address(address.clone())),
            (None, Some(user)) => Ok(Recipient::User(user)),
            (None, None) | (Some(_), Some(_)) => Err(NotificationError::NoRecipient),
        }
    }
}

/// Puts the message `id` into the queue, unless it is there.
pub(crate) async fn request_email(
    store: &Store,
    shop: Shop<'_>,
    id: NotificationId,
    request: &RequestEmail,
) -> Result<Decision<Requested>, NotificationError> {
    let recipient = request.recipient()?;
    let requested = Requested { notification_id: id };
    if store.get::<Notification>(id.to_string()).await?.is_some() {
        return Ok(Decision::unchanged(requested));
    }
    let template = template_named(store, &request.template).await?;
    let template = template.ok_or_else(|| NotificationError::UnknownTemplate(request.template.clone()))?;
    template.render(&shop.asked(None, &request.data)).map_err(NotificationError::DataDoesNotFit)?;
    let occasion = Occasion::Asked { recipient, template: request.template.clone(), data: request.data.clone() };
    let message = Notification::new(id, occasion, Lease::held_by(store), store.clock().now());
    Ok(Decision::new(Changes::new().insert(&message), requested))
}

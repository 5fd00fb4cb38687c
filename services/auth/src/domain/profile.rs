//! What somebody may say about themselves.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::address_book::AddressBook;

/// The most characters of a name.
const NAME_MOST: usize = 200;
/// The most characters of a telephone number.
const PHONE_MOST: usize = 40;

/// By which ways somebody wants to hear from the shop. What an order needs is always sent by e-mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct NotificationPreferences {
    /// News about orders by e-mail.
    pub(crate) email: bool,
    /// News about orders by SMS.
    pub(crate) sms: bool,
    /// News about orders by push.
    pub(crate) push: bool,
    /// Offers, by any of these ways.
    pub(crate) marketing: bool,
}

impl Default for NotificationPreferences {
    fn default() -> Self {
        Self { email: true, sms: false, push: false, marketing: false }
    }
}

/// Changes of preferences; what is `None` stays as it is.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PreferencesChange {
    /// News about orders by e-mail.
    email: Option<bool>,
    /// News about orders by SMS.
    sms: Option<bool>,
    /// News about orders by push.
    push: Option<bool>,
    /// Offers, by any of these ways.
    marketing: Option<bool>,
}

impl NotificationPreferences {
    /// These preferences with `change` applied.
    pub(crate) fn with(self, change: PreferencesChange) -> Self {
        Self {
            email: change.email.unwrap_or(self.email),
            sms: change.sms.unwrap_or(self.sms),
            push: change.push.unwrap_or(self.push),
            marketing: change.marketing.unwrap_or(self.marketing),
        }
    }
}

/// Checked changes of a profile: `None` leaves a field, `Some(None)` empties it.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProfileChange {
    pub(crate) name: Option<Option<String>>,
    pub(crate) phone: Option<Option<String>>,
    pub(crate) addresses: Option<AddressBook>,
    pub(crate) notification_preferences: Option<PreferencesChange>,
}

/// A name without white space at its ends; `None` where nothing is left.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn name(text: &str) -> Result<Option<String>, &'static str> {
    line(text, NAME_MOST, "at most 200 characters")
}

/// A telephone number without white space at its ends; `None` where nothing is left.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn phone(text: &str) -> Result<Option<String>, &'static str> {
    line(text, PHONE_MOST, "at most 40 characters")
}

fn line(text: &str, most: usize, too_long: &'static str) -> Result<Option<String>, &'static str> {
    let text = text.trim();
    if text.chars().count() > most {
        return Err(too_long);
    }
    if text.chars().any(char::is_control) {
        return Err("no control characters");
    }
    Ok(if text.is_empty() { None } else { Some(text.to_owned()) })
}

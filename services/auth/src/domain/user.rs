//! Somebody the shop knows: a guest, a customer or an admin.
//!
//! Role, identity and epoch belong to the shop; nothing that a client sends reaches them.

use std::fmt;

use cartwright_http::Role;
use cartwright_runtime::Time;
use cartwright_vocabulary::{Email, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::address_book::AddressBook;
use super::profile::{NotificationPreferences, ProfileChange};

/// A guest, a customer or an admin.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct User {
    pub(crate) id: UserId,
    /// `None` for a guest.
    pub(crate) email: Option<Email>,
    pub(crate) name: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) role: Role,
    /// `None` for a guest, who cannot log in.
    pub(crate) password: Option<PasswordHash>,
    /// Raised when everything issued so far ends at once; sessions and tokens of an earlier epoch are void.
    pub(crate) epoch: u64,
    #[serde(default)]
    pub(crate) addresses: AddressBook,
    #[serde(default)]
    pub(crate) notification_preferences: NotificationPreferences,
    pub(crate) created_at: Time,
    pub(crate) updated_at: Time,
}

/// An argon2id hash in PHC string format, and the id of the pepper that went into it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PasswordHash {
    pub(crate) phc: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pepper: Option<String>,
}

/// Printed as a placeholder: hashes do not belong into logs.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hash]")
    }
}

/// Somebody as the API shows them.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserView {
    /// Who.
    pub(crate) id: UserId,
    /// Their address; `null` for a guest.
    pub(crate) email: Option<Email>,
    /// What to call them.
    pub(crate) name: Option<String>,
    /// What they may do.
    pub(crate) role: Role,
    /// Since when they are known.
    #[schema(value_type = String, format = "date-time")]
    pub(crate) created_at: Time,
}

impl User {
    /// An anonymous shopper.
    pub(crate) fn guest(id: UserId, now: Time) -> Self {
        Self::new(id, Role::Guest, now)
    }

    /// Somebody with an account.
    pub(crate) fn registered(id: UserId, role: Role, email: Email, password: PasswordHash, now: Time) -> Self {
        Self { email: Some(email), password: Some(password), ..Self::new(id, role, now) }
    }

    fn new(id: UserId, role: Role, now: Time) -> Self {
        Self {
            id,
            email: None,
            name: None,
            phone: None,
            role,
            password: None,
            epoch: 0,
            addresses: AddressBook::default(),
            notification_preferences: NotificationPreferences::default(),
            created_at: now,
            updated_at: now,
        }
    }

    /// Takes over what `change` names and leaves the rest.
    pub(crate) fn apply(&mut self, change: ProfileChange, now: Time) {
        if let Some(name) = change.name {
            self.name = name;
        }
        if let Some(phone) = change.phone {
            self.phone = phone;
        }
        if let Some(addresses) = change.addresses {
            self.addresses = addresses;
        }
        if let Some(preferences) = change.notification_preferences {
            self.notification_preferences = self.notification_preferences.with(preferences);
        }
        self.updated_at = now;
    }

    /// Takes a new password and ends everything that was issued under the old one.
    pub(crate) fn set_password(&mut self, password: PasswordHash, now: Time) {
        self.password = Some(password);
        self.end_everything(now);
    }

    /// Ends all sessions and tokens issued so far.
    pub(crate) fn end_everything(&mut self, now: Time) {
        self.epoch += 1;
        self.updated_at = now;
    }

    /// As the API shows them.
    pub(crate) fn view(&self) -> UserView {
        UserView {
            id: self.id,
            email: self.email.clone(),
            name: self.name.clone(),
            role: self.role,
            created_at: self.created_at,
        }
    }
}

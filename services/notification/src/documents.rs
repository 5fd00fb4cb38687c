//! What notification stores: messages and the shop's own templates; and how they are found again.

use cartwright_runtime::Time;
use cartwright_store::{Document, Index, IndexEntry, Intent, Lease, Store, StoreError, Stored};
use cartwright_vocabulary::{NotificationId, UserId};
use serde::{Deserialize, Serialize};

use crate::domain::built_in::BuiltIn;
use crate::domain::notification::{Notification, Status};
use crate::domain::template::Template;

impl Document for Notification {
    const COLLECTION: &'static str = "notifications";
    const INDEXES: &'static [Index] = &[
        Index::many("due", &["due"]),
        Index::many("by-time", &["createdAt"]),
        Index::many("by-user", &["user", "createdAt"]),
        Index::many("by-status", &["status", "createdAt"]),
        Index::many("by-user-and-status", &["user", "status", "createdAt"]),
    ];

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn index_entries(&self) -> Vec<IndexEntry> {
        let (status, time) = (self.status.name(), self.created_at);
        let mut entries =
            vec![IndexEntry::new("by-time", [time.into()]), IndexEntry::new("by-status", [status.into(), time.into()])];
        if let Some(lease) = self.lease() {
            entries.push(IndexEntry::new("due", [lease.due.into()]));
        }
        if let Some(user) = self.user.map(|user| user.to_string()) {
            entries.push(IndexEntry::new("by-user-and-status", [user.as_str().into(), status.into(), time.into()]));
            entries.push(IndexEntry::new("by-user", [user.into(), time.into()]));
        }
        entries
    }
}

impl Intent for Notification {
    const DUE: &'static str = "due";

    fn lease(&self) -> Option<&Lease> {
        (self.status == Status::Queued).then_some(&self.lease)
    }

    fn lease_mut(&mut self) -> Option<&mut Lease> {
        (self.status == Status::Queued).then_some(&mut self.lease)
    }
}

/// A template in the shop's own words; one that has a built-in's name stands in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SavedTemplate {
    /// Its name.
    pub name: String,
    /// Its words.
    pub template: Template,
    /// When it was saved last.
    pub updated_at: Time,
}

impl Document for SavedTemplate {
    const COLLECTION: &'static str = "templates";

    fn key(&self) -> String {
        self.name.clone()
    }
}

/// The template of this name: the shop's own, else the built-in one.
pub(crate) async fn template_named(store: &Store, name: &str) -> Result<Option<Template>, StoreError> {
    let saved = store.get::<SavedTemplate>(name).await?;
    Ok(saved.map(|saved| saved.doc.template).or_else(|| BuiltIn::named(name).map(BuiltIn::template)))
}

/// Up to `limit` templates of the shop's own by name, from `name` on.
pub(crate) async fn saved_templates(
    store: &Store,
    name: &str,
    limit: usize,
) -> Result<Vec<Stored<SavedTemplate>>, StoreError> {
    store.scan::<SavedTemplate>().from(name).page(limit).await
}

/// Which messages are looked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) user: Option<UserId>,
    pub(crate) status: Option<Status>,
}

/// Up to `limit` messages, newest first, after the one named `after`; `None` where there is no such one.
pub(crate) async fn deliveries(
    store: &Store,
    wanted: Wanted,
    limit: usize,
    after: Option<NotificationId>,
) -> Result<Option<Vec<Stored<Notification>>>, StoreError> {
    let user = wanted.user.map(|user| user.to_string());
    let status = wanted.status.map(Status::name);
    let found = match (user, status) {
        (None, None) => store.find("by-time", Vec::new()),
        (Some(user), None) => store.find("by-user", vec![user.into()]),
        (None, Some(status)) => store.find("by-status", vec![status.into()]),
        (Some(user), Some(status)) => store.find("by-user-and-status", vec![user.into(), status.into()]),
    };
    let mut found = found.descending();
    if let Some(after) = after {
        let Some(last) = store.get::<Notification>(after.to_string()).await? else { return Ok(None) };
        found = found.after(&as_listed(last.doc, wanted));
    }
    found.page(limit).await.map(Some)
}

/// The message as it stood in the list: its place does not move when its status did between two pages.
fn as_listed(mut message: Notification, wanted: Wanted) -> Notification {
    message.status = wanted.status.unwrap_or(message.status);
    message.user = wanted.user.or(message.user);
    message
}

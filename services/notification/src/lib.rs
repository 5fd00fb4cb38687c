//! Telling people what happened: e-mail today, each message once for its occasion.
//!
//! Promises that an event causes one message however often and in whatever order it arrives, that a message is tried until
//! it was taken or refused or a day has passed, and that no address of a person stands in an event or a log. It never
//! delays an order: nothing waits for a message.

mod api;
mod documents;
mod domain;
mod error;
mod mailer;
mod operations;
mod reactions;
mod sending;

use std::sync::Arc;

use cartwright_bus::{DeadLetter, Subscription};
use cartwright_contracts::{OrderCancelled, OrderConfirmed, Orders, PaymentRefunded, UserRegistered, Users};
use cartwright_service::{Job, Service};
use cartwright_store::{Database, Document, Performer, Store, StoreError};
use cartwright_vocabulary::Email;

pub use crate::documents::SavedTemplate;
pub use crate::domain::datum::Datum;
pub use crate::domain::notification::{Notification, Status};
pub use crate::domain::occasion::{Occasion, Recipient};
pub use crate::domain::template::Template;
pub use crate::mailer::{KeptMail, Mail, MailError, Mailbox, MailboxError, Mailer};
use crate::reactions::{lane, react};
use crate::sending::Sending;

/// What the shop says about itself in its mails.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name, in subjects and as the name of the sender.
    pub shop_name: String,
    /// The address that its mails come from.
    pub from: Email,
    /// Where the shop is found, for example `https://shop.example`.
    pub base_url: String,
}

/// Opens notification's part of the database.
///
/// # Errors
/// When the engine cannot prepare the collections; the text says how to mend it.
pub async fn open(database: &Database) -> Result<Store, StoreError> {
    database.scoped("notification", &[Notification::spec(), SavedTemplate::spec(), DeadLetter::spec()]).await
}

/// The notification service. Whom to write to and what about, it asks `users` and `orders` at the moment of sending.
pub fn service(
    store: Store,
    users: Arc<dyn Users>,
    orders: Arc<dyn Orders>,
    mailer: Arc<dyn Mailer>,
    settings: Settings,
) -> Service {
    let subscriptions = subscriptions(&store);
    let performer = Performer::<Notification>::new(store.clone());
    let sending = Arc::new(Sending { store: store.clone(), users, orders, mailer: Arc::clone(&mailer), settings });
    let routes = api::routes(store, mailer, sending.settings.clone());
    let job = Job::running("send-notifications", move |tasks| {
        let (performer, sending) = (performer.clone(), Arc::clone(&sending));
        let act = move |notification| {
            let sending = Arc::clone(&sending);
            async move { sending.send(notification).await }
        };
        performer.run(tasks, act, sending::settle)
    });
    Service { name: "notification", routes, subscriptions, jobs: vec![job] }
}

fn subscriptions(store: &Store) -> Vec<Subscription> {
    vec![
        Subscription::new(
            store,
            |event: &UserRegistered| lane(&Occasion::from(event)),
            |store, event| async move { react(&store, Occasion::from(&*event)).await },
        ),
        Subscription::new(
            store,
            |event: &OrderConfirmed| lane(&Occasion::from(event)),
            |store, event| async move { react(&store, Occasion::from(&*event)).await },
        ),
        Subscription::new(
            store,
            |event: &OrderCancelled| lane(&Occasion::from(event)),
            |store, event| async move { react(&store, Occasion::from(&*event)).await },
        ),
        Subscription::new(
            store,
            |event: &PaymentRefunded| lane(&Occasion::from(event)),
            |store, event| async move { react(&store, Occasion::from(&*event)).await },
        ),
    ]
}

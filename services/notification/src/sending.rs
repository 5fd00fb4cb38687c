//! Sending a message: ask its owner whom to write to and what about, put it into words, hand it to the mailer.
//!
//! A repeat after a lost answer carries the same `Message-ID` and date. Whatever a peer or a mail server cannot answer now
//! is tried later; a person or an order that nobody knows ends the message with that error.

use std::sync::Arc;
use std::time::Duration;

use cartwright_contracts::{OrderFacts, Orders, PeerError, Users};
use cartwright_store::{Changes, Store, StoreError, Stored};
use cartwright_vocabulary::{Email, OrderId, UserId};
use minijinja::Value;

use crate::Settings;
use crate::documents::template_named;
use crate::domain::notification::{Notification, Outcome, Status};
use crate::domain::occasion::{Occasion, Recipient};
use crate::domain::template::{BadTemplate, Letter};
use crate::domain::words::Shop;
use crate::mailer::{Mail, MailError, Mailer};

/// How long one attempt may take: less than the lease under which it is made.
const ATTEMPT: Duration = Duration::from_secs(20);
/// How much of an error is kept, in characters.
const ERROR_KEPT: usize = 500;

/// Everything that sending needs.
pub(crate) struct Sending {
    pub(crate) store: Store,
    pub(crate) users: Arc<dyn Users>,
    pub(crate) orders: Arc<dyn Orders>,
    pub(crate) mailer: Arc<dyn Mailer>,
    pub(crate) settings: Settings,
}

/// Why a message was not sent.
enum Trouble {
    Later(String),
    Never(String),
}

/// Whom a letter goes to and what it is told.
struct Addressed {
    user: Option<UserId>,
    to: Email,
    told: Value,
}

impl Sending {
    /// One attempt at `message`.
    pub(crate) async fn send(&self, message: Notification) -> Outcome {
        let attempt = self.store.clock().timeout(ATTEMPT, self.attempt(&message)).await;
        let late = || Err(Trouble::Later(format!("no answer in {} s", ATTEMPT.as_secs())));
        match attempt.unwrap_or_else(late) {
            Ok(user) => Outcome::Sent(user),
            Err(Trouble::Later(error)) => Outcome::Later(error.chars().take(ERROR_KEPT).collect()),
            Err(Trouble::Never(error)) => Outcome::Never(error.chars().take(ERROR_KEPT).collect()),
        }
    }

    async fn attempt(&self, message: &Notification) -> Result<Option<UserId>, Trouble> {
        let addressed = self.address(&message.occasion).await?;
        let letter = self.write(message.occasion.template(), &addressed.told).await?;
        self.mailer.send(&self.mail(message, addressed.to, letter)).await?;
        Ok(addressed.user)
    }

    async fn address(&self, occasion: &Occasion) -> Result<Addressed, Trouble> {
        let shop = Shop::from(&self.settings);
        match occasion {
            Occasion::Registered { user } => {
                let (to, name) = self.contact(*user).await?;
                Ok(Addressed { user: Some(*user), to, told: shop.welcome(name.as_deref()) })
            }
            Occasion::OrderConfirmed { order, .. } => {
                let facts = self.facts(*order).await?;
                Ok(Addressed { told: shop.confirmed(&facts), user: Some(facts.user), to: facts.email })
            }
            Occasion::OrderCancelled { order, reason, .. } => {
                let facts = self.facts(*order).await?;
                Ok(Addressed { told: shop.cancelled(&facts, *reason), user: Some(facts.user), to: facts.email })
            }
            Occasion::Refunded { order, amount, .. } => {
                let facts = self.facts(*order).await?;
                Ok(Addressed { told: shop.refunded(&facts, *amount), user: Some(facts.user), to: facts.email })
            }
            Occasion::Asked { recipient: Recipient::Address(to), data, .. } => {
                Ok(Addressed { user: None, to: to.clone(), told: shop.asked(None, data) })
            }
            Occasion::Asked { recipient: Recipient::User(user), data, .. } => {
                let (to, name) = self.contact(*user).await?;
                Ok(Addressed { user: Some(*user), to, told: shop.asked(name.as_deref(), data) })
            }
        }
    }

    async fn contact(&self, user: UserId) -> Result<(Email, Option<String>), Trouble> {
        let contact = self.users.contact(user).await?;
        let contact = contact.ok_or_else(|| Trouble::Never(format!("nobody knows how to reach {user}")))?;
        Ok((contact.email, contact.name))
    }

    async fn facts(&self, order: OrderId) -> Result<OrderFacts, Trouble> {
        let facts = self.orders.facts(order).await?;
        facts.ok_or_else(|| Trouble::Never(format!("there is no order {order}")))
    }

    async fn write(&self, name: &str, told: &Value) -> Result<Letter, Trouble> {
        let template = template_named(&self.store, name).await?;
        let template = template.ok_or_else(|| Trouble::Never(format!("there is no template {name}")))?;
        Ok(template.render(told)?)
    }

    fn mail(&self, message: &Notification, to: Email, letter: Letter) -> Mail {
        let from = self.settings.from.clone();
        let domain = from.as_str().rsplit_once('@').map_or("localhost", |(_, domain)| domain);
        Mail {
            notification: message.id,
            message_id: format!("{}@{domain}", message.id),
            from_name: self.settings.shop_name.clone(),
            to,
            subject: letter.subject,
            text: letter.text,
            html: letter.html,
            date: message.created_at,
            from,
        }
    }
}

/// Writes down what came of an attempt.
pub(crate) async fn settle(
    store: Store,
    mut message: Stored<Notification>,
    outcome: Outcome,
) -> Result<Changes, StoreError> {
    message.doc.record(outcome, store.clock().now());
    if message.doc.status == Status::Failed {
        // The error may hold an address, so it stays in the store.
        tracing::warn!(notification = %message.doc.id, "a message was given up; the delivery log says why");
    }
    Ok(Changes::new().replace(&message))
}

impl<'a> From<&'a Settings> for Shop<'a> {
    fn from(settings: &'a Settings) -> Self {
        Self { name: &settings.shop_name, url: &settings.base_url }
    }
}

impl From<PeerError> for Trouble {
    fn from(error: PeerError) -> Self {
        Self::Later(error.to_string())
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Later(error.to_string())
    }
}

impl From<BadTemplate> for Trouble {
    fn from(error: BadTemplate) -> Self {
        Self::Never(format!("the template cannot be filled in: {error}"))
    }
}

impl From<MailError> for Trouble {
    fn from(error: MailError) -> Self {
        match error {
            MailError::Temporary(error) => Self::Later(error),
            MailError::Refused(error) => Self::Never(error),
        }
    }
}

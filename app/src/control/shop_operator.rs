//! An operator's wishes, done by a shop of this process.

use std::time::Duration;

use async_trait::async_trait;
use cartwright_auth::Auth;
use cartwright_bus::{DeadLetter, Subscription};
use cartwright_product::Progress;
use cartwright_runtime::Secret;
use cartwright_store::{Store, Stored};
use cartwright_vocabulary::{Currency, Email, UserId};
use tokio::sync::watch;
use tokio_util::io::StreamReader;

use super::{File, ImportFormat, ImportProgress, ImportReport, Letter, Operator, Refused, Rejection, Replayed, Which};
use crate::role::Role;
use crate::shop::Shop;

/// A shop of this process, running or only put together. What it publishes then is delivered when it runs.
pub struct ShopOperator {
    auth: Auth,
    stores: Vec<Store>,
    products: Store,
    currency: Currency,
    subscriptions: Vec<Subscription>,
}

impl ShopOperator {
    /// Does what is wished in `shop`, which sells in `currency`. `None` where it is only a part of a shop.
    pub fn new(shop: &Shop, currency: Currency) -> Option<Self> {
        Some(Self {
            auth: shop.auth()?.clone(),
            stores: shop.stores().iter().cloned().collect(),
            products: shop.stores().get(Role::Product)?.clone(),
            currency,
            subscriptions: shop.subscriptions(),
        })
    }

    async fn letters(&self) -> Result<Vec<Stored<DeadLetter>>, Refused> {
        let mut letters = Vec::new();
        for store in &self.stores {
            letters.extend(store.scan::<DeadLetter>().all().await.map_err(Refused::because)?);
        }
        letters.sort_by_key(|letter| letter.doc.at);
        Ok(letters)
    }
}

#[async_trait]
impl Operator for ShopOperator {
    async fn import(
        &self,
        format: ImportFormat,
        file: File,
        progress: watch::Sender<ImportProgress>,
    ) -> Result<ImportReport, Refused> {
        let tell = |now: Progress| {
            let Progress { bytes, created, updated, unchanged, rejected } = now;
            progress.send_replace(ImportProgress { bytes, created, updated, unchanged, rejected });
        };
        let done = cartwright_product::import(&self.products, self.currency, StreamReader::new(file), format, tell);
        let cartwright_product::ImportReport { created, updated, unchanged, rejected } =
            done.await.map_err(Refused::because)?;
        let rejected = rejected.into_iter().map(|it| Rejection { line: it.line, reason: it.reason }).collect();
        Ok(ImportReport { created, updated, unchanged, rejected })
    }

    async fn create_admin(&self, email: Email, password: Secret<String>) -> Result<UserId, Refused> {
        self.auth.create_admin(&email, &password).await.map_err(Refused::because)
    }

    async fn service_token(&self, name: &str, life_s: u64) -> Result<Secret<String>, Refused> {
        let token = self.auth.service_token(name, Duration::from_secs(life_s));
        token.map(Secret::new).map_err(Refused::because)
    }

    async fn dead_letters(&self) -> Result<Vec<Letter>, Refused> {
        Ok(self.letters().await?.iter().map(told).collect())
    }

    async fn replay(&self, which: Which) -> Result<Vec<Replayed>, Refused> {
        let letters = self.letters().await?;
        let wanted: Vec<_> = letters.iter().filter(|letter| is_wanted(&which, &told(letter).id)).collect();
        if let (Which::One(id), true) = (&which, wanted.is_empty()) {
            return Err(Refused(format!("There is no dead letter {id}.")));
        }
        let mut replayed = Vec::with_capacity(wanted.len());
        for letter in wanted {
            let result = cartwright_bus::replay(letter, &self.subscriptions).await;
            replayed.push(Replayed { id: told(letter).id, failed: result.err().map(|error| error.to_string()) });
        }
        Ok(replayed)
    }
}

fn is_wanted(which: &Which, id: &str) -> bool {
    match which {
        Which::All => true,
        Which::One(wanted) => wanted == id,
    }
}

fn told(letter: &Stored<DeadLetter>) -> Letter {
    let DeadLetter { consumer, event, cause, tries, at } = &letter.doc;
    Letter {
        id: format!("{consumer}:{}", event.id),
        consumer: consumer.clone(),
        event: event.name.clone(),
        subject: event.subject.clone(),
        tries: *tries,
        cause: cause.clone(),
        at: *at,
    }
}

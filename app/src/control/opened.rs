//! A shop that is put together from its settings: the store is open, and nothing runs yet.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use cartwright_bus::Backlog;
use cartwright_mail_smtp::{LocalMailbox, SmtpMailer};
use cartwright_notification::Mailer;
use cartwright_payment_sandbox::Sandbox;
use cartwright_runtime::{Clock, Ids, Tasks};

use crate::callers;
use crate::carrier::Carrier;
use crate::engine::Engine;
use crate::neighbours::Ways;
use crate::role::Role;
use crate::settings::Settings;
use crate::shop::{Ground, Outside, Part, Shop, StartError};

/// A shop, or a part of one, whose store this process has open.
pub struct Opened {
    /// The shop, not started.
    pub shop: Shop,
    /// What it stands on.
    pub ground: Ground,
    /// The provider that moves no money, for its hosted page.
    pub sandbox: Sandbox,
    /// How it reaches other processes.
    pub ways: Ways,
    engine: Engine,
    carrier: Carrier,
}

impl Opened {
    /// Opens a whole shop: everything that `settings` name, and makes what is missing.
    ///
    /// # Errors
    /// In a sentence that says how to mend it: another process has the store, a folder cannot be written to, …
    pub async fn open(settings: &Settings) -> Result<Self> {
        Self::open_part(settings, &Role::ALL).await
    }

    /// Opens what `roles` need.
    ///
    /// # Errors
    /// As [`Opened::open`]; also where a role asks another one and nobody said where that is.
    pub async fn open_part(settings: &Settings, roles: &[Role]) -> Result<Self> {
        all_can_be_asked(settings, roles)?;
        for folder in [&settings.data_dir, settings.shared_dir()] {
            make_folder(folder)?;
        }
        let (clock, tasks) = (Clock::system(), Tasks::new());
        let ids = Ids::random(clock.clone());
        let name = roles.first().map_or("shop", |role| role.name());
        let ways = Ways::of(name, settings, &clock, &ids, &tasks)?;
        let carrier = Carrier::open(settings, roles, &clock, &tasks).await?;
        let engine = Engine::open(settings, roles, &clock, &tasks).await?;
        let sandbox = Sandbox::open(settings.shared_dir(), clock.clone(), settings.sandbox())?;
        let outside = Outside { provider: Arc::new(sandbox.clone()), mailer: mailer(settings)? };
        let ground = Ground { backend: engine.backend(), ids, clock, tasks };
        let part = Part {
            roles: roles.to_vec(),
            lines: ways.lines(settings, &roles.iter().map(|role| role.name()).collect::<Vec<_>>())?,
            wire: carrier.wire.clone(),
            backlog: Backlog::new(settings.places.outbox_max),
        };
        let shop = Shop::assemble_part(ground.clone(), outside, settings.services(), part).await?;
        Ok(Self { shop, ground, sandbox, ways, engine, carrier })
    }

    /// Sets the shop going.
    ///
    /// # Errors
    /// When the broker takes no subscription.
    pub async fn start(&mut self) -> Result<()> {
        Ok(self.shop.start_on(Arc::clone(&self.carrier.broker)).await?)
    }

    /// Writes what waits and lets others open the store.
    pub async fn close(self) {
        let Self { shop, ground, sandbox, engine, .. } = self;
        drop((shop, sandbox));
        engine.close(&ground.tasks).await;
    }
}

/// Whom `roles` ask is somewhere. Told before anything is opened, because that can take a while.
fn all_can_be_asked(settings: &Settings, roles: &[Role]) -> Result<(), StartError> {
    let is_asked = |other: Role| roles.iter().any(|role| callers::asks(role.name(), other));
    let is_known = |other: Role| roles.contains(&other) || settings.places.of(other).is_some();
    match Role::ALL.into_iter().find(|other| is_asked(*other) && !is_known(*other)) {
        Some(role) => Err(StartError::NoPeer { role }),
        None => Ok(()),
    }
}

/// Makes a folder for its owner alone, where there is none.
pub(crate) fn make_folder(folder: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("the folder {} cannot be made", folder.display()))
}

fn mailer(settings: &Settings) -> Result<Arc<dyn Mailer>> {
    Ok(match &settings.smtp_url {
        Some(url) => Arc::new(SmtpMailer::new(url.reveal())?),
        None => Arc::new(LocalMailbox::new(settings.mailbox()).context("the local mailbox cannot be made")?),
    })
}

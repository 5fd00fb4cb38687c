//! A shop that is put together from its settings: the store is open, and nothing runs yet.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use cartwright_mail_smtp::{LocalMailbox, SmtpMailer};
use cartwright_notification::Mailer;
use cartwright_payment_sandbox::Sandbox;
use cartwright_runtime::{Clock, Ids, Tasks};
use cartwright_store_sqlite::{Options, SqliteBackend};

use crate::settings::Settings;
use crate::shop::{Ground, Outside, Shop};

/// A shop whose store this process has open.
pub struct Opened {
    /// The shop, not started.
    pub shop: Shop,
    /// What it stands on.
    pub ground: Ground,
    /// The provider that moves no money, for its hosted page.
    pub sandbox: Sandbox,
    backend: Arc<SqliteBackend>,
}

impl Opened {
    /// Opens everything that `settings` name, and makes what is missing.
    ///
    /// # Errors
    /// In a sentence that says how to mend it: another process has the store, a folder cannot be written to, …
    pub async fn open(settings: &Settings) -> Result<Self> {
        let folder = &settings.data_dir;
        make_folder(folder).with_context(|| format!("DATA_DIR {} cannot be made", folder.display()))?;
        let clock = Clock::system();
        let backend = Arc::new(SqliteBackend::open(&settings.store_file(), clock.clone(), Options::default())?);
        let sandbox = Sandbox::open(folder, clock.clone(), settings.sandbox())?;
        let outside = Outside { provider: Arc::new(sandbox.clone()), mailer: mailer(settings)? };
        let ground = Ground {
            backend: Arc::<SqliteBackend>::clone(&backend),
            ids: Ids::random(clock.clone()),
            clock,
            tasks: Tasks::new(),
        };
        let shop = Shop::assemble(ground.clone(), outside, settings.services()).await?;
        Ok(Self { shop, ground, sandbox, backend })
    }

    /// Writes what waits and lets others open the store.
    pub async fn close(self) {
        let Self { shop, ground, sandbox, backend } = self;
        drop((shop, sandbox));
        if ground.tasks.blocking(move || backend.close()).await.is_err() {
            tracing::error!("closing the store panicked; the next start looks after it");
        }
    }
}

/// For its owner alone.
fn make_folder(folder: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn mailer(settings: &Settings) -> Result<Arc<dyn Mailer>> {
    Ok(match &settings.smtp_url {
        Some(url) => Arc::new(SmtpMailer::new(url.reveal())?),
        None => Arc::new(LocalMailbox::new(settings.mailbox()).context("the local mailbox cannot be made")?),
    })
}

//! The engine that keeps the documents: the embedded one, or MongoDB where the settings name it.

use std::sync::Arc;

use anyhow::{Result, bail};
use cartwright_runtime::{Clock, Secret, Tasks};
use cartwright_store::Backend;
use cartwright_store_mongo::{MongoBackend, Target};
use cartwright_store_sqlite::SqliteBackend;

use crate::role::Role;
use crate::settings::Settings;

/// An open engine.
#[derive(Clone)]
pub enum Engine {
    /// One file under `DATA_DIR`, for one process.
    Embedded(Arc<SqliteBackend>),
    /// A database a service, for any number of processes.
    Mongo(Arc<MongoBackend>),
}

impl Engine {
    /// Opens the engine that keeps the documents of `roles`.
    ///
    /// # Errors
    /// In a sentence that says how to mend it.
    pub async fn open(settings: &Settings, roles: &[Role], clock: &Clock, tasks: &Tasks) -> Result<Self> {
        if !settings.places.use_mongodb() {
            return Self::embedded(settings, clock);
        }
        let target = target(settings, roles)?;
        let options = cartwright_store_mongo::Options::default();
        Ok(Self::Mongo(Arc::new(MongoBackend::open(target, clock.clone(), tasks.clone(), options).await?)))
    }

    /// The embedded engine, whatever else the settings name.
    ///
    /// # Errors
    /// In a sentence that says how to mend it.
    pub fn embedded(settings: &Settings, clock: &Clock) -> Result<Self> {
        let options = cartwright_store_sqlite::Options::default();
        Ok(Self::Embedded(Arc::new(SqliteBackend::open(&settings.store_file(), clock.clone(), options)?)))
    }

    /// It as the port that services see.
    pub fn backend(&self) -> Arc<dyn Backend> {
        match self {
            Self::Embedded(backend) => Arc::<SqliteBackend>::clone(backend),
            Self::Mongo(backend) => Arc::<MongoBackend>::clone(backend),
        }
    }

    /// Writes what waits and lets others open it.
    pub async fn close(self, tasks: &Tasks) {
        match self {
            Self::Embedded(backend) => {
                if tasks.blocking(move || backend.close()).await.is_err() {
                    tracing::error!("closing the store panicked; the next start looks after it");
                }
            }
            // What was acknowledged is on its disks already.
            Self::Mongo(backend) => backend.leave().await,
        }
    }
}

/// Where the databases of `roles` are.
fn target(settings: &Settings, roles: &[Role]) -> Result<Target> {
    let own = &settings.places.own_mongodb_uris;
    let overrides: Vec<(String, Secret<String>)> =
        own.iter().map(|(role, uri)| (role.name().to_owned(), uri.clone())).collect();
    let homeless = roles.iter().find(|role| own.iter().all(|(it, _)| it != *role));
    match (&settings.places.mongodb_uri, homeless, overrides.first()) {
        (Some(uri), _, _) => Ok(Target { uri: uri.clone(), overrides }),
        (None, None, Some((_, uri))) => Ok(Target { uri: uri.clone(), overrides }),
        (None, Some(role), _) => bail!(
            "other services have a MongoDB of their own and {role} has none: set MONGODB_URI, or {}",
            role.mongodb_setting().to_ascii_uppercase()
        ),
        (None, None, None) => bail!("set MONGODB_URI"),
    }
}

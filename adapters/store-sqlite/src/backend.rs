//! The engine as the port sees it: commits go to the writer's queue, questions to the readers.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use cartwright_runtime::Clock;
use cartwright_store::{Backend, Bookmark, Collection, CollectionSpec, Commit, Envelope, Query, Row, StoreError};
use futures::future::{self, BoxFuture, FutureExt};
use rusqlite::params_from_iter;
use tokio::sync::oneshot;

use crate::check::{Check, complaints};
use crate::health::Health;
use crate::lock::Lock;
use crate::open::{OpenError, Opened, Options, copier, folder, open, open_read_only};
use crate::outbox::{self, Forgetting};
use crate::page::Page;
use crate::readers::Readers;
use crate::space::Space;
use crate::table::{Table, Tables, document};
use crate::writer::{Counts, Job, Writer};

/// An open file. Close it with [`SqliteBackend::close`]; dropping it does the same.
pub struct SqliteBackend {
    path: PathBuf,
    clock: Clock,
    /// Absent where the file is only read.
    jobs: Option<SyncSender<Job>>,
    readers: Readers,
    tables: Arc<Tables>,
    health: Arc<Health>,
    space: Arc<Space>,
    counts: Arc<Counts>,
    check: Mutex<Option<Check>>,
    lock: Mutex<Option<Lock>>,
}

/// How much was written since the file was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Commits that took effect.
    pub commits: u64,
    /// Transactions that held them, each with one sync.
    pub groups: u64,
}

impl SqliteBackend {
    /// Opens the file at `path`, or makes it; its folder must exist.
    ///
    /// # Errors
    /// A sentence that says how to mend it: see [`OpenError`].
    pub fn open(path: &Path, clock: Clock, options: Options) -> Result<Self, OpenError> {
        let Opened { writer, readers, lock, checked } = open(path, &options)?;
        let inaccessible =
            |error: std::io::Error| OpenError::Inaccessible { path: path.to_owned(), what: error.to_string() };
        let (jobs, queue) = sync_channel(options.queue.max(1));
        let opened = Self {
            path: path.to_owned(),
            clock: clock.clone(),
            jobs: Some(jobs),
            readers: Readers::new(readers),
            tables: Arc::default(),
            health: Arc::default(),
            space: Arc::new(Space::new(folder(path).to_owned(), clock.clone(), &options)),
            counts: Arc::default(),
            check: Mutex::default(),
            lock: Mutex::new(Some(lock)),
        };
        let writer = Writer {
            connection: writer,
            jobs: queue,
            tables: Arc::clone(&opened.tables),
            health: Arc::clone(&opened.health),
            counts: Arc::clone(&opened.counts),
            space: Arc::clone(&opened.space),
            forgetting: Forgetting::new(clock.clone()),
            clock,
            marks: Vec::new(),
            marked: None,
        };
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || writer.run());
        drop(thread.map_err(inaccessible)?);
        if !checked {
            let check = Check::start(path.to_owned(), Arc::clone(&opened.health)).map_err(inaccessible)?;
            *opened.check.lock().unwrap_or_else(PoisonError::into_inner) = Some(check);
        }
        Ok(opened)
    }

    /// Opens the file for reading only, beside a shop that may be running. Everything is read as it is at this moment,
    /// whatever is written meanwhile. Collections that it lacks are empty.
    ///
    /// # Errors
    /// A sentence that says how to mend it: see [`OpenError`].
    pub fn open_read_only(path: &Path, clock: Clock) -> Result<Self, OpenError> {
        let readers = open_read_only(path)?;
        Ok(Self {
            path: path.to_owned(),
            clock: clock.clone(),
            jobs: None,
            readers: Readers::new(readers),
            tables: Arc::default(),
            health: Arc::default(),
            space: Arc::new(Space::new(folder(path).to_owned(), clock, &Options::default())),
            counts: Arc::default(),
            check: Mutex::default(),
            lock: Mutex::default(),
        })
    }

    /// Everything that SQLite finds wrong with the file, indexes included; nothing where it is sound. Reads the whole file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn complaints(&self) -> Result<Vec<String>, StoreError> {
        self.readers
            .with(|connection| complaints(connection, "integrity_check").map_err(|error| self.health.of_read(&error)))
    }

    /// Writes a copy of everything durable to the new file `to`, beside the running shop. Reads the whole file.
    ///
    /// # Errors
    /// When the file cannot be read, or `to` exists or cannot be written.
    pub fn back_up(&self, to: &Path) -> Result<(), StoreError> {
        let Some(name) = to.to_str() else {
            return Err(StoreError::Unusable(format!("{} is not a name in UTF-8", to.display())));
        };
        let copied = copier(&self.path).and_then(|connection| connection.execute("VACUUM INTO ?1", [name]));
        copied.map_err(|error| self.health.of_read(&error))?;
        // SQLite does not sync such a copy.
        let synced = File::open(to).and_then(|copy| copy.sync_all()).and_then(|()| File::open(folder(to))?.sync_all());
        synced.map_err(|error| StoreError::Unavailable(error.to_string()))
    }

    /// How much was written since the file was opened.
    pub fn written(&self) -> Written {
        Written {
            commits: self.counts.commits.load(Ordering::Relaxed),
            groups: self.counts.groups.load(Ordering::Relaxed),
        }
    }

    /// Writes what waits, moves the log into the file and lets others open it. Blocks until then; doing it again does nothing.
    pub fn close(&self) {
        if let Some(check) = self.check.lock().unwrap_or_else(PoisonError::into_inner).take() {
            check.end(&self.clock);
        }
        // The writer's connection is the last one: it moves the log into the file.
        self.readers.close();
        let (closed, done) = sync_channel(1);
        if self.jobs.as_ref().is_some_and(|jobs| jobs.send(Job::Close(closed)).is_ok()) {
            // An error says that the writer is gone, which is as closed as it gets.
            done.recv().ok();
        }
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Queues a job for the writer.
    fn ask(&self, job: Job) -> Result<(), StoreError> {
        self.health.check()?;
        let Some(jobs) = &self.jobs else {
            return Err(StoreError::Unavailable(format!("{} is open for reading only", self.path.display())));
        };
        jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Busy("too many commits wait for the disk".to_owned()),
            TrySendError::Disconnected(_) => self.health.check().err().unwrap_or_else(closed),
        })
    }

    fn answered(
        &self,
        asked: Result<(), StoreError>,
        answer: oneshot::Receiver<Result<(), StoreError>>,
    ) -> BoxFuture<'static, Result<(), StoreError>> {
        let health = Arc::clone(&self.health);
        match asked {
            Err(error) => future::err(error).boxed(),
            Ok(()) => {
                async move { answer.await.unwrap_or_else(|_| Err(health.check().err().unwrap_or_else(closed))) }.boxed()
            }
        }
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}

#[async_trait]
impl Backend for SqliteBackend {
    async fn prepare(&self, scope: &'static str, collections: &[CollectionSpec]) -> Result<(), StoreError> {
        let tables: Vec<Table> =
            collections.iter().map(|spec| Table::new(scope, spec)).collect::<Result<_, StoreError>>()?;
        if self.jobs.is_none() {
            let found = self.readers.with(|connection| {
                let found = tables.into_iter().map(|table| Ok(Table { exists: table.is_in(connection)?, ..table }));
                found.collect::<rusqlite::Result<Vec<Table>>>().map_err(|error| self.health.of_read(&error))
            })?;
            self.tables.add(found);
            return Ok(());
        }
        let (answer, answered) = oneshot::channel();
        self.answered(self.ask(Job::Prepare(tables, answer)), answered).await
    }

    async fn get(&self, collection: Collection, key: &str) -> Result<Option<Row>, StoreError> {
        let table = self.tables.get(collection)?;
        if !table.exists {
            return Ok(None);
        }
        self.readers.with(|connection| {
            let found = connection.prepare_cached(&table.select).and_then(|mut statement| {
                let mut rows = statement.query([key])?;
                rows.next()?.map(|row| document(collection, row)).transpose()
            });
            found.map_err(|error| self.health.of_read(&error))?.transpose()
        })
    }

    async fn find(&self, query: Query) -> Result<Vec<Row>, StoreError> {
        let table = self.tables.get(query.collection)?;
        let Some(page) = Page::of(&table, &query)?.filter(|_| table.exists) else { return Ok(Vec::new()) };
        self.readers.with(|connection| {
            let found = connection.prepare_cached(&page.sql).and_then(|mut statement| {
                let rows =
                    statement.query_map(params_from_iter(&page.values), |row| document(query.collection, row))?;
                rows.collect::<rusqlite::Result<Vec<_>>>()
            });
            found.map_err(|error| self.health.of_read(&error))?.into_iter().collect()
        })
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'static, Result<(), StoreError>> {
        let (answer, answered) = oneshot::channel();
        self.answered(self.ask(Job::Commit(commit, answer)), answered)
    }

    async fn waiting(&self, most: usize) -> Result<usize, StoreError> {
        self.readers.with(|connection| outbox::waiting(connection, most).map_err(|error| self.health.of_read(&error)))
    }

    async fn unsent(&self, after: &Bookmark, limit: usize) -> Result<Vec<(Bookmark, Envelope)>, StoreError> {
        let after = after.number()?;
        self.readers.with(|connection| {
            let found = outbox::unsent(connection, after, limit);
            found.map_err(|error| self.health.of_read(&error))?.into_iter().collect()
        })
    }

    async fn sent(&self, ids: Vec<String>) -> Result<(), StoreError> {
        self.ask(Job::Sent(ids))
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.health.check()?;
        self.space.check()
    }

    fn ordered(&self) -> bool {
        true
    }

    fn exclusive(&self) -> bool {
        self.jobs.is_some()
    }
}

impl Drop for SqliteBackend {
    fn drop(&mut self) {
        self.close();
    }
}

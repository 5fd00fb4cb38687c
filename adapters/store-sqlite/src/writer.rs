//! The one writer: a thread that takes whatever waits, writes it in one transaction, syncs once, and then answers all.
//!
//! Nothing is delayed to make a group: while one group syncs, the next gathers by itself. A commit that is refused is
//! rolled back to its savepoint and the others go on; an engine that fails ends all writing ([`Health::poison`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use cartwright_runtime::{Clock, Stopwatch};
use cartwright_store::{Commit, StoreError};
use rusqlite::{Connection, ErrorCode};
use tokio::sync::oneshot;

use crate::commit::{Failure, apply, run};
use crate::health::Health;
use crate::outbox::{self, Forgetting};
use crate::space::{Space, grows};
use crate::table::{Table, Tables};

/// How many commits one transaction holds at most.
const GROUP: usize = 256;
/// How long marks of sent events wait for a commit to ride with.
const MARKS_WAIT: Duration = Duration::from_secs(1);
/// How many marks wait at most.
const MARKS: usize = 4096;

pub(crate) type Answer = oneshot::Sender<Result<(), StoreError>>;

/// What the writer is asked.
pub(crate) enum Job {
    Commit(Commit, Answer),
    Sent(Vec<String>),
    Prepare(Vec<Table>, Answer),
    /// Write what waits, checkpoint and end.
    Close(SyncSender<()>),
}

/// What was written since the file was opened.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) commits: AtomicU64,
    pub(crate) groups: AtomicU64,
}

pub(crate) struct Writer {
    pub(crate) connection: Connection,
    pub(crate) jobs: Receiver<Job>,
    pub(crate) tables: Arc<Tables>,
    pub(crate) health: Arc<Health>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) space: Arc<Space>,
    pub(crate) clock: Clock,
    pub(crate) forgetting: Forgetting,
    pub(crate) marks: Vec<String>,
    pub(crate) marked: Option<Stopwatch>,
}

/// Ends all writing when the writer's thread ends by a panic, so that nobody waits for it.
struct Watchman(Arc<Health>);

impl Drop for Watchman {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.poison("the writer panicked; its last group may or may not be on the disk".to_owned());
        }
    }
}

impl Writer {
    /// Works until it is closed or every handle is gone.
    pub(crate) fn run(mut self) {
        let _watchman = Watchman(Arc::clone(&self.health));
        loop {
            match self.next() {
                Ok(job) => {
                    if let Some(closed) = self.work(job) {
                        return self.close(Some(closed));
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.write(Vec::new()),
                Err(RecvTimeoutError::Disconnected) => return self.close(None),
            }
        }
    }

    fn next(&self) -> Result<Job, RecvTimeoutError> {
        match &self.marked {
            None => self.jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(marked) => self.jobs.recv_timeout(MARKS_WAIT.saturating_sub(marked.elapsed())),
        }
    }

    /// Takes whatever waits behind `first`, too; gives whom to tell where the file is to be closed.
    fn work(&mut self, first: Job) -> Option<SyncSender<()>> {
        let mut group = Vec::new();
        let mut job = Some(first);
        while let Some(next) = job {
            match next {
                Job::Commit(commit, answer) => group.push((commit, answer)),
                Job::Sent(ids) => self.mark(ids),
                Job::Prepare(tables, answer) => {
                    self.write(std::mem::take(&mut group));
                    let prepared = self.prepare(tables);
                    drop(answer.send(prepared));
                }
                Job::Close(closed) => {
                    self.write(group);
                    return Some(closed);
                }
            }
            job = if group.len() < GROUP { self.jobs.try_recv().ok() } else { None };
        }
        if !group.is_empty() || self.marks.len() > MARKS {
            self.write(group);
        }
        None
    }

    fn mark(&mut self, ids: Vec<String>) {
        self.marks.extend(ids);
        self.marked.get_or_insert_with(|| self.clock.stopwatch());
    }

    /// Writes a group with the marks that wait, and answers it.
    fn write(&mut self, group: Vec<(Commit, Answer)>) {
        let (commits, answers): (Vec<Commit>, Vec<Answer>) = group.into_iter().unzip();
        let nothing = commits.iter().all(|commit| commit.writes.is_empty() && commit.events.is_empty());
        let results = match self.health.check() {
            Ok(()) if nothing && (self.marks.is_empty() || !commits.is_empty()) => Ok(vec![Ok(()); commits.len()]),
            Ok(()) => self.transact(&commits).map_err(|error| self.failed(&error)),
            Err(error) => Err(error),
        };
        if results.is_err() && commits.is_empty() {
            // Marks that cannot be written are lost; their events are sent again.
            self.forget_marks();
        }
        let results = results.unwrap_or_else(|error| vec![Err(error); answers.len()]);
        for (answer, result) in answers.into_iter().zip(results) {
            // Whoever does not wait any more does not need the answer.
            drop(answer.send(result));
        }
    }

    fn transact(&mut self, commits: &[Commit]) -> rusqlite::Result<Vec<Result<(), StoreError>>> {
        run(&self.connection, "BEGIN IMMEDIATE")?;
        let mut results = Vec::with_capacity(commits.len());
        for commit in commits {
            results.push(match self.apply(commit) {
                Ok(()) => Ok(()),
                Err(Failure::Refused(error)) => Err(error),
                Err(Failure::Engine(error)) => return Err(error),
            });
        }
        outbox::mark_sent(&self.connection, &self.marks, self.clock.now())?;
        self.forgetting.step(&self.connection)?;
        run(&self.connection, "COMMIT")?;
        self.forget_marks();
        let written = results.iter().filter(|result| result.is_ok()).count();
        self.counts.commits.fetch_add(u64::try_from(written).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.counts.groups.fetch_add(1, Ordering::Relaxed);
        Ok(results)
    }

    fn apply(&self, commit: &Commit) -> Result<(), Failure> {
        if grows(commit) {
            self.space.check()?;
        }
        apply(&self.connection, &self.tables, commit)
    }

    fn forget_marks(&mut self) {
        self.marks.clear();
        self.marked = None;
    }

    /// Makes and verifies tables, all or none.
    fn prepare(&self, tables: Vec<Table>) -> Result<(), StoreError> {
        self.health.check()?;
        let prepared = self.prepare_all(&tables).map_err(|error| self.failed(&error))?;
        if let Err(refused) = prepared {
            run(&self.connection, "ROLLBACK").map_err(|error| self.failed(&error))?;
            return Err(refused);
        }
        run(&self.connection, "COMMIT").map_err(|error| self.failed(&error))?;
        self.tables.add(tables);
        Ok(())
    }

    fn prepare_all(&self, tables: &[Table]) -> rusqlite::Result<Result<(), StoreError>> {
        run(&self.connection, "BEGIN IMMEDIATE")?;
        for table in tables {
            if let Err(refused) = table.prepare(&self.connection)? {
                return Ok(Err(refused));
            }
        }
        Ok(Ok(()))
    }

    /// What a failure of the engine means: a disk without room and a file in use are told, everything else is final.
    fn failed(&self, error: &rusqlite::Error) -> StoreError {
        let undone = self.connection.is_autocommit() || self.connection.execute_batch("ROLLBACK").is_ok();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) if undone => StoreError::Full(error.to_string()),
            Some(ErrorCode::DatabaseBusy) if undone => StoreError::Busy(error.to_string()),
            _ => {
                let why =
                    format!("writing failed ({error}); nothing is written any more until the program starts again");
                self.health.poison(why.clone());
                StoreError::Unavailable(why)
            }
        }
    }

    fn close(mut self, closed: Option<SyncSender<()>>) {
        if !self.marks.is_empty() {
            self.write(Vec::new());
        }
        if let Err((_, error)) = self.connection.close() {
            tracing::warn!(%error, "the store was not closed cleanly; the next start looks at it more closely");
        }
        if let Some(closed) = closed {
            // Whoever asked may have given up waiting.
            closed.send(()).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use cartwright_store::{Collection, CollectionSpec, Effect, Write};

    use super::*;
    use crate::Options;
    use crate::open::{Opened, open};

    const LETTERS: Collection = Collection { scope: "post", name: "letters" };

    fn writer(folder: &std::path::Path) -> (Writer, Opened, SyncSender<Job>) {
        let mut opened = open(&folder.join("shop.db"), &Options::default()).unwrap();
        let connection = std::mem::replace(&mut opened.writer, Connection::open_in_memory().unwrap());
        let (asked, jobs) = sync_channel(16);
        let clock = Clock::system();
        let options = Options { least_free_bytes: 0, least_free_percent: 0, ..Options::default() };
        let writer = Writer {
            connection,
            jobs,
            tables: Arc::default(),
            health: Arc::default(),
            counts: Arc::default(),
            space: Arc::new(Space::new(folder.to_owned(), clock.clone(), &options)),
            forgetting: Forgetting::new(clock.clone()),
            clock,
            marks: Vec::new(),
            marked: None,
        };
        let spec = CollectionSpec::unlisted(LETTERS.name);
        writer.prepare(vec![Table::new(LETTERS.scope, &spec).unwrap()]).unwrap();
        (writer, opened, asked)
    }

    fn letter(key: &str, length: usize) -> Commit {
        let body = Arc::from(format!("\"{}\"", "x".repeat(length)).into_bytes());
        let effect = Effect::Put { body, index: Vec::new() };
        let write = Write { collection: LETTERS, key: key.to_owned(), expect: None, effect };
        Commit { writes: vec![write], events: Vec::new() }
    }

    fn written(writer: &mut Writer, commit: Commit) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        writer.write(vec![(commit, answer)]);
        answered.blocking_recv().unwrap()
    }

    #[test]
    fn a_file_that_cannot_grow_refuses_the_group_and_takes_the_next_that_fits() {
        let folder = tempfile::tempdir().unwrap();
        let (mut writer, _opened, _asked) = writer(folder.path());
        writer.connection.execute_batch("PRAGMA max_page_count = 40").unwrap();

        let large = written(&mut writer, letter("large", 1 << 20));
        let small = written(&mut writer, letter("small", 10));

        assert!(matches!(large, Err(StoreError::Full(_))), "{large:?}");
        small.unwrap();
        writer.health.check().unwrap();
    }

    #[test]
    fn a_panic_of_the_writer_is_told_to_whoever_waits_and_whoever_comes() {
        let health = Arc::<Health>::default();
        let (answer, answered) = oneshot::channel::<Result<(), StoreError>>();
        let theirs = Arc::clone(&health);
        let ended = std::thread::spawn(move || {
            let (_waiting, _watchman) = (answer, Watchman(theirs));
            panic!("as a test");
        })
        .join();

        assert!(ended.is_err());
        assert!(answered.blocking_recv().is_err(), "the answer's other end is gone, so nobody waits for it");
        assert!(matches!(health.check(), Err(StoreError::Unavailable(why)) if why.contains("panicked")));
    }
}

//! Opening a file: keep others out, look at what is there, refuse what cannot be trusted, in sentences.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::health::is_damage;
use crate::lock::{Lock, Locked};
use crate::{check, outbox};

/// Marks the file as ours: `CART`.
const APPLICATION: i64 = 0x4341_5254;
/// The schema that this program writes.
const SCHEMA: i64 = 1;
/// Larger files are checked beside the running shop, so that the start stays fast.
const CHECKED_AT_ONCE: u64 = 64 << 20;
/// Statements kept prepared: about eight for each collection of all services.
const STATEMENTS: usize = 256;

/// How the engine is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Commits that may wait; one more is told [`Busy`](cartwright_store::StoreError::Busy). 4,096.
    pub queue: usize,
    /// Connections for reading, 2 to 4. 3.
    pub readers: usize,
    /// Below this many free bytes on the disk nothing is added any more. 256 MiB.
    pub least_free_bytes: u64,
    /// Below this share of the disk free, in percent, nothing is added any more. 5.
    pub least_free_percent: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { queue: 4096, readers: 3, least_free_bytes: 256 << 20, least_free_percent: 5 }
    }
}

/// Why a file is not opened, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{} is open in process {pid}: stop that process first, or use another data directory", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
        /// The number of that process, or `unknown`.
        pid: String,
    },
    /// A newer program wrote it.
    #[error("{} has schema {found}, and this program knows {SCHEMA} at most: use the newer cartwright that wrote it", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
    },
    /// It is a file of something else.
    #[error("{} is not a store of cartwright: use another data directory, or move that file away", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// What is on the disk is not what was written.
    #[error("{} is damaged ({what}): restore a backup in its place, then run `cartwright verify`", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// The system does not let us.
    #[error("{} cannot be opened ({what}): check that the directory exists, is on a local disk and is yours to write", path.display())]
    Inaccessible {
        /// The file.
        path: PathBuf,
        /// What the system says.
        what: String,
    },
}

/// An open file that was looked at.
pub(crate) struct Opened {
    pub(crate) writer: Connection,
    pub(crate) readers: Vec<Connection>,
    pub(crate) lock: Lock,
    /// Whether it was looked at closely.
    pub(crate) checked: bool,
}

pub(crate) fn open(path: &Path, options: &Options) -> Result<Opened, OpenError> {
    let inaccessible = |error: io::Error| OpenError::Inaccessible { path: path.to_owned(), what: error.to_string() };
    let lock = match Lock::take(path).map_err(inaccessible)? {
        Locked::Here(lock) => lock,
        Locked::Elsewhere(pid) => {
            let pid = if pid.is_empty() { "unknown".to_owned() } else { pid };
            return Err(OpenError::InUse { path: path.to_owned(), pid });
        }
    };
    create(path).map_err(inaccessible)?;
    let size = fs::metadata(path).map_err(inaccessible)?.len();
    let clean = was_closed_cleanly(path);
    let is_new = size == 0;
    if is_new && !clean {
        let what = "it is empty, and its log is not".to_owned();
        return Err(OpenError::Damaged { path: path.to_owned(), what });
    }
    if !is_new && clean {
        header(path, size)?;
    }
    let sqlite = |error: rusqlite::Error| refused(path, &error);
    let writer = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(sqlite)?;
    writer.execute_batch(WRITER).map_err(sqlite)?;
    verify_schema(path, &writer)?;
    let checked = is_new || (!clean && size < CHECKED_AT_ONCE);
    if checked && !is_new {
        let found = check::complaints(&writer, "quick_check").map_err(sqlite)?;
        if let Some(what) = found.into_iter().next() {
            return Err(OpenError::Damaged { path: path.to_owned(), what });
        }
    }
    let readers = (0..options.readers.clamp(1, 16)).map(|_| reader(path)).collect::<Result<_, _>>().map_err(sqlite)?;
    Ok(Opened { writer, readers, lock, checked })
}

/// Connections for reading beside a shop that may be running, without its lock.
pub(crate) fn open_read_only(path: &Path) -> Result<Vec<Connection>, OpenError> {
    let sqlite = |error: rusqlite::Error| refused(path, &error);
    let connection = reader(path).map_err(sqlite)?;
    // The first read within a transaction fixes what all later ones see.
    connection.execute_batch("BEGIN").map_err(sqlite)?;
    let (application, schema) = marks(&connection).map_err(sqlite)?;
    known(path, application, schema)?;
    Ok(vec![connection])
}

pub(crate) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.execute_batch(READER)?;
    Ok(connection)
}

/// A connection that cannot write to the file, but may to a new one.
pub(crate) fn copier(path: &Path) -> rusqlite::Result<Connection> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// FULL syncs the log with every transaction. Sizes: 8 KiB pages, 8 MiB of them in memory, a checkpoint about every 32 MiB,
/// and a log cut back to 64 MiB.
const WRITER: &str = "
    PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -8192;
    PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 67108864; PRAGMA temp_store = MEMORY;
    PRAGMA trusted_schema = OFF;";

const READER: &str = "PRAGMA query_only = ON; PRAGMA cache_size = -2048; PRAGMA trusted_schema = OFF;";

fn connect(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// Makes an empty file for its owner only, and makes sure that its name is on the disk before anything is in it.
fn create(path: &Path) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    drop(File::options().create(true).append(true).mode(0o600).open(path)?);
    File::open(folder(path))?.sync_all()
}

/// The folder that a file is in.
pub(crate) fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Closing moves the log into the file and removes it; a log that is left says that nobody closed.
fn was_closed_cleanly(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    fs::metadata(log).map_or(true, |log| log.len() == 0)
}

/// Bytes of the header that never change in our files: fractions, schema format, no vacuuming, UTF-8, zeros.
const FIXED: [(usize, &[u8]); 5] =
    [(20, &[0, 64, 32, 32]), (44, &[0, 0, 0, 4]), (52, &[0, 0, 0, 0, 0, 0, 0, 1]), (64, &[0; 4]), (72, &[0; 20])];

/// The header of a file that was closed cleanly must agree with itself and with the file's length.
/// Offsets: <https://www.sqlite.org/fileformat2.html#the_database_header>.
fn header(path: &Path, size: u64) -> Result<(), OpenError> {
    let damaged = |what: &str| Err(OpenError::Damaged { path: path.to_owned(), what: what.to_owned() });
    let mut bytes = [0_u8; 100];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut bytes));
    if read.is_err() {
        return damaged("it is shorter than its header");
    }
    if &bytes[..16] != b"SQLite format 3\0" {
        return damaged("it does not begin as a database does");
    }
    let number = |at: usize| u64::from(u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]));
    let page = match u64::from(u16::from_be_bytes([bytes[16], bytes[17]])) {
        1 => 65_536,
        bytes => bytes,
    };
    let ours = number(68) == APPLICATION.unsigned_abs();
    // 2 with a log beside the file; 1 in a backup that was never opened.
    let mode = bytes[18] == bytes[19] && matches!(bytes[18], 1 | 2);
    if ours && !mode {
        return damaged("its header is not one that this program writes");
    }
    if ours && FIXED.iter().any(|(at, fixed)| bytes.get(*at..*at + fixed.len()) != Some(fixed)) {
        return damaged("its header is not one that this program writes");
    }
    if number(24) != number(92) {
        return damaged("its header disagrees with itself");
    }
    if number(28).saturating_mul(page) != size {
        return damaged("its length is not what its header says");
    }
    Ok(())
}

fn marks(connection: &Connection) -> rusqlite::Result<(i64, i64)> {
    let application = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    Ok((application, connection.query_row("PRAGMA user_version", [], |row| row.get(0))?))
}

fn known(path: &Path, application: i64, schema: i64) -> Result<(), OpenError> {
    if application != APPLICATION {
        return Err(OpenError::Foreign { path: path.to_owned() });
    }
    match schema {
        SCHEMA => Ok(()),
        found if found > SCHEMA => Err(OpenError::Newer { path: path.to_owned(), found }),
        found => Err(OpenError::Damaged { path: path.to_owned(), what: format!("there never was a schema {found}") }),
    }
}

fn verify_schema(path: &Path, connection: &Connection) -> Result<(), OpenError> {
    let sqlite = |error: rusqlite::Error| refused(path, &error);
    let (application, schema) = marks(connection).map_err(sqlite)?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(sqlite)?;
    if (application, schema, tables) != (0, 0, 0) {
        return known(path, application, schema);
    }
    connection
        .execute_batch(&format!(
            "BEGIN IMMEDIATE; PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {SCHEMA}; {} COMMIT;",
            outbox::SCHEMA
        ))
        .map_err(sqlite)
}

fn refused(path: &Path, error: &rusqlite::Error) -> OpenError {
    let (path, what) = (path.to_owned(), error.to_string());
    if is_damage(error) { OpenError::Damaged { path, what } } else { OpenError::Inaccessible { path, what } }
}

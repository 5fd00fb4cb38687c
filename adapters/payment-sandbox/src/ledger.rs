//! The sandbox's ledger: an append-only file of one JSON line for each effect, on disk before anybody is told.
//!
//! The processes of a shop that share the file are one provider: each locks it, reads what the others wrote, decides and
//! appends. A line that was cut short by a crash was never answered, so it is dropped; anything else that cannot be read is
//! an error. Whatever waits shares one sync.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, SyncSender};

use cartwright_runtime::Time;
use cartwright_vocabulary::{Money, PaymentId, RefundId};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// The ledger's file name within its folder.
pub const LEDGER_FILE: &str = "sandbox-ledger.jsonl";
/// Numbers that may wait for the disk.
const WAITING_MOST: usize = 4096;

/// One effect on one charge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerEntry {
    /// When it happened.
    pub at: Time,
    /// The charge, under the shop's key.
    pub key: PaymentId,
    /// What happened to it.
    #[serde(flatten)]
    pub effect: Effect,
}

/// What can happen to a charge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Effect {
    /// It is worked on.
    Pending {
        /// What is to be held.
        amount: Money,
        /// The token.
        method: String,
        /// When the money will be held.
        until: Time,
    },
    /// The shopper must approve it.
    ActionRequired {
        /// What is to be held.
        amount: Money,
        /// The token.
        method: String,
        /// Until when.
        expires_at: Time,
    },
    /// The money is held.
    Authorised {
        /// What is held.
        amount: Money,
        /// The token.
        method: String,
    },
    /// It was declined, or the shopper gave it up.
    Declined {
        /// Why.
        code: String,
    },
    /// The money was taken.
    Captured {
        /// What was taken.
        amount: Money,
    },
    /// It holds nothing and never will again; also where it had never begun.
    Voided,
    /// Money went back.
    Refunded {
        /// The shop's key of the refund.
        refund: RefundId,
        /// What went back.
        amount: Money,
    },
}

/// Why a ledger cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file cannot be read or written.
    #[error("the sandbox provider's ledger {path}: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// A line in it makes no sense.
    #[error(
        "the sandbox provider's ledger {path} is damaged in line {line}: {cause}; move it away to start an empty one"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        cause: serde_json::Error,
    },
}

/// Everything in the ledger at `path`, oldest first; nothing where there is no file. May be called beside a running
/// sandbox: a last line that is still being written is left out.
///
/// # Errors
/// See [`LedgerError`].
pub fn read_ledger(path: &Path) -> Result<Vec<LedgerEntry>, LedgerError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(cause) => return Err(LedgerError::File { path: path.to_owned(), cause }),
    };
    let read = |(place, line): (usize, &[u8])| {
        serde_json::from_slice(line).map_err(|cause| LedgerError::Damaged {
            path: path.to_owned(),
            line: place + 1,
            cause,
        })
    };
    whole_lines(&text).split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).enumerate().map(read).collect()
}

/// `text` without the line that was cut short, if any.
fn whole_lines(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |place| place + 1);
    text.get(..end).unwrap_or_default()
}

/// An open ledger, which other processes may have open too. What was read from or written to it has a number; the higher
/// one is later, and [`Ledger::synced`] says up to which all of it is on disk.
pub(crate) struct Ledger {
    file: File,
    /// The bytes of it that are known here.
    known: u64,
    number: u64,
    to_sync: SyncSender<u64>,
    synced: watch::Receiver<u64>,
}

impl Ledger {
    /// Opens the ledger in `folder`.
    pub(crate) fn open(folder: &Path) -> Result<Self, LedgerError> {
        let path = folder.join(LEDGER_FILE);
        // What cannot be read is told with its line.
        read_ledger(&path)?;
        let failed = |cause: io::Error| LedgerError::File { path: path.clone(), cause };
        let file = open_to_append(folder, &path).map_err(failed)?;
        let synced_file = file.try_clone().map_err(failed)?;
        let (to_sync, waiting) = mpsc::sync_channel(WAITING_MOST);
        let (done, synced) = watch::channel(0);
        let syncer = std::thread::Builder::new().name("sandbox-ledger".to_owned());
        syncer.spawn(move || sync_groups(&synced_file, &waiting, &done)).map_err(failed)?;
        Ok(Self { file, known: 0, number: 0, to_sync, synced })
    }

    /// The ledger for this caller alone, whichever process the others are in, until what it gives is dropped.
    ///
    /// # Errors
    /// When it cannot be locked.
    pub(crate) fn turn(&mut self) -> io::Result<Turn<'_>> {
        flock(&self.file, FlockOperation::LockExclusive)?;
        Ok(Turn(self))
    }

    /// The number up to which all is on disk; closed where the disk refused.
    pub(crate) fn synced(&self) -> watch::Receiver<u64> {
        self.synced.clone()
    }
}

/// The ledger, locked.
pub(crate) struct Turn<'a>(&'a mut Ledger);

impl Turn<'_> {
    /// What other processes wrote since the last turn.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn news(&mut self) -> io::Result<Vec<LedgerEntry>> {
        let length = self.0.file.metadata()?.len();
        if length == self.0.known {
            return Ok(Vec::new());
        }
        let mut text = vec![0; usize::try_from(length.saturating_sub(self.0.known)).unwrap_or(usize::MAX)];
        self.0.file.read_exact_at(&mut text, self.0.known)?;
        let whole = whole_lines(&text);
        let lines = whole.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let entries = lines.map(serde_json::from_slice).collect::<Result<Vec<LedgerEntry>, _>>()?;
        let end = self.0.known + u64::try_from(whole.len()).unwrap_or(u64::MAX);
        if end < length {
            // Its writer died in the middle of this line and has told nobody.
            self.0.file.set_len(end)?;
        }
        self.0.known = end;
        self.sync()?;
        Ok(entries)
    }

    /// Adds a line.
    ///
    /// # Errors
    /// When it cannot be written; the file is as it was then, or its end is cut off at the next turn.
    pub(crate) fn append(&mut self, entry: &LedgerEntry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        self.0.file.write_all(&line)?;
        self.0.known += u64::try_from(line.len()).unwrap_or(u64::MAX);
        self.sync()
    }

    /// The number of the last thing that was read or written.
    pub(crate) fn number(&self) -> u64 {
        self.0.number
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.number += 1;
        self.0.to_sync.send(self.0.number).map_err(|_| io::Error::other("the disk refused an earlier line"))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Err(error) = flock(&self.0.file, FlockOperation::Unlock) {
            tracing::error!(%error, "the sandbox provider's ledger cannot be unlocked");
        }
    }
}

/// The file, with its name on disk.
fn open_to_append(folder: &Path, path: &Path) -> io::Result<File> {
    std::fs::create_dir_all(folder)?;
    let file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    file.sync_all()?;
    File::open(folder)?.sync_all()?;
    Ok(file)
}

/// Syncs for all who wait at once, until nobody asks any more or the disk refuses.
fn sync_groups(file: &File, waiting: &Receiver<u64>, done: &watch::Sender<u64>) {
    while let Ok(first) = waiting.recv() {
        let last = waiting.try_iter().last().unwrap_or(first);
        if let Err(error) = file.sync_data() {
            // What is on disk is not known any more, so nothing more is answered: a restart reads what is there.
            tracing::error!(%error, "the sandbox provider's ledger cannot be written; it answers nothing any more");
            return;
        }
        done.send_replace(last);
    }
}

//! The sandbox's ledger: an append-only file of one JSON line for each effect, on disk before anybody is told.
//!
//! A line that was cut short by a crash was never answered, so it is dropped when the file is opened; anything else that
//! cannot be read is an error. One thread writes; whatever waits shares one sync.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, SyncSender};

use cartwright_runtime::Time;
use cartwright_vocabulary::{Money, PaymentId, RefundId};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// The ledger's file name within its folder.
pub const LEDGER_FILE: &str = "sandbox-ledger.jsonl";
/// Lines that may wait for the writer.
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

/// Appends to a ledger. Lines are numbered from 1; [`Ledger::synced`] says up to which they are on disk.
pub(crate) struct Ledger {
    lines: SyncSender<Vec<u8>>,
    synced: watch::Receiver<u64>,
    appended: u64,
}

impl Ledger {
    /// Opens the ledger in `folder`, and gives what is in it.
    pub(crate) fn open(folder: &Path) -> Result<(Self, Vec<LedgerEntry>), LedgerError> {
        let path = folder.join(LEDGER_FILE);
        let entries = read_ledger(&path)?;
        let file = ready_to_append(folder, &path).map_err(|cause| LedgerError::File { path: path.clone(), cause })?;
        let (lines, waiting) = mpsc::sync_channel(WAITING_MOST);
        let (done, synced) = watch::channel(0);
        let writer = std::thread::Builder::new().name("sandbox-ledger".to_owned());
        writer.spawn(move || write_groups(file, &waiting, &done)).map_err(|cause| LedgerError::File { path, cause })?;
        Ok((Self { lines, synced, appended: 0 }, entries))
    }

    /// Hands a line to the writer and gives its number, or `None` where the file takes no more.
    pub(crate) fn append(&mut self, entry: &LedgerEntry) -> Option<u64> {
        let mut line = serde_json::to_vec(entry).ok()?;
        line.push(b'\n');
        self.lines.send(line).ok()?;
        self.appended += 1;
        Some(self.appended)
    }

    /// The number of the last line that is on disk; closed where the file takes no more.
    pub(crate) fn synced(&self) -> watch::Receiver<u64> {
        self.synced.clone()
    }
}

/// The file without a line that was cut short, at its end, with its name on disk.
fn ready_to_append(folder: &Path, path: &Path) -> io::Result<File> {
    std::fs::create_dir_all(folder)?;
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let whole = whole_lines(&std::fs::read(path)?).len();
    file.set_len(u64::try_from(whole).unwrap_or(u64::MAX))?;
    file.sync_all()?;
    File::open(folder)?.sync_all()?;
    Ok(file)
}

/// Writes whatever waits and syncs it at once, until nobody appends any more or the disk refuses.
fn write_groups(mut file: File, waiting: &Receiver<Vec<u8>>, done: &watch::Sender<u64>) {
    let mut written = 0;
    while let Ok(first) = waiting.recv() {
        let mut group = first;
        let mut lines = 1;
        for line in waiting.try_iter().take(WAITING_MOST) {
            group.extend(line);
            lines += 1;
        }
        if let Err(error) = file.write_all(&group).and_then(|()| file.sync_data()) {
            // What is on disk is not known any more, so nothing more is written: a restart reads what is there.
            tracing::error!(%error, "the sandbox provider's ledger cannot be written; it answers nothing any more");
            return;
        }
        written += lines;
        done.send_replace(written);
    }
}

//! The lock that keeps a second process out: an advisory lock on a file beside the database, which names its holder.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// Held until it is dropped, or the process ends in whatever way.
pub(crate) struct Lock(#[expect(dead_code, reason = "the open file is the lock")] File);

pub(crate) enum Locked {
    Here(Lock),
    /// By the process of this number, as far as it is written there.
    Elsewhere(String),
}

impl Lock {
    pub(crate) fn take(database: &Path) -> io::Result<Locked> {
        let mut file = File::options().create(true).truncate(false).read(true).write(true).open(beside(database))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder)?;
                return Ok(Locked::Elsewhere(holder.trim().to_owned()));
            }
            Err(error) => return Err(error.into()),
        }
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Locked::Here(Self(file)))
    }
}

fn beside(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

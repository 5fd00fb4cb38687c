//! The embedded engine: one SQLite file for all the services of a process.
//!
//! Promises that a commit is on the disk before it is answered, and that whatever waits is written together: one thread
//! writes, and while it syncs the next group gathers. Refuses to open what another process has open, what is damaged and
//! what a newer program wrote, each with a sentence that says how to mend it; refuses every write after the first failure
//! of the disk until it is opened again.

mod backend;
mod check;
mod commit;
mod health;
mod lock;
mod open;
mod outbox;
mod page;
mod probe;
mod readers;
mod space;
mod table;
mod writer;

pub use backend::{SqliteBackend, Written};
pub use open::{OpenError, Options};
pub use probe::{ProbeReport, commit_probe};

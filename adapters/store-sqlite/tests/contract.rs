//! The embedded engine signs the contract.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;

use cartwright_runtime::Clock;
use cartwright_store::Backend;
use cartwright_store::contract::Subject;
use cartwright_store::store_contract;
use cartwright_store_sqlite::{Options, SqliteBackend};

fn open(folder: &Path) -> Arc<SqliteBackend> {
    let roomy = Options { least_free_bytes: 0, least_free_percent: 0, ..Options::default() };
    Arc::new(SqliteBackend::open(&folder.join("shop.db"), Clock::system(), roomy).unwrap())
}

fn subject() -> Subject {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path());
    Subject::new(Arc::clone(&first) as Arc<dyn Backend>, move || {
        first.close();
        open(folder.path())
    })
}

store_contract!(sqlite, subject());

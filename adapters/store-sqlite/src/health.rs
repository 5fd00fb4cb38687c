//! Whether the file can still be trusted with writes.
//!
//! The first failure of the disk is final for the handle: after a failed sync nobody knows what is on the disk, and
//! trying again would only hide it (the kernel drops the pages it could not write).

use std::sync::OnceLock;

use cartwright_store::StoreError;
use rusqlite::ErrorCode;

#[derive(Default)]
pub(crate) struct Health(OnceLock<String>);

impl Health {
    /// Ends all writing for this handle; the first reason stays.
    pub(crate) fn poison(&self, why: String) {
        if self.0.set(why).is_ok() {
            tracing::error!(
                reason = self.reason(),
                "the store no longer takes writes; start again to find out what is on the disk"
            );
        }
    }

    pub(crate) fn check(&self) -> Result<(), StoreError> {
        self.0.get().map_or(Ok(()), |why| Err(StoreError::Unavailable(why.clone())))
    }

    fn reason(&self) -> &str {
        self.0.get().map_or("", String::as_str)
    }

    /// What a failed read means. Damage also ends all writing.
    pub(crate) fn of_read(&self, error: &rusqlite::Error) -> StoreError {
        if is_damage(error) {
            self.poison(format!("the file is damaged ({error}): restore a backup, then run `cartwright verify`"));
        }
        StoreError::Unavailable(error.to_string())
    }
}

pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

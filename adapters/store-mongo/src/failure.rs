//! What the driver's errors mean for a commit: whether it happened, may have happened, or should be tried again.

use cartwright_store::StoreError;
use mongodb::error::{
    Error, ErrorKind, RETRYABLE_WRITE_ERROR, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT,
    WriteFailure,
};

/// Two transactions wrote one document.
const WRITE_CONFLICT: i32 = 112;
/// Two documents would stand at one place of a unique index.
const DUPLICATE_KEY: i32 = 11_000;
/// The disk is full.
const OUT_OF_DISK_SPACE: i32 = 14_031;
/// The document is too large, too deep, or has a name that MongoDB does not take.
const UNFIT_DOCUMENT: [i32; 8] = [15, 52, 55, 56, 10_334, 17_280, 17_419, 17_420];
/// The node stops, steps down, or lost others meanwhile (the driver specification's retryable codes).
const NODE_LEAVES: [i32; 14] = [6, 7, 64, 89, 91, 134, 189, 262, 9_001, 10_107, 11_600, 11_602, 13_435, 13_436];

/// Why an operation gave no result.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// Nothing happened, and this is what the caller is told.
    Refused(StoreError),
    /// Nothing happened: another document stands at the place, in the index of this name.
    Taken(String),
    /// Nothing happened: somebody else wrote the same document at the same time.
    Collided,
    /// Nothing happened, and it may go better at once.
    Failed(String),
    /// It may or may not have happened.
    Unsure(String),
}

impl Failure {
    pub(crate) fn of(error: &Error) -> Self {
        let code = code(error);
        let text = || error.kind.to_string();
        if error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT) {
            return Self::Unsure(text());
        }
        match code {
            Some(WRITE_CONFLICT) => return Self::Collided,
            Some(DUPLICATE_KEY) => return Self::Taken(index_in(&message(error))),
            Some(OUT_OF_DISK_SPACE) => return Self::Refused(StoreError::Full(message(error))),
            Some(code) if UNFIT_DOCUMENT.contains(&code) => return Self::Refused(StoreError::Unusable(message(error))),
            Some(_) | None => {}
        }
        if error.contains_label(TRANSIENT_TRANSACTION_ERROR) {
            return Self::Failed(text());
        }
        if error.contains_label(RETRYABLE_WRITE_ERROR) || code.is_some_and(|code| NODE_LEAVES.contains(&code)) {
            return Self::Unsure(text());
        }
        Self::of_kind(error)
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the driver may grow kinds, and says so")]
    fn of_kind(error: &Error) -> Self {
        let text = error.kind.to_string();
        match &*error.kind {
            ErrorKind::Io(_) | ErrorKind::ConnectionPoolCleared { .. } | ErrorKind::InvalidResponse { .. } => {
                Self::Unsure(text)
            }
            ErrorKind::Write(WriteFailure::WriteConcernError(_)) => Self::Unsure(text),
            ErrorKind::Bson(_) | ErrorKind::InvalidArgument { .. } => Self::Refused(StoreError::Unusable(text)),
            _ => Self::Refused(StoreError::Unavailable(text)),
        }
    }

    /// What the caller of a read is told.
    pub(crate) fn into_read_error(self) -> StoreError {
        match self {
            Self::Refused(error) => error,
            Self::Failed(text) | Self::Unsure(text) => StoreError::Unavailable(text),
            Self::Taken(index) => StoreError::Unavailable(format!("a place of {index} is taken")),
            Self::Collided => StoreError::Busy("somebody else writes the same documents".to_owned()),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::of(&error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

/// What the caller of a read is told about the driver's error.
pub(crate) fn of_read(error: Error) -> StoreError {
    Failure::of(&error).into_read_error()
}

/// The server's number for it.
#[expect(clippy::wildcard_enum_match_arm, reason = "other kinds have no number")]
pub(crate) fn code(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(command) => Some(command.code),
        ErrorKind::Write(WriteFailure::WriteError(write)) => Some(write.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(concern)) => Some(concern.code),
        ErrorKind::InsertMany(many) => {
            let first = many.write_errors.as_ref().and_then(|errors| errors.first()).map(|error| error.code);
            first.or_else(|| many.write_concern_error.as_ref().map(|concern| concern.code))
        }
        _ => None,
    }
}

/// Which of the documents of one statement it is about.
pub(crate) fn number_in_batch(error: &Error) -> usize {
    if let ErrorKind::InsertMany(many) = &*error.kind {
        return many.write_errors.as_ref().and_then(|errors| errors.first()).map_or(0, |error| error.index);
    }
    0
}

#[expect(clippy::wildcard_enum_match_arm, reason = "other kinds have no message of their own")]
fn message(error: &Error) -> String {
    match &*error.kind {
        ErrorKind::Command(command) => command.message.clone(),
        ErrorKind::Write(WriteFailure::WriteError(write)) => write.message.clone(),
        ErrorKind::InsertMany(many) => {
            let first = many.write_errors.as_ref().and_then(|errors| errors.first());
            first.map(|error| error.message.clone()).unwrap_or_default()
        }
        _ => error.kind.to_string(),
    }
}

/// The index in `E11000 duplicate key error collection: d.c index: by-label dup key: {…}`.
fn index_in(message: &str) -> String {
    let after = message.split_once(" index: ").map_or("", |(_, after)| after);
    after.split_once(" dup key").map_or(after, |(name, _)| name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_found_in_the_servers_words() {
        let words = "E11000 duplicate key error collection: d.c index: index.by-label dup key: { _index.l: \" index: x dup key\" }";
        assert_eq!(index_in(words), "index.by-label");
    }
}

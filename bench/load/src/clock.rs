//! The real clock. Measuring it is what this program is for; the rest of the program looks at it only here.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

#[expect(clippy::disallowed_methods, reason = "a load generator measures real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Waits, for a server to come up or for a window to open. Every caller has a deadline of its own.
#[expect(clippy::disallowed_methods, reason = "the other party is a real process, which no clock of ours drives")]
pub(crate) async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// The outcome of `work`, or an error when it takes longer than `limit`: a server that never answers must not hang the run.
///
/// # Errors
/// That of `work`, or that the time is over.
#[expect(clippy::disallowed_methods, reason = "the other party is a real process, which no clock of ours drives")]
pub(crate) async fn within<T>(limit: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    match tokio::time::timeout(limit, work).await {
        Ok(outcome) => outcome,
        Err(_) => bail!("no end within {} s", limit.as_secs()),
    }
}

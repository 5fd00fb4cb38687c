//! The loop that notices new certificates.
//!
//! Promises that what is wrong with the files is said once and not at every look, that a certificate which runs out in
//! use is said too, and that a pair which is half written is looked at again soon.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cartwright_runtime::{Clock, Tasks, Time};

use crate::TlsError;

/// How soon files that were not right are looked at again.
const AGAIN: Duration = Duration::from_secs(1);

/// What follows its files.
pub(crate) trait Renewed: Send + Sync + 'static {
    /// Reads the files again. True when something new is in use.
    fn reload(&self) -> Result<bool, TlsError>;

    /// When the certificate that is in use ends.
    fn not_after(&self) -> Time;

    /// The file of the certificate, for the log.
    fn file(&self) -> &Path;
}

/// Looks at the files every `every`, until the program stops.
pub(crate) async fn keep_fresh<R: Renewed>(renewed: Arc<R>, every: Duration, clock: Clock, tasks: Tasks) {
    let mut said = Said::default();
    let mut wait = every;
    loop {
        tokio::select! {
            () = tasks.stopped() => return,
            () = clock.sleep(wait) => {}
        }
        let reading = Arc::clone(&renewed);
        let Ok(outcome) = tasks.blocking(move || reading.reload()).await else { return };
        wait = if outcome.is_err() { every.min(AGAIN) } else { every };
        said.say(outcome, renewed.as_ref(), clock.now());
    }
}

/// What was complained about last.
#[derive(Default)]
struct Said(Option<String>);

impl Said {
    fn say(&mut self, outcome: Result<bool, TlsError>, renewed: &impl Renewed, now: Time) {
        let (file, not_after) = (renewed.file().display(), renewed.not_after());
        let complaint = match outcome {
            Ok(true) => {
                tracing::info!(%file, %not_after, "a new certificate is in use");
                None
            }
            Ok(false) if not_after < now => Some(format!("the certificate that is in use expired at {not_after}")),
            Ok(false) => None,
            Err(error) => Some(error.to_string()),
        };
        if let Some(complaint) = complaint.as_ref().filter(|complaint| self.0.as_ref() != Some(complaint)) {
            tracing::error!(%file, %not_after, "new certificates are not used: {complaint}");
        }
        self.0 = complaint;
    }
}

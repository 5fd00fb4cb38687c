//! What the request under way hands on to the calls that are made for it: its name, and the time it has left (R-L 3).
//!
//! It is known to everything that the route does in its own task, so that nobody has to pass it through the domain.

use std::future::Future;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use cartwright_runtime::Stopwatch;

use crate::edge::{REQUEST_ID, TRACEPARENT};

tokio::task_local! {
    static ASKED: Asked;
}

/// The request that this task answers.
#[derive(Clone, Debug)]
pub struct Asked {
    pub(crate) id: HeaderValue,
    pub(crate) traceparent: Option<HeaderValue>,
    pub(crate) watch: Stopwatch,
    pub(crate) limit: Option<Duration>,
}

impl Asked {
    /// The request that is answered here; `None` for what the program does by itself.
    pub fn now() -> Option<Self> {
        ASKED.try_with(Self::clone).ok()
    }

    /// What is left of its time, where that has an end.
    pub fn left(&self) -> Option<Duration> {
        self.limit.map(|limit| limit.saturating_sub(self.watch.elapsed()))
    }

    /// Names it in the header of a call that is made for it, unless that has a name.
    pub fn mark(&self, headers: &mut HeaderMap) {
        headers.entry(REQUEST_ID).or_insert_with(|| self.id.clone());
        if let Some(traceparent) = &self.traceparent {
            headers.entry(TRACEPARENT).or_insert_with(|| traceparent.clone());
        }
    }

    pub(crate) fn during<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        ASKED.scope(self, work)
    }
}

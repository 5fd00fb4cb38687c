//! What a role is: routes, subscriptions and jobs under one name.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use cartwright_bus::Subscription;
use cartwright_runtime::{Clock, Tasks};
use cartwright_store::{Store, take_turn};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use utoipa_axum::router::OpenApiRouter;

/// A service, ready to be run alone or beside others.
pub struct Service {
    /// Its name, which is also its prefix at the gateway.
    pub name: &'static str,
    /// What it answers, without the gateway's prefix, with its part of the OpenAPI document.
    pub routes: OpenApiRouter,
    /// What it reacts to.
    pub subscriptions: Vec<Subscription>,
    /// What it does by itself.
    pub jobs: Vec<Job>,
}

/// The shortest turn of a job that one process does at a time: a late write must not cost it.
const LEAST_TURN: Duration = Duration::from_secs(3);

type Work = dyn Fn(Tasks) -> BoxFuture<'static, ()> + Send + Sync;

/// Work that a service does by itself until the program stops.
#[derive(Clone)]
pub struct Job {
    /// Its name, for people.
    pub name: &'static str,
    work: Arc<Work>,
}

impl Job {
    /// Work that runs from the start to the stop of the program and ends when the tasks it is given stop.
    pub fn running<F>(name: &'static str, work: impl Fn(Tasks) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self { name, work: Arc::new(move |tasks| Box::pin(work(tasks))) }
    }

    /// Work that is done at the start and then each `interval` of `clock`. A failure is logged and waits for the next time;
    /// so is a panic, which would else be the job's last.
    pub fn every<F, E>(
        interval: Duration,
        clock: Clock,
        name: &'static str,
        work: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::fmt::Display + Send,
    {
        let work = Arc::new(work);
        Self::running(name, move |tasks| {
            let (clock, work) = (clock.clone(), Arc::clone(&work));
            async move {
                loop {
                    match AssertUnwindSafe(async { work().await }).catch_unwind().await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => tracing::warn!(job = name, %error, "a job failed; it runs again"),
                        Err(_) => tracing::error!(job = name, "a job panicked; it runs again"),
                    }
                    tokio::select! {
                        () = tasks.stopped() => return,
                        () = clock.sleep(interval) => {}
                    }
                }
            }
        })
    }

    /// The same for work that one of the processes that share `store` does at a time. When that one dies, another goes on
    /// after three intervals, or [`LEAST_TURN`] where that is longer.
    pub fn by_turns<F, E>(
        interval: Duration,
        store: &Store,
        name: &'static str,
        work: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::fmt::Display + Send,
    {
        let (clock, store, work) = (store.clock().clone(), store.clone(), Arc::new(work));
        let length = LEAST_TURN.max(interval * 3);
        Self::every(interval, clock, name, move || {
            let (store, work) = (store.clone(), Arc::clone(&work));
            async move {
                if take_turn(&store, name, length).await.map_err(|error| error.to_string())? {
                    work().await.map_err(|error| error.to_string())?;
                }
                Ok::<_, String>(())
            }
        })
    }

    /// Starts the work in the background.
    pub fn start(&self, tasks: &Tasks) {
        tasks.spawn((self.work)(tasks.clone()));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use cartwright_runtime::Time;

    use super::*;

    #[tokio::test]
    async fn a_job_that_panicked_runs_again() {
        let (clock, tasks, runs) = (Clock::manual(Time::from_millis(0)), Tasks::new(), Arc::new(AtomicU32::new(0)));
        let counted = Arc::clone(&runs);
        let job = Job::every(Duration::from_secs(1), clock.clone(), "count", move || {
            let run = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                assert!(run > 0, "the first time, as a test");
                Ok::<_, String>(())
            }
        });

        job.start(&tasks);
        for _ in 0..20 {
            tokio::task::yield_now().await;
            clock.advance(Duration::from_secs(1));
        }

        assert!(runs.load(Ordering::SeqCst) > 1);
        tasks.stop();
    }
}

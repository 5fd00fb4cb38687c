//! What a role is: routes, subscriptions and jobs under one name.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use cartwright_bus::Subscription;
use cartwright_runtime::{Clock, Tasks};
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

type Work = dyn Fn(Tasks) -> BoxFuture<'static, ()> + Send + Sync;

/// Work that a service does by itself until the program stops. Any instance may run it.
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

    /// Work that is done at the start and then each `interval` of `clock`. A failure is logged and waits for the next time.
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
                    if let Err(error) = work().await {
                        tracing::warn!(job = name, %error, "a job failed; it runs again");
                    }
                    tokio::select! {
                        () = tasks.stopped() => return,
                        () = clock.sleep(interval) => {}
                    }
                }
            }
        })
    }

    /// Starts the work in the background.
    pub fn start(&self, tasks: &Tasks) {
        tasks.spawn((self.work)(tasks.clone()));
    }
}

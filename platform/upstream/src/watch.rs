//! What an upstream does by itself: asks each instance whether it is ready, and each name where it is now.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Uri};
use cartwright_runtime::Tasks;
use futures::future::join_all;

use crate::Upstream;
use crate::instance::{Failure, Instance, Unready};
use crate::targets::Known;

impl Upstream {
    /// Begins to watch the instances until `tasks` stop. Without it every instance is held to be ready.
    pub fn start(&self, tasks: &Tasks) {
        let (upstream, stopping) = (self.clone(), tasks.clone());
        tasks.spawn(async move {
            let every = Duration::from_millis(upstream.options().probe_every_ms);
            while upstream.goes_on(every, &stopping, upstream.probe()).await {}
        });
        if self.targets().have_names() {
            let (upstream, stopping) = (self.clone(), tasks.clone());
            tasks.spawn(async move {
                let every = Duration::from_millis(upstream.options().resolve_every_ms);
                let mut known = Known::default();
                while upstream.goes_on(every, &stopping, upstream.resolve(&mut known)).await {}
            });
        }
    }

    /// Does one round of work, then waits; false once the program stops.
    async fn goes_on(&self, every: Duration, stopping: &Tasks, round: impl Future<Output = ()>) -> bool {
        let round = async {
            round.await;
            self.clock().pause(every).await;
        };
        tokio::select! {
            biased;
            () = stopping.stopped() => false,
            () = round => true,
        }
    }

    async fn probe(&self) {
        let instances = self.instances();
        let rounds = instances.iter().map(async |instance| {
            if instance.probed(self.ask(instance).await) {
                self.is_back();
            }
        });
        join_all(rounds).await;
    }

    async fn ask(&self, instance: &Arc<Instance>) -> Result<(), Unready> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = Uri::from_static(self.options().probe_path);
        let limit = Duration::from_millis(self.options().probe_ms);
        match instance.send(request, self.clock(), limit).await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(_) => Err(Unready::Refusing),
            // It may be gone, or the machine may be too busy to connect in time: where nobody says that they are ready, it is
            // still worth a try.
            Err(Failure::NotSent | Failure::Broken | Failure::TooLate { .. }) => Err(Unready::Silent),
        }
    }

    async fn resolve(&self, known: &mut Known) {
        let places = self.targets().resolve(self.resolver(), known).await;
        self.take_over(&places);
    }
}

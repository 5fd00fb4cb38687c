//! Bells that ring in a tower, and towns that hear them.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cartwright_runtime::{Clock, Ids, Tasks};
use cartwright_store::{Changes, Database, Document, Envelope, Event, Lane, MemoryBackend, Store, Stored};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::runtime::Runtime;

use super::{Site, eventually};
use crate::{Broadcast, Broker, BrokerError, DeadLetter, Failure, Subscription};

/// A bell was struck.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Rung {
    bell: String,
    stroke: u32,
}

impl Rung {
    pub(super) fn new(bell: &str, stroke: u32) -> Self {
        Self { bell: bell.to_owned(), stroke }
    }
}

impl Event for Rung {
    const NAME: &'static str = "tower.bell-rung";

    fn subject(&self) -> String {
        self.bell.clone()
    }
}

/// A bell was taken down.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Removed {
    bell: String,
}

impl Event for Removed {
    const NAME: &'static str = "tower.bell-removed";

    fn subject(&self) -> String {
        self.bell.clone()
    }
}

/// What a town heard of a bell, in the order in which it did.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Heard {
    bell: String,
    strokes: Vec<u32>,
    removed: u32,
}

impl Document for Heard {
    const COLLECTION: &'static str = "heard";

    fn key(&self) -> String {
        self.bell.clone()
    }
}

/// The envelope of a stroke.
pub(super) fn rung(bell: &str, stroke: u32) -> Envelope {
    envelope(&Rung::new(bell, stroke))
}

/// The envelope of a removal.
pub(super) fn removed(bell: &str) -> Envelope {
    envelope(&Removed { bell: bell.to_owned() })
}

fn envelope<E: Event>(event: &E) -> Envelope {
    let clock = Clock::system();
    let data = RawValue::from_string(serde_json::to_string(event).unwrap()).unwrap();
    Envelope {
        specversion: "1.0".to_owned(),
        id: Ids::random(clock.clone()).uuid().to_string(),
        source: "tower".to_owned(),
        name: E::NAME.to_owned(),
        subject: event.subject(),
        time: clock.now(),
        datacontenttype: "application/json".to_owned(),
        data: Arc::from(data),
        traceparent: None,
    }
}

/// How a process of a town listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// It hears.
    Attentive,
    /// Something it needs is away.
    Asleep,
    /// Every third time something it needs is away.
    Drowsy,
    /// It cannot make anything of this bell.
    DeafTo(String),
}

/// A consumer whose processes share one store.
pub(super) struct Town {
    name: &'static str,
    backend: MemoryBackend,
}

/// What one process of a town does, and how often it did.
#[derive(Clone)]
pub(super) struct Ears {
    mood: Arc<Mutex<Mood>>,
    tries: Arc<AtomicU32>,
    applied: Arc<AtomicU64>,
}

impl Ears {
    pub(super) fn new(mood: Mood) -> Self {
        Self { mood: Arc::new(Mutex::new(mood)), tries: Arc::default(), applied: Arc::default() }
    }

    pub(super) fn be(&self, mood: Mood) {
        *self.mood.lock().unwrap_or_else(PoisonError::into_inner) = mood;
    }

    /// How many events this process decided to apply.
    pub(super) fn applied(&self) -> u64 {
        self.applied.load(Ordering::SeqCst)
    }

    /// How often this process tried.
    pub(super) fn tries(&self) -> u32 {
        self.tries.load(Ordering::SeqCst)
    }

    fn listen(&self, bell: &str) -> Result<(), Failure> {
        let tries = self.tries.fetch_add(1, Ordering::SeqCst);
        let mood = self.mood.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match mood {
            Mood::Asleep => return Err(Failure::Unavailable("asleep".to_owned())),
            Mood::Drowsy if tries.is_multiple_of(3) => return Err(Failure::Unavailable("drowsy".to_owned())),
            Mood::DeafTo(deaf) if deaf == bell => return Err(Failure::Refused("no clapper".to_owned())),
            Mood::Attentive | Mood::Drowsy | Mood::DeafTo(_) => {}
        }
        self.applied.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

impl Town {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, backend: MemoryBackend::new() }
    }

    /// The town's store as one more process has it.
    pub(super) async fn store(&self) -> Store {
        let clock = Clock::system();
        let database = Database::new(Arc::new(self.backend.clone()), clock.clone(), Ids::random(clock));
        database.scoped(self.name, &[Heard::spec(), DeadLetter::spec()]).await.unwrap()
    }

    /// What one more process subscribes to: strokes.
    pub(super) async fn strokes(&self, ears: &Ears) -> Vec<Subscription> {
        let (store, ears) = (self.store().await, ears.clone());
        vec![Subscription::new(
            &store,
            |event: &Rung| Lane::of::<Heard>(&event.bell),
            move |view, event: Arc<Rung>| {
                let listened = ears.listen(&event.bell);
                async move {
                    listened?;
                    let (mut heard, revision) = heard_in(&view, &event.bell).await?;
                    heard.strokes.push(event.stroke);
                    Ok(Changes::new().save(&heard, revision))
                }
            },
        )]
    }

    /// What one more process subscribes to: strokes and removals.
    pub(super) async fn everything(&self, ears: &Ears) -> Vec<Subscription> {
        let (store, mut all) = (self.store().await, self.strokes(ears).await);
        let ears = ears.clone();
        all.push(Subscription::new(
            &store,
            |event: &Removed| Lane::of::<Heard>(&event.bell),
            move |view, event: Arc<Removed>| {
                let listened = ears.listen(&event.bell);
                async move {
                    listened?;
                    let (mut heard, revision) = heard_in(&view, &event.bell).await?;
                    heard.removed += 1;
                    Ok(Changes::new().save(&heard, revision))
                }
            },
        ));
        all
    }

    /// The strokes of `bell` that were heard, in order.
    pub(super) async fn heard(&self, bell: &str) -> Vec<u32> {
        heard_in(&self.store().await, bell).await.unwrap().0.strokes
    }

    /// How often it was heard that `bell` was removed.
    pub(super) async fn heard_removed(&self, bell: &str) -> u32 {
        heard_in(&self.store().await, bell).await.unwrap().0.removed
    }

    /// Waits until as many strokes of `bell` were heard.
    pub(super) async fn until_heard(&self, bell: &str, strokes: usize) {
        let what = format!("{} hears {strokes} strokes of {bell}", self.name);
        eventually(&what, || async { self.heard(bell).await.len() >= strokes }).await;
    }

    /// What was set aside.
    pub(super) async fn dead_letters(&self) -> Vec<Stored<DeadLetter>> {
        self.store().await.scan::<DeadLetter>().page(10).await.unwrap()
    }

    pub(super) const fn name(&self) -> &'static str {
        self.name
    }
}

async fn heard_in(store: &Store, bell: &str) -> Result<(Heard, Option<u64>), Failure> {
    let stored = store.get::<Heard>(bell).await?;
    let revision = stored.as_ref().map(|stored| stored.revision);
    let heard = stored.map(|stored| stored.doc);
    Ok((heard.unwrap_or_else(|| Heard { bell: bell.to_owned(), strokes: Vec::new(), removed: 0 }), revision))
}

/// A process: a runtime of its own that a crash ends wherever it is, without a word to the broker.
pub(super) struct Process {
    runtime: Option<Runtime>,
    broker: Arc<dyn Broker>,
    tasks: Tasks,
}

impl Process {
    pub(super) async fn start(site: &Arc<dyn Site>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (tasks, site) = (Tasks::new(), Arc::clone(site));
        let of_process = tasks.clone();
        let broker = runtime.spawn(async move { site.connect(&of_process).await }).await.unwrap();
        Self { runtime: Some(runtime), broker, tasks }
    }

    /// Runs `work` in the process.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        self.runtime.as_ref().unwrap().spawn(work).await.unwrap()
    }

    pub(super) async fn subscribe(&self, subscriptions: Vec<Subscription>) {
        let broker = Arc::clone(&self.broker);
        self.run(async move { broker.subscribe(subscriptions).await }).await.unwrap();
    }

    pub(super) async fn try_publish(&self, event: Envelope) -> Result<(), BrokerError> {
        let broker = Arc::clone(&self.broker);
        self.run(async move { broker.publish(event).await }).await
    }

    /// Publishes as the relay does: until it is confirmed.
    pub(super) async fn publish(&self, event: Envelope) {
        let what = format!("{} {} is confirmed", event.name, event.subject);
        eventually(&what, || async { self.try_publish(event.clone()).await.is_ok() }).await;
    }

    /// Waits until as many events wait for `consumer`.
    pub(super) async fn until_lag(&self, consumer: &str, lag: u64) {
        let what = format!("{lag} events wait for {consumer}");
        let name = consumer.to_owned();
        eventually(&what, || {
            let (broker, name) = (Arc::clone(&self.broker), name.clone());
            async move { self.run(async move { broker.lag(&name).await }).await.is_ok_and(|it| it == lag) }
        })
        .await;
    }

    /// The hints of the process over the wire of `site`.
    pub(super) async fn broadcast(&self, site: &Arc<dyn Site>) -> Broadcast {
        let (site, tasks) = (Arc::clone(site), self.tasks.clone());
        self.run(async move { Broadcast::wired(site.wire(&tasks).await, &tasks) }).await
    }

    pub(super) const fn broker(&self) -> &Arc<dyn Broker> {
        &self.broker
    }

    pub(super) const fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Ends it as `kill -9` would.
    pub(super) fn crash(mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Ends it as an orderly stop does.
    pub(super) async fn stop(self) {
        let tasks = self.tasks.clone();
        let drained = self.run(async move { tasks.drain(&Clock::system(), Duration::from_secs(20)).await }).await;
        assert!(drained, "the process did not end within 20 s");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.tasks.stop();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

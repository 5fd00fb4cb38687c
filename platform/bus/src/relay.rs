//! From the outbox to the broker: every committed event, in the order of its subject, until the broker confirmed it.
//!
//! Commits announce their events, so that the outbox is read only at start, after a failure, or when too much was
//! announced at once. An event whose mark "sent" was lost is sent again; consumers do nothing the second time.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use cartwright_runtime::Tasks;
use cartwright_store::{Backend, Bookmark, Database, Envelope};
use tokio::sync::mpsc;

use crate::Broker;

/// Events under way at once.
const UNDER_WAY: usize = 1024;
/// How often the outbox itself is read.
const SWEEP: Duration = Duration::from_secs(1);
/// The pause after the broker refused an event.
const PAUSE: Duration = Duration::from_millis(200);

/// Moves events from one database's outbox to a broker.
pub struct Relay {
    backend: Arc<dyn Backend>,
    broker: Arc<dyn Broker>,
    tasks: Tasks,
    clock: cartwright_runtime::Clock,
    announced: mpsc::Receiver<Vec<Envelope>>,
    progress: (mpsc::UnboundedSender<Progress>, mpsc::UnboundedReceiver<Progress>),
    under_way: HashSet<String>,
    waiting: HashMap<String, VecDeque<Envelope>>,
    overflowed: bool,
}

/// What the relay's own tasks tell it. There are at most [`UNDER_WAY`] of them.
enum Progress {
    /// The broker confirmed this event of this subject.
    Confirmed { id: String, subject: String },
    /// The program stops before the broker took this event of this subject.
    GivenUp { id: String, subject: String },
    /// The outbox knows that these were sent, or will say them again.
    Marked(Vec<String>),
}

impl Relay {
    /// A relay for everything committed to `database`.
    pub fn new(database: &Database, broker: Arc<dyn Broker>, tasks: Tasks, clock: cartwright_runtime::Clock) -> Self {
        let (outlet, announced) = mpsc::channel(UNDER_WAY);
        database.announce_to(outlet);
        Self {
            backend: Arc::clone(database.backend()),
            broker,
            tasks,
            clock,
            announced,
            progress: mpsc::unbounded_channel(),
            under_way: HashSet::new(),
            waiting: HashMap::new(),
            overflowed: false,
        }
    }

    /// Relays until the program stops; what is left then is relayed after the next start.
    pub async fn run(mut self) {
        self.sweep().await;
        let (clock, tasks) = (self.clock.clone(), self.tasks.clone());
        let mut sweep = Box::pin(clock.sleep(SWEEP));
        loop {
            tokio::select! {
                () = tasks.stopped() => return,
                Some(first) = self.progress.1.recv() => self.proceed(first).await,
                Some(events) = self.announced.recv() => self.take(events),
                () = &mut sweep => {
                    sweep.set(clock.sleep(SWEEP));
                    self.sweep().await;
                }
            }
        }
    }

    /// Reads what the outbox holds and no announcement brought.
    async fn sweep(&mut self) {
        self.overflowed = false;
        let mut after = Bookmark::default();
        while self.under_way.len() < UNDER_WAY {
            match self.backend.unsent(&after, UNDER_WAY).await {
                Ok(page) => {
                    let Some((last, _)) = page.last() else { return };
                    after = last.clone();
                    self.take(page.into_iter().map(|(_, event)| event).collect());
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot read the outbox");
                    return;
                }
            }
        }
    }

    fn take(&mut self, events: Vec<Envelope>) {
        for event in events {
            if self.under_way.len() >= UNDER_WAY {
                self.overflowed = true;
                return;
            }
            if !self.under_way.insert(event.id.clone()) {
                continue;
            }
            let subject = subject_of(&event);
            if let Some(queue) = self.waiting.get_mut(&subject) {
                queue.push_back(event);
            } else {
                drop(self.waiting.insert(subject.clone(), VecDeque::new()));
                self.hand_over(subject, event);
            }
        }
    }

    fn hand_over(&self, subject: String, event: Envelope) {
        let (broker, tasks, clock) = (Arc::clone(&self.broker), self.tasks.clone(), self.clock.clone());
        let progress = self.progress.0.clone();
        self.tasks.spawn(async move {
            let id = event.id.clone();
            while let Err(error) = broker.publish(event.clone()).await {
                tracing::debug!(event = event.id, %error, "an event waits for the broker");
                tokio::select! {
                    () = tasks.stopped() => return drop(progress.send(Progress::GivenUp { id, subject })),
                    () = clock.pause(PAUSE) => {}
                }
            }
            // The relay is gone only when the program stops.
            drop(progress.send(Progress::Confirmed { id, subject }));
        });
    }

    async fn proceed(&mut self, first: Progress) {
        let mut sent = Vec::new();
        let mut next = Some(first);
        while let Some(progress) = next {
            match progress {
                Progress::Confirmed { id, subject } => {
                    sent.push(id);
                    self.next_of(subject);
                }
                Progress::GivenUp { id, subject } => {
                    self.under_way.remove(&id);
                    self.next_of(subject);
                }
                Progress::Marked(ids) => self.under_way.retain(|id| !ids.contains(id)),
            }
            next = self.progress.1.try_recv().ok();
        }
        if !sent.is_empty() {
            self.mark(sent);
        }
        if self.overflowed && self.under_way.len() < UNDER_WAY / 2 {
            self.sweep().await;
        }
    }

    fn next_of(&mut self, subject: String) {
        match self.waiting.get_mut(&subject).and_then(VecDeque::pop_front) {
            Some(event) => self.hand_over(subject, event),
            None => drop(self.waiting.remove(&subject)),
        }
    }

    /// Marks events as sent beside the loop; they count as under way until then, so that no sweep sends them again.
    fn mark(&self, sent: Vec<String>) {
        let (backend, progress) = (Arc::clone(&self.backend), self.progress.0.clone());
        self.tasks.spawn(async move {
            if let Err(error) = backend.sent(sent.clone()).await {
                tracing::warn!(%error, "cannot mark events as sent; they will be sent again");
            }
            drop(progress.send(Progress::Marked(sent)));
        });
    }
}

fn subject_of(event: &Envelope) -> String {
    format!("{}/{}", event.source, event.subject)
}

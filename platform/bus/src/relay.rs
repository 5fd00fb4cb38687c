//! From the outbox to the broker: every committed event, in the order of its subject, until the broker confirmed it.
//!
//! Commits announce their events, so that the outbox is read only at start, after a failure, or when too much was
//! announced at once. An event whose mark "sent" was lost is sent again; consumers do nothing the second time.
//!
//! Where several processes share a store, each sends what it committed itself. What another one leaves unsent for longer
//! than a grace is taken over, because that process is dead or cut off. Should it be neither, an event is sent twice.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use cartwright_runtime::{Clock, Tasks, Time};
use cartwright_store::{Backend, Bookmark, Database, Envelope, StoreError};
use tokio::sync::mpsc;

use crate::{Backlog, Broker};

/// Events under way at once: all that the relay holds in memory, however many wait.
const UNDER_WAY: usize = 1024;
/// How often the outbox itself is looked at.
const SWEEP: Duration = Duration::from_secs(1);
/// The same while events of this process wait for those of another one.
const QUICK_SWEEP: Duration = Duration::from_millis(100);
/// How long events are left to the process that committed them, by this process's own clock: others may go wrong.
const GRACE: Duration = Duration::from_secs(3);
/// Events left to other processes that are remembered.
const LEFT_MOST: usize = 4 * UNDER_WAY;
/// The pause after the broker refused an event; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Moves events from one database's outbox to a broker.
pub struct Relay {
    backend: Arc<dyn Backend>,
    broker: Arc<dyn Broker>,
    tasks: Tasks,
    clock: Clock,
    backlog: Backlog,
    announced: mpsc::Receiver<Vec<Envelope>>,
    progress: (mpsc::UnboundedSender<Progress>, mpsc::UnboundedReceiver<Progress>),
    under_way: HashSet<String>,
    waiting: HashMap<String, VecDeque<Envelope>>,
    left: Left,
    overflowed: bool,
}

/// What is left to other processes for the moment, and what of ours waits for it.
#[derive(Default)]
struct Left {
    /// When this process saw each of these events for the first time.
    seen: HashMap<String, Time>,
    /// These events by subject, in order: whatever follows of a subject has to wait.
    queues: HashMap<String, VecDeque<String>>,
    /// Events of this process that follow one of these.
    ours: HashSet<String>,
}

impl Left {
    /// Whether an event of this process can be sent now. It may have been found in the outbox before it was announced.
    fn admits(&mut self, event: &Envelope) -> bool {
        let subject = subject_of(event);
        let Some(queue) = self.queues.get_mut(&subject) else { return true };
        if queue.front() != Some(&event.id) {
            return false;
        }
        queue.pop_front();
        if queue.is_empty() {
            drop(self.queues.remove(&subject));
        }
        self.seen.remove(&event.id);
        true
    }
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
    pub fn new(database: &Database, broker: Arc<dyn Broker>, tasks: Tasks, clock: Clock) -> Self {
        let (outlet, announced) = mpsc::channel(UNDER_WAY);
        database.announce_to(outlet);
        Self {
            backend: Arc::clone(database.backend()),
            broker,
            tasks,
            clock,
            backlog: Backlog::default(),
            announced,
            progress: mpsc::unbounded_channel(),
            under_way: HashSet::new(),
            waiting: HashMap::new(),
            left: Left::default(),
            overflowed: false,
        }
    }

    /// Tells `backlog` with each sweep how many events wait.
    #[must_use]
    pub fn reporting(mut self, backlog: Backlog) -> Self {
        self.backlog = backlog;
        self
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
                Some(events) = self.announced.recv() => {
                    if self.hear(events) {
                        sweep.set(clock.sleep(QUICK_SWEEP));
                    }
                }
                () = &mut sweep => {
                    self.sweep().await;
                    sweep.set(clock.sleep(if self.left.ours.is_empty() { SWEEP } else { QUICK_SWEEP }));
                }
            }
        }
    }

    /// Counts what waits, and reads what the outbox holds and no announcement brought.
    async fn sweep(&mut self) {
        if let Err(error) = self.read_outbox().await {
            tracing::warn!(%error, "cannot read the outbox");
        }
    }

    async fn read_outbox(&mut self) -> Result<(), StoreError> {
        let waiting = self.backend.waiting(self.backlog.bound()).await?;
        self.backlog.set(waiting);
        if self.overflowed {
            // What they announce is in the outbox too, and there in order.
            while self.announced.try_recv().is_ok() {}
            self.overflowed = false;
        }
        let before = std::mem::take(&mut self.left);
        if waiting == 0 {
            return Ok(());
        }
        let mut after = Bookmark::default();
        while !self.overflowed {
            let page = self.backend.unsent(&after, UNDER_WAY).await?;
            let Some((last, _)) = page.last() else { break };
            after = last.clone();
            for (_, event) in page {
                self.find(event, &before);
            }
        }
        Ok(())
    }

    /// An event in the outbox: already under way, to be left to another process for the moment, or to be taken.
    fn find(&mut self, event: Envelope, before: &Left) {
        if self.overflowed || self.under_way.contains(&event.id) {
            return;
        }
        let (subject, now) = (subject_of(&event), self.clock.now());
        let ours = before.ours.contains(&event.id);
        let seen = before.seen.get(&event.id).copied().unwrap_or(now);
        let due = ours || self.backend.exclusive() || now.since(seen) >= GRACE;
        if due && !self.left.queues.contains_key(&subject) {
            return self.take(event);
        }
        self.overflowed |= self.left.seen.len() >= LEFT_MOST;
        if ours {
            self.left.ours.insert(event.id.clone());
        }
        self.left.queues.entry(subject).or_default().push_back(event.id.clone());
        self.left.seen.insert(event.id, seen);
    }

    /// Takes what a commit of this process announced. Whether this is the first of it to follow what is left to others.
    fn hear(&mut self, events: Vec<Envelope>) -> bool {
        // Where the channel was full, something may not have been announced that came before what is announced next.
        self.overflowed |= self.announced.len() + 1 >= self.announced.max_capacity();
        let none_before = self.left.ours.is_empty();
        for event in events {
            if self.overflowed {
                break;
            }
            if self.left.admits(&event) {
                self.take(event);
            } else {
                self.left.ours.insert(event.id);
            }
        }
        none_before && !self.left.ours.is_empty()
    }

    fn take(&mut self, event: Envelope) {
        if self.under_way.contains(&event.id) {
            return;
        }
        if self.under_way.len() >= UNDER_WAY {
            self.overflowed = true;
            return;
        }
        self.under_way.insert(event.id.clone());
        let subject = subject_of(&event);
        if let Some(queue) = self.waiting.get_mut(&subject) {
            queue.push_back(event);
        } else {
            drop(self.waiting.insert(subject.clone(), VecDeque::new()));
            self.hand_over(subject, event);
        }
    }

    fn hand_over(&self, subject: String, event: Envelope) {
        let (broker, tasks, clock) = (Arc::clone(&self.broker), self.tasks.clone(), self.clock.clone());
        let progress = self.progress.0.clone();
        self.tasks.spawn(async move {
            let (id, mut pause) = (event.id.clone(), FIRST_PAUSE);
            while let Err(error) = broker.publish(event.clone()).await {
                tracing::debug!(event = event.id, %error, "an event waits for the broker");
                tokio::select! {
                    () = tasks.stopped() => return drop(progress.send(Progress::GivenUp { id, subject })),
                    () = clock.pause(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
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
                Progress::Marked(ids) => self.forget(&ids),
            }
            next = self.progress.1.try_recv().ok();
        }
        if !sent.is_empty() {
            self.mark(sent);
        }
        // Where too much is left to others, time must pass before another look finds anything to take.
        if self.overflowed && self.under_way.len() < UNDER_WAY / 2 && self.left.seen.len() < LEFT_MOST {
            self.sweep().await;
        }
    }

    fn forget(&mut self, ids: &[String]) {
        for id in ids {
            self.under_way.remove(id);
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

//! The broker port on Redis.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cartwright_bus::{Broker, BrokerError, Consumer, Interest, Subscription};
use cartwright_runtime::{Clock, Ids, Secret, Tasks};
use cartwright_store::Envelope;
use redis::{RedisError, Script, cmd, pipe};

use crate::keys::{GROUP, Keys};
use crate::link::{Link, OpenError, failed};
use crate::reading::Reader;
use crate::stream::Stream;
use crate::wire::RedisWire;

/// Adds the event to the stream of each consumer that wants it, all at once, and tells how many there are.
static PUBLISH: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local consumers = redis.call('SMEMBERS', KEYS[1])
         for _, consumer in ipairs(consumers) do
             redis.call('XADD', ARGV[1] .. consumer, '*', 'event', ARGV[2])
         end
         return #consumers",
    )
});

/// Where Redis is, and what is ours there.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `redis://user:password@host:6379/0`, or `rediss` for TLS.
    pub url: Secret<String>,
    /// What all keys start with; shops with different prefixes do not see each other.
    pub prefix: String,
    /// The certificate authority to trust instead of the public ones, in PEM.
    pub authority: Option<String>,
    /// How long a process may be silent before others take its events; it speaks four times as often.
    pub claim_after: Duration,
}

/// Carries events over Redis. Cheap to clone.
#[derive(Clone)]
pub struct RedisBroker {
    link: Link,
    wants: Wants,
    process: String,
    claim_after: Duration,
}

impl RedisBroker {
    /// Looks at Redis; where it is away, it is connected to later and by itself.
    ///
    /// # Errors
    /// When it can never work: see [`OpenError`].
    pub async fn open(settings: Settings, clock: Clock, tasks: Tasks) -> Result<Self, OpenError> {
        let Settings { url, prefix, authority, claim_after } = settings;
        let link = Link::open(&url, authority, Keys::new(&prefix), clock.clone(), tasks).await?;
        let process = Ids::random(clock).uuid().to_string();
        Ok(Self { wants: Wants::new(link.clone()), link, process, claim_after })
    }

    /// The wire for hints to the same Redis.
    pub fn wire(&self) -> RedisWire {
        RedisWire::new(self.link.clone())
    }
}

#[async_trait]
impl Broker for RedisBroker {
    async fn publish(&self, event: Envelope) -> Result<(), BrokerError> {
        let body = serde_json::to_vec(&event).map_err(|error| BrokerError(error.to_string()))?;
        self.wants.tell().await.map_err(failed)?;
        let mut script = PUBLISH.key(self.link.keys().wanted(&event.name));
        script.arg(self.link.keys().streams()).arg(body);
        let streams: usize = self.link.invoke(&script).await.map_err(failed)?;
        if streams < self.wants.consumers_of(&event.name) {
            self.wants.tell_again();
            return Err(BrokerError("Redis lost its data: it does not know who wants this event".to_owned()));
        }
        Ok(())
    }

    async fn subscribe(&self, subscriptions: Vec<Subscription>) -> Result<(), BrokerError> {
        let consumers = Consumer::group(subscriptions, self.link.tasks());
        self.wants.add(consumers.iter().flat_map(Consumer::interests));
        for consumer in consumers {
            let key = self.link.keys().stream(consumer.name());
            let stream = Stream { link: self.link.clone(), key, process: self.process.clone() };
            let reader = Reader { stream, consumer, wants: self.wants.clone(), claim_after: self.claim_after };
            self.link.tasks().spawn(reader.run());
        }
        Ok(())
    }

    async fn expect(&self, interests: Vec<Interest>) -> Result<(), BrokerError> {
        self.wants.add(interests);
        if let Err(error) = self.wants.tell().await {
            tracing::debug!(%error, "Redis is told later who expects what");
        }
        Ok(())
    }

    async fn lag(&self, consumer: &str) -> Result<u64, BrokerError> {
        let key = self.link.keys().stream(consumer);
        let mut commands = pipe();
        commands.atomic().cmd("EXISTS").arg(&key).cmd("XLEN").arg(&key);
        match self.link.run_all(&commands).await.map_err(failed)? {
            (true, entries) => Ok(entries),
            (false, _) => Err(BrokerError(format!("{consumer} has no stream"))),
        }
    }
}

/// Which consumers want which events, as far as this process knows. Redis is told before anything is published. Cheap to
/// clone.
#[derive(Clone)]
pub(crate) struct Wants(Arc<Known>);

struct Known {
    link: Link,
    interests: Mutex<BTreeSet<Interest>>,
    /// How often there was something to tell, and up to which time it was told.
    asked: AtomicU64,
    told: AtomicU64,
    telling: tokio::sync::Mutex<()>,
}

impl Wants {
    fn new(link: Link) -> Self {
        let (interests, telling) = (Mutex::default(), tokio::sync::Mutex::default());
        Self(Arc::new(Known { link, interests, asked: AtomicU64::new(0), told: AtomicU64::new(0), telling }))
    }

    fn add(&self, more: impl IntoIterator<Item = Interest>) {
        self.interests().extend(more);
        self.tell_again();
    }

    fn consumers_of(&self, event: &str) -> usize {
        self.interests().iter().filter(|interest| interest.event == event).count()
    }

    /// Redis may have forgotten.
    pub(crate) fn tell_again(&self) {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
    }

    /// Tells Redis, where it does not know. What an earlier version wanted stays: nobody here knows whether others want it.
    pub(crate) async fn tell(&self) -> Result<(), RedisError> {
        if !self.has_something_to_tell() {
            return Ok(());
        }
        let _turn = self.0.telling.lock().await;
        if self.has_something_to_tell() {
            let asked = self.0.asked.load(Ordering::SeqCst);
            self.tell_all().await?;
            self.0.told.store(asked, Ordering::SeqCst);
        }
        Ok(())
    }

    fn has_something_to_tell(&self) -> bool {
        self.0.told.load(Ordering::SeqCst) < self.0.asked.load(Ordering::SeqCst)
    }

    async fn tell_all(&self) -> Result<(), RedisError> {
        let (interests, keys) = (self.interests().clone(), self.0.link.keys());
        // First, so that whoever finds a stream also finds that events go there.
        for Interest { consumer, event } in &interests {
            self.0.link.run::<i64>(cmd("SADD").arg(keys.wanted(event)).arg(consumer)).await?;
        }
        let consumers: BTreeSet<&str> = interests.iter().map(|interest| interest.consumer.as_str()).collect();
        for consumer in consumers {
            let mut command = cmd("XGROUP");
            command.arg("CREATE").arg(keys.stream(consumer)).arg(GROUP).arg("0").arg("MKSTREAM");
            match self.0.link.run::<()>(&command).await {
                Err(error) if error.code() != Some("BUSYGROUP") => return Err(error),
                // It is there already.
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    fn interests(&self) -> MutexGuard<'_, BTreeSet<Interest>> {
        self.0.interests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

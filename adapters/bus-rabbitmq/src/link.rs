//! How a process is connected to RabbitMQ: made again by itself whenever it breaks.
//!
//! There are two connections, because RabbitMQ stops reading from one that publishes when it runs out of memory or disk.
//! Acknowledgements would wait there too, and they are what makes room. When one breaks, both are made anew.
//!
//! Everybody who finds it broken says so; the keeper closes it, connects, and declares everything again. Nothing is
//! recovered: what was not confirmed or acknowledged comes again, which the relay and the consumers are made for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cartwright_bus::{BrokerError, Interest};
use cartwright_runtime::{Clock, Ids, Secret, Tasks};
use futures::{StreamExt as _, stream};
use lapin::options::ConfirmSelectOptions;
use lapin::protocol::{AMQPErrorKind, AMQPHardError};
use lapin::runtime::default_runtime;
use lapin::tcp::OwnedTLSConfig;
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties, ErrorKind, Event};
use tokio::sync::{Notify, watch};

use crate::names::{Names, Wanted};

/// How long RabbitMQ may take to answer before the connection counts as broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How often each side says that it lives, in seconds, where the address does not say.
const HEARTBEAT_S: u16 = 10;
/// The first pause before the next try to connect; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Why RabbitMQ can never be used as it is described.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address is none.
    #[error("the address of RabbitMQ must look like amqp://user:password@host:5672/%2f or amqps://…: {0}")]
    Address(String),
    /// It refused us.
    #[error("RabbitMQ refuses this user, password or virtual host: {0}")]
    Refused(String),
}

/// Connections that work as far as anybody knows.
pub(crate) struct Live {
    /// Whatever does not publish.
    pub(crate) connection: Connection,
    publishing: Connection,
    /// Confirms what is published.
    pub(crate) events: Channel,
    /// Confirms nothing.
    pub(crate) hints: Channel,
    broken: Notify,
}

impl Live {
    /// Somebody found that it does not work any more.
    pub(crate) fn is_broken(&self) {
        self.broken.notify_one();
    }
}

/// The connections, whenever there are any. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Link(Arc<Inner>);

struct Inner {
    address: Secret<AMQPUri>,
    authority: Option<String>,
    names: Names,
    wanted: Mutex<Wanted>,
    live: watch::Sender<Option<Arc<Live>>>,
    clock: Clock,
    tasks: Tasks,
}

impl Link {
    /// Connects, and keeps connected until `tasks` stop. Where RabbitMQ is away, it is connected to later.
    pub(crate) async fn open(
        address: &Secret<String>,
        authority: Option<String>,
        names: Names,
        clock: Clock,
        tasks: Tasks,
    ) -> Result<Self, OpenError> {
        let mut address: AMQPUri = address.reveal().parse().map_err(OpenError::Address)?;
        address.query.heartbeat.get_or_insert(HEARTBEAT_S);
        let (live, wanted) = (watch::Sender::new(None), Mutex::default());
        let address = Secret::new(address);
        let link = Self(Arc::new(Inner { address, authority, names, wanted, live, clock, tasks }));
        let first = match link.connect().await {
            Ok(live) => Some(live),
            Err(error) if refuses(&error) => return Err(OpenError::Refused(error.to_string())),
            Err(error) => {
                tracing::warn!(%error, "RabbitMQ is away; events wait until it is back");
                None
            }
        };
        link.0.live.send_replace(first.clone());
        link.0.tasks.spawn(link.clone().keep(first));
        Ok(link)
    }

    pub(crate) fn names(&self) -> &Names {
        &self.0.names
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub(crate) fn tasks(&self) -> &Tasks {
        &self.0.tasks
    }

    /// The connections, where there are any.
    pub(crate) fn live(&self) -> Result<Arc<Live>, BrokerError> {
        self.0.live.borrow().clone().ok_or_else(|| BrokerError("there is no connection to RabbitMQ".to_owned()))
    }

    /// The connections, as soon as there are any; never, where the program stops first.
    pub(crate) async fn until_live(&self) -> Arc<Live> {
        let mut changes = self.0.live.subscribe();
        loop {
            if let Some(live) = changes.borrow_and_update().clone() {
                return live;
            }
            // The sender lives in `self`.
            drop(changes.changed().await);
        }
    }

    /// Declares what these consumers want, now and on every connection.
    pub(crate) async fn want(&self, interests: Vec<Interest>) {
        let mut more = Wanted::default();
        for interest in interests {
            self.wanted().add(interest.clone());
            more.add(interest);
        }
        let Ok(live) = self.live() else { return };
        if let Err(error) = self.declare(&live.connection, &more).await {
            tracing::warn!(%error, "cannot declare queues at RabbitMQ; it is tried again");
            live.is_broken();
        }
    }

    /// Whether some consumer that this process knows of wants events of this name.
    pub(crate) fn is_wanted(&self, event: &str) -> bool {
        self.wanted().has(event)
    }

    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.0.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `work` gives, or an error when it takes too long.
    pub(crate) async fn patiently<T>(
        &self,
        work: impl Future<Output = Result<T, lapin::Error>>,
    ) -> Result<T, lapin::Error> {
        let late = || std::io::Error::new(std::io::ErrorKind::TimedOut, "RabbitMQ does not answer").into();
        self.0.clock.timeout(PATIENCE, work).await.unwrap_or_else(|| Err(late()))
    }

    async fn keep(self, mut first: Option<Arc<Live>>) {
        let ids = Ids::random(self.0.clock.clone());
        let mut pause = FIRST_PAUSE;
        loop {
            let live = match first.take() {
                Some(live) => Ok(live),
                None => self.connect().await,
            };
            match live {
                Ok(live) => {
                    self.0.live.send_replace(Some(Arc::clone(&live)));
                    pause = FIRST_PAUSE;
                    let stopping = self.until_broken(&live).await;
                    self.0.live.send_replace(None);
                    if stopping {
                        // Whoever still acknowledges holds it; it closes with the last of them.
                        return;
                    }
                    tracing::warn!("the connection to RabbitMQ is broken; events wait until there is a new one");
                    for connection in [&live.connection, &live.publishing] {
                        drop(self.patiently(connection.close(200, "broken".into())).await);
                    }
                }
                Err(error) => tracing::debug!(%error, "RabbitMQ is away"),
            }
            tokio::select! {
                () = self.0.tasks.stopped() => return,
                () = self.0.clock.pause(pause / 2 + ids.jitter(pause / 2)) => pause = (pause * 2).min(LONGEST_PAUSE),
            }
        }
    }

    /// Whether it ended because the program stops.
    async fn until_broken(&self, live: &Live) -> bool {
        let both = [&live.connection, &live.publishing];
        let mut events = stream::select_all(both.map(|connection| Box::pin(connection.events_listener())));
        loop {
            if !both.iter().all(|connection| connection.status().connected()) {
                return false;
            }
            tokio::select! {
                () = self.0.tasks.stopped() => return true,
                () = live.broken.notified() => return false,
                event = events.next() => if let None | Some(Event::Error(_)) = event { return false },
            }
        }
    }

    async fn connect(&self) -> Result<Arc<Live>, lapin::Error> {
        let live = self.patiently(self.handshake()).await?;
        let wanted = self.wanted().clone();
        self.declare(&live.connection, &wanted).await?;
        tracing::info!("connected to RabbitMQ");
        Ok(Arc::new(live))
    }

    async fn handshake(&self) -> Result<Live, lapin::Error> {
        let connection = self.connection("cartwright").await?;
        let publishing = self.connection("cartwright, publishing").await?;
        let events = publishing.create_channel().await?;
        events.confirm_select(ConfirmSelectOptions::default()).await?;
        let hints = publishing.create_channel().await?;
        Ok(Live { connection, publishing, events, hints, broken: Notify::new() })
    }

    async fn connection(&self, name: &str) -> Result<Connection, lapin::Error> {
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let tls = OwnedTLSConfig { identity: None, cert_chain: self.0.authority.clone() };
        let address = self.0.address.reveal().clone();
        Connection::connect_uri_with_config(address, properties, tls, default_runtime()?).await
    }

    /// On a channel of its own, because a refusal ends the channel.
    async fn declare(&self, connection: &Connection, wanted: &Wanted) -> Result<(), lapin::Error> {
        self.patiently(async {
            let channel = connection.create_channel().await?;
            wanted.declare(&self.0.names, &channel).await?;
            channel.close(200, "done".into()).await
        })
        .await
    }
}

/// Whether it will answer the same however often it is asked: no such user, wrong password, no such virtual host.
fn refuses(error: &lapin::Error) -> bool {
    let ErrorKind::ProtocolError(error) = error.kind() else { return false };
    matches!(error.kind(), AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED))
        || error.to_string().contains("ACCESS_REFUSED")
        || error.to_string().contains("ACCESS-REFUSED")
}

//! From a commit to a reaction: once, later, or aside as a dead letter, and never in another's way.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cartwright_bus::{Broker, DeadLetter, Failure, InProcessBroker, Relay, Subscription, replay};
use cartwright_runtime::{Clock, Ids, Tasks};
use cartwright_store::{Bookmark, Changes, Database, Document, Event, Lane, MemoryBackend, Store, Stored};
use serde::{Deserialize, Serialize};

/// A bell that somebody heard.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Heard {
    bell: String,
}

impl Document for Heard {
    const COLLECTION: &'static str = "heard";

    fn key(&self) -> String {
        self.bell.clone()
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Rung {
    bell: String,
    has_clapper: bool,
}

impl Event for Rung {
    const NAME: &'static str = "tower.bell-rung";

    fn subject(&self) -> String {
        self.bell.clone()
    }
}

/// A tower that rings and a town that hears it, unless the bell has no clapper and nobody mended it.
struct Town {
    database: Database,
    tower: Store,
    town: Store,
    subscription: Subscription,
    mended: Arc<AtomicBool>,
    tasks: Tasks,
}

impl Town {
    async fn new() -> Self {
        let clock = Clock::system();
        let database = Database::new(Arc::new(MemoryBackend::new()), clock.clone(), Ids::random(clock));
        let tower = database.scoped("tower", &[]).await.unwrap();
        let town = database.scoped("town", &[Heard::spec(), DeadLetter::spec()]).await.unwrap();
        let mended = Arc::new(AtomicBool::new(false));
        let mending = Arc::clone(&mended);
        let subscription = Subscription::new(
            &town,
            |event: &Rung| Lane::of::<Heard>(&event.bell),
            move |_, event| {
                let hears = event.has_clapper || mending.load(Ordering::SeqCst);
                async move {
                    let heard = Heard { bell: event.bell.clone() };
                    if hears {
                        Ok(Changes::new().insert(&heard))
                    } else {
                        Err(Failure::Refused("no clapper".to_owned()))
                    }
                }
            },
        );
        Self { database, tower, town, subscription, mended, tasks: Tasks::new() }
    }

    async fn relay(&self) {
        let broker = InProcessBroker::new(self.tasks.clone());
        broker.subscribe(vec![self.subscription.clone()]).await.unwrap();
        let relay = Relay::new(&self.database, Arc::new(broker), self.tasks.clone(), Clock::system());
        self.tasks.spawn(relay.run());
    }

    async fn ring(&self, bell: &str, has_clapper: bool) {
        let event = Rung { bell: bell.to_owned(), has_clapper };
        self.tower.commit(Changes::new().publish(&event)).await.unwrap();
    }

    async fn is_heard(&self, bell: &str) -> bool {
        self.town.get::<Heard>(bell).await.unwrap().is_some()
    }

    async fn until_heard(&self, bell: &str) {
        let watch = Clock::system().stopwatch();
        while !self.is_heard(bell).await {
            assert!(watch.elapsed() < Duration::from_secs(10), "{bell} is not heard");
            Clock::system().pause(Duration::from_millis(2)).await;
        }
    }

    async fn dead_letter(&self) -> Stored<DeadLetter> {
        let watch = Clock::system().stopwatch();
        loop {
            if let Some(letter) = self.town.scan::<DeadLetter>().page(2).await.unwrap().into_iter().next() {
                return letter;
            }
            assert!(watch.elapsed() < Duration::from_secs(60), "nothing was set aside");
            Clock::system().pause(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

#[tokio::test]
async fn what_was_committed_while_nobody_relayed_is_delivered_later_and_marked_as_sent() {
    let town = Town::new().await;
    town.ring("old", true).await;

    town.relay().await;

    town.until_heard("old").await;
    town.ring("new", true).await;
    town.until_heard("new").await;
    let watch = Clock::system().stopwatch();
    while !town.database.backend().unsent(&Bookmark::default(), 10).await.unwrap().is_empty() {
        assert!(watch.elapsed() < Duration::from_secs(10), "the events are not marked as sent");
        Clock::system().pause(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_refused_event_blocks_no_other_and_is_set_aside_until_it_is_replayed() {
    let town = Town::new().await;
    town.relay().await;

    town.ring("cracked", false).await;
    town.ring("sound", true).await;

    town.until_heard("sound").await;
    let letter = town.dead_letter().await;
    assert_eq!((letter.doc.consumer.as_str(), letter.doc.tries, letter.doc.cause.as_str()), ("town", 10, "no clapper"));
    assert!(!town.is_heard("cracked").await);

    let subscriptions = [town.subscription.clone()];
    assert!(replay(&letter, &subscriptions).await.is_err(), "it is still cracked");
    town.mended.store(true, Ordering::SeqCst);
    replay(&letter, &subscriptions).await.unwrap();

    assert!(town.is_heard("cracked").await);
    assert!(town.town.scan::<DeadLetter>().page(2).await.unwrap().is_empty());
    replay(&letter, &subscriptions).await.unwrap();
}

#[tokio::test]
async fn an_event_of_a_consumer_that_is_gone_is_not_replayed_and_not_lost() {
    let town = Town::new().await;
    town.relay().await;
    town.ring("cracked", false).await;
    let letter = town.dead_letter().await;

    let refused = replay(&letter, &[]).await.unwrap_err();

    assert_eq!(refused.to_string(), "town does not react to tower.bell-rung any more");
    assert_eq!(town.town.scan::<DeadLetter>().page(2).await.unwrap().len(), 1);
}

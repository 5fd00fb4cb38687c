//! What a broker promises about its own crashes.

use std::sync::Arc;
use std::time::Duration;

use cartwright_runtime::{Clock, Ids};
use cartwright_store::{Changes, Database, MemoryBackend};

use super::town::{Ears, Mood, Process, Rung, Town, rung};
use super::{Site, eventually};
use crate::{Backlog, Relay};

/// A confirmed event is on disk.
pub async fn what_was_confirmed_outlives_the_broker(site: impl Site) {
    let site: Arc<dyn Site> = Arc::new(site);
    let (tower, process, town) = (Process::start(&site).await, Process::start(&site).await, Town::new("town"));
    let ears = Ears::new(Mood::Asleep);
    process.subscribe(town.strokes(&ears).await).await;
    process.until_lag("town", 0).await;
    for stroke in 1..=20 {
        tower.publish(rung("great", stroke)).await;
    }
    eventually("the process holds an event", || async { ears.tries() > 0 }).await;

    site.kill().await;
    site.start_again().await;
    ears.be(Mood::Attentive);

    town.until_heard("great", 20).await;
    process.until_lag("town", 0).await;
    assert_eq!(town.heard("great").await, (1..=20).collect::<Vec<u32>>());
}

/// The shop goes on; its outbox keeps what the broker does not take.
pub async fn a_broker_that_is_away_is_told_at_once_and_gets_everything_later(site: impl Site) {
    let site: Arc<dyn Site> = Arc::new(site);
    let (tower, process, town) = (Process::start(&site).await, Process::start(&site).await, Town::new("town"));
    process.subscribe(town.strokes(&Ears::new(Mood::Attentive)).await).await;
    process.until_lag("town", 0).await;
    let clock = Clock::system();
    let database = Database::new(Arc::new(MemoryBackend::new()), clock.clone(), Ids::random(clock.clone()));
    let bells = database.scoped("tower", &[]).await.unwrap();
    let backlog = Backlog::new(3);
    let relay = Relay::new(&database, Arc::clone(tower.broker()), tower.tasks().clone(), clock.clone());
    let (relay, tasks) = (relay.reporting(backlog.clone()), tower.tasks().clone());
    tower.run(async move { tasks.spawn(relay.run()) }).await;
    let ring = |stroke| bells.commit(Changes::new().publish(&Rung::new("great", stroke)));
    ring(1).await.unwrap();
    town.until_heard("great", 1).await;

    site.kill().await;
    let watch = clock.stopwatch();
    assert!(tower.try_publish(rung("small", 1)).await.is_err(), "nobody is there");
    assert!(watch.elapsed() < Duration::from_secs(20), "it took too long to say so");
    for stroke in 2..=6 {
        ring(stroke).await.unwrap();
    }
    eventually("the backlog is full", || async { backlog.is_full() }).await;
    site.start_again().await;

    town.until_heard("great", 6).await;
    eventually("nothing waits any more", || async { backlog.waiting() == 0 }).await;
    process.until_lag("town", 0).await;
    assert_eq!(town.heard("great").await, [1, 2, 3, 4, 5, 6]);
}

/// Nothing has to be started in order.
pub async fn a_process_starts_while_the_broker_is_away(site: impl Site) {
    let site: Arc<dyn Site> = Arc::new(site);
    site.kill().await;
    let (tower, process, town) = (Process::start(&site).await, Process::start(&site).await, Town::new("town"));
    process.subscribe(town.strokes(&Ears::new(Mood::Attentive)).await).await;
    assert!(tower.try_publish(rung("great", 1)).await.is_err(), "nobody is there");

    site.start_again().await;
    process.until_lag("town", 0).await;
    tower.publish(rung("great", 1)).await;

    town.until_heard("great", 1).await;
}

//! What a broker promises to consumers that are several processes, crash, stop, and change.

use std::sync::Arc;

use super::town::{Ears, Mood, Process, Town, removed, rung};
use super::{Site, eventually};
use crate::{AT_ONCE, Interest};

/// More events than one process may hold, the first of which has to wait for the second process.
pub async fn two_processes_of_a_consumer_share_its_events(site: impl Site) {
    let site: Arc<dyn Site> = Arc::new(site);
    let (tower, town) = (Process::start(&site).await, Town::new("town"));
    let (one, other) = (Process::start(&site).await, Process::start(&site).await);
    let (ears, other_ears) = (Ears::new(Mood::Asleep), Ears::new(Mood::Asleep));
    one.subscribe(town.strokes(&ears).await).await;
    other.subscribe(town.strokes(&other_ears).await).await;
    one.until_lag("town", 0).await;

    let bells: Vec<String> = (0..u32::from(AT_ONCE) * 3).map(|number| format!("bell {number}")).collect();
    for bell in &bells {
        tower.publish(rung(bell, 1)).await;
    }
    eventually("both have something to do", || async { ears.tries() > 0 && other_ears.tries() > 0 }).await;
    ears.be(Mood::Attentive);
    other_ears.be(Mood::Attentive);

    for bell in &bells {
        town.until_heard(bell, 1).await;
    }
    one.until_lag("town", 0).await;
    for bell in &bells {
        assert_eq!(town.heard(bell).await, [1], "{bell}");
    }
    assert!(ears.applied() > 0 && other_ears.applied() > 0, "they shared the work");
}

/// What was delivered and not confirmed is delivered again.
pub async fn what_a_crashed_process_held_goes_to_another(site: impl Site) {
    let site: Arc<dyn Site> = Arc::new(site);
    let (tower, town) = (Process::start(&site).await, Town::new("town"));
    let (doomed, asleep) = (Process::start(&site).await, Ears::new(Mood::Asleep));
    doomed.subscribe(town.strokes(&asleep).await).await;
    doomed.until_lag("town", 0).await;
    for stroke in 1..=5 {
        tower.publish(rung("great", stroke)).await;
    }
    eventually("it holds an event", || async { asleep.tries() > 0 }).await;

    doomed.crash();
    let heir = Process::start(&site).await;
    heir.subscribe(town.strokes(&Ears::new(Mood::Attentive)).await).await;

    town.until_heard("great", 5).await;
    heir.until_lag("town", 0).await;
    assert_eq!(town.heard("great").await, [1, 2, 3, 4, 5]);
}

/// A service that is started last misses nothing, where the others know of it.
pub async fn what_is_expected_waits_for_a_consumer_that_never_ran(site: impl Site) {
    let site: Arc<dyn Site> = Arc::new(site);
    let (tower, town) = (Process::start(&site).await, Town::new("town"));
    let strokes = town.strokes(&Ears::new(Mood::Attentive)).await;
    let wanted =
        |it: &crate::Subscription| Interest { consumer: it.consumer().to_owned(), event: it.event().to_owned() };
    let interests = strokes.iter().map(wanted).collect();
    let broker = Arc::clone(tower.broker());
    tower.run(async move { broker.expect(interests).await }).await.unwrap();

    for stroke in 1..=10 {
        tower.publish(rung("great", stroke)).await;
    }
    tower.until_lag("town", 10).await;
    let process = Process::start(&site).await;
    process.subscribe(strokes).await;

    town.until_heard("great", 10).await;
    process.until_lag("town", 0).await;
    assert_eq!(town.heard("great").await, (1..=10).collect::<Vec<u32>>());
}

/// A drain gives back what was not applied, and takes nothing with it.
pub async fn a_stopped_process_loses_nothing(site: impl Site) {
    let site: Arc<dyn Site> = Arc::new(site);
    let (tower, town) = (Process::start(&site).await, Town::new("town"));
    let (first, ears) = (Process::start(&site).await, Ears::new(Mood::Asleep));
    first.subscribe(town.strokes(&ears).await).await;
    first.until_lag("town", 0).await;
    for stroke in 1..=3 {
        tower.publish(rung("great", stroke)).await;
    }
    eventually("it holds an event", || async { ears.tries() > 0 }).await;

    first.stop().await;
    for stroke in 4..=6 {
        tower.publish(rung("great", stroke)).await;
    }
    let second = Process::start(&site).await;
    second.subscribe(town.strokes(&Ears::new(Mood::Attentive)).await).await;

    town.until_heard("great", 6).await;
    second.until_lag("town", 0).await;
    assert_eq!(town.heard("great").await, [1, 2, 3, 4, 5, 6]);
}

/// A new version may react to less than the one before.
pub async fn an_event_of_an_earlier_version_is_dropped(site: impl Site) {
    let site: Arc<dyn Site> = Arc::new(site);
    let (tower, town) = (Process::start(&site).await, Town::new("town"));
    let (earlier, ears) = (Process::start(&site).await, Ears::new(Mood::Attentive));
    earlier.subscribe(town.everything(&ears).await).await;
    earlier.until_lag("town", 0).await;
    earlier.stop().await;

    tower.publish(removed("great")).await;
    tower.publish(rung("great", 1)).await;
    let later = Process::start(&site).await;
    later.subscribe(town.strokes(&ears).await).await;

    town.until_heard("great", 1).await;
    later.until_lag("town", 0).await;
    assert_eq!(town.heard_removed("great").await, 0);
    assert!(town.dead_letters().await.is_empty());
}

//! What a broker promises to consumers that run all the time.

use std::sync::Arc;

use super::town::{Ears, Mood, Process, Town, removed, rung};
use super::{Site, eventually};
use crate::replay;

/// Each consumer is one group, and all groups are served.
pub async fn every_consumer_gets_every_event_it_wants(site: impl Site) {
    let site: Arc<dyn Site> = Arc::new(site);
    let (tower, process) = (Process::start(&site).await, Process::start(&site).await);
    let (town, village) = (Town::new("town"), Town::new("village"));
    let ears = Ears::new(Mood::Attentive);
    let all = [town.everything(&ears).await, village.strokes(&ears).await].concat();
    process.subscribe(all).await;
    process.until_lag("town", 0).await;
    process.until_lag("village", 0).await;

    for stroke in 1..=20 {
        tower.publish(rung("great", stroke)).await;
    }
    tower.publish(removed("great")).await;

    town.until_heard("great", 20).await;
    village.until_heard("great", 20).await;
    eventually("the town hears of the removal", || async { town.heard_removed("great").await == 1 }).await;
    process.until_lag("town", 0).await;
    process.until_lag("village", 0).await;
    assert_eq!((town.heard("great").await.len(), village.heard("great").await.len()), (20, 20));
    assert_eq!(village.heard_removed("great").await, 0, "the village never asked for that");
}

/// Nobody has to want an event for it to be published.
pub async fn an_event_that_nobody_wants_is_taken(site: impl Site) {
    let site: Arc<dyn Site> = Arc::new(site);
    let tower = Process::start(&site).await;
    tower.publish(removed("small")).await;
}

/// The relay repeats what was not confirmed, or whose mark was lost.
pub async fn an_event_sent_twice_takes_effect_once(site: impl Site) {
    let site: Arc<dyn Site> = Arc::new(site);
    let (tower, process, town) = (Process::start(&site).await, Process::start(&site).await, Town::new("town"));
    process.subscribe(town.strokes(&Ears::new(Mood::Attentive)).await).await;
    process.until_lag("town", 0).await;
    let (first, second) = (rung("great", 1), rung("great", 2));

    for event in [&first, &first, &second, &first] {
        tower.publish(event.clone()).await;
    }

    town.until_heard("great", 2).await;
    process.until_lag("town", 0).await;
    assert_eq!(town.heard("great").await, [1, 2]);
}

/// With one process, also where it has to try again and again.
pub async fn events_of_one_subject_are_applied_in_order(site: impl Site) {
    const BELLS: [&str; 4] = ["great", "small", "cracked", "new"];
    let site: Arc<dyn Site> = Arc::new(site);
    let (tower, process, town) = (Process::start(&site).await, Process::start(&site).await, Town::new("town"));
    process.subscribe(town.strokes(&Ears::new(Mood::Drowsy)).await).await;
    process.until_lag("town", 0).await;

    for stroke in 1..=25 {
        for bell in BELLS {
            tower.publish(rung(bell, stroke)).await;
        }
    }

    for bell in BELLS {
        town.until_heard(bell, 25).await;
        assert_eq!(town.heard(bell).await, (1..=25).collect::<Vec<u32>>(), "{bell}");
    }
}

/// Ten refusals; others go on meanwhile.
pub async fn what_cannot_be_applied_is_set_aside_until_it_is_replayed(site: impl Site) {
    let site: Arc<dyn Site> = Arc::new(site);
    let (tower, process, town) = (Process::start(&site).await, Process::start(&site).await, Town::new("town"));
    let ears = Ears::new(Mood::DeafTo("cracked".to_owned()));
    let subscriptions = town.strokes(&ears).await;
    process.subscribe(subscriptions.clone()).await;
    process.until_lag("town", 0).await;

    let (refused, accepted) = tokio::join!(tower.try_publish(rung("cracked", 1)), async {
        tower.publish(rung("great", 1)).await;
        town.until_heard("great", 1).await;
    });
    refused.unwrap();
    let () = accepted;

    eventually("the event is set aside", || async { !town.dead_letters().await.is_empty() }).await;
    process.until_lag("town", 0).await;
    let letters = town.dead_letters().await;
    let letter = &letters[0];
    assert_eq!((letters.len(), letter.doc.tries, letter.doc.cause.as_str()), (1, 10, "no clapper"));
    assert_eq!(letter.doc.consumer, town.name());
    ears.be(Mood::Attentive);
    replay(letter, &subscriptions).await.unwrap();
    assert_eq!(town.heard("cracked").await, [1]);
    assert!(town.dead_letters().await.is_empty());
}

/// It is tried until it is back, and never set aside for that.
pub async fn what_a_reaction_needs_may_be_away_for_a_while(site: impl Site) {
    let site: Arc<dyn Site> = Arc::new(site);
    let (tower, process, town) = (Process::start(&site).await, Process::start(&site).await, Town::new("town"));
    let ears = Ears::new(Mood::Asleep);
    process.subscribe(town.strokes(&ears).await).await;
    process.until_lag("town", 0).await;

    let published = tower.try_publish(rung("great", 1));
    let woken = async {
        eventually("it was tried more often than a refusal would be", || async { ears.tries() > 10 }).await;
        process.until_lag("town", 1).await;
        assert!(town.heard("great").await.is_empty());
        ears.be(Mood::Attentive);
    };
    let (published, ()) = tokio::join!(published, woken);
    published.unwrap();

    town.until_heard("great", 1).await;
    process.until_lag("town", 0).await;
    assert!(town.dead_letters().await.is_empty());
}

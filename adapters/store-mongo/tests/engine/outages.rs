//! Servers that go: told at once, nothing lost that was acknowledged, and back without anybody's help.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cartwright_runtime::{Clock, Stopwatch, Tasks};
use cartwright_servers::mongo::ReplicaSet;
use cartwright_store::{Backend, Changes, Store, StoreError};

use cartwright_store_mongo::{MongoBackend, Options};

use crate::letters::{Letter, again, all_unsent, at, eventually, is_unavailable, letter, news, open, post, written};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_gone_is_told_at_once_and_found_again() {
    let mut set = ReplicaSet::start(1).await;
    let backend = open(&set.uri()).await;
    let store = post(&backend).await;
    let new = Letter::new("1");
    store.commit(Changes::new().insert(&new).publish(&written(&new))).await.unwrap();
    let read = letter(&store, "1").await;
    let clock = Clock::system();

    set.kill(0);
    let watch = clock.stopwatch();
    let (got, committed, both) = tokio::join!(
        store.get::<Letter>("1"),
        store.commit(again(read)),
        store.commit(Changes::new().insert(&Letter::new("2")).insert(&Letter::new("3"))),
    );
    assert!(
        is_unavailable(&got) && is_unavailable(&committed) && is_unavailable(&both),
        "{got:?} {committed:?} {both:?}"
    );
    assert!(watch.elapsed() < Duration::from_secs(5), "{:?}", watch.elapsed());
    let watch = clock.stopwatch();
    assert!(is_unavailable(&backend.ready().await));
    assert!(watch.elapsed() < Duration::from_secs(2), "{:?}", watch.elapsed());

    set.start_again(0).await;
    let (backend, store) = (&backend, &store);
    eventually("it is ready again", || async { backend.ready().await.is_ok() }).await;
    store.commit(again(letter(store, "1").await)).await.unwrap();
    assert_eq!(all_unsent(backend).await.len(), usize::try_from(letter(store, "1").await.revision).unwrap());
}

/// What a writer was told.
#[derive(Debug, Default)]
struct Told {
    /// The letters that were acknowledged, with the highest count of each.
    acknowledged: HashMap<String, u32>,
    /// When each acknowledgement came.
    at: Vec<Duration>,
    /// What else was said, and how often.
    refusals: HashMap<String, u32>,
    /// What should not have been said.
    wrong: Vec<String>,
}

/// Writes new letters, replaces them and moves them in pairs until `tasks` stop.
async fn write(store: Store, name: usize, tasks: Tasks, watch: Stopwatch, told: Arc<Mutex<Told>>) {
    for number in 0.. {
        if tasks.is_stopping() {
            return;
        }
        let (one, two) = (Letter::new(&format!("{name}-{number}-a")), Letter::new(&format!("{name}-{number}-b")));
        let alone = Changes::new().insert(&one).publish(&written(&one));
        note(&told, watch, [(&one.id, 0)], store.commit(alone).await);
        let both = match store.get::<Letter>(&one.id).await {
            Ok(Some(read)) => again(read).insert(&two),
            Ok(None) | Err(_) => continue,
        };
        note(&told, watch, [(&one.id, 1), (&two.id, 0)], store.commit(both).await);
    }
}

fn note<const N: usize>(
    told: &Mutex<Told>,
    watch: Stopwatch,
    letters: [(&String, u32); N],
    result: Result<(), StoreError>,
) {
    let mut told = told.lock().unwrap();
    match result {
        Ok(()) => {
            told.acknowledged.extend(letters.map(|(id, count)| (id.clone(), count)));
            told.at.push(watch.elapsed());
        }
        Err(error @ StoreError::Unavailable(_)) => *told.refusals.entry(error.to_string()).or_default() += 1,
        // Only an own lost commit is in the way of these letters, and then the engine says that it does not know.
        Err(error) => told.wrong.push(error.to_string()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_primaries_are_killed_under_load() {
    const WRITERS: usize = 8;
    let mut set = ReplicaSet::start(3).await;
    let (clock, calls) = (Clock::system(), Tasks::new());
    let process = || MongoBackend::open(at(&set.uri()), clock.clone(), calls.clone(), Options::default());
    let (here, there) = (process().await.unwrap(), process().await.unwrap());
    let (tasks, told) = (Tasks::new(), Arc::<Mutex<Told>>::default());
    let watch = clock.stopwatch();
    for name in 0..WRITERS {
        let store = post(if name % 2 == 0 { &here } else { &there }).await;
        tasks.spawn(write(store, name, tasks.clone(), watch, Arc::clone(&told)));
    }

    let mut kills = Vec::new();
    for _ in 0..3 {
        clock.pause(Duration::from_secs(1)).await;
        let killed = set.kill_primary().await;
        kills.push(watch.elapsed());
        set.elected().await;
        let before = told.lock().unwrap().at.len();
        eventually("writes go on", || async { told.lock().unwrap().at.len() > before + 2 * WRITERS }).await;
        set.start_again(killed).await;
    }
    assert!(tasks.drain(&clock, Duration::from_secs(30)).await);

    // What nobody waits for any more may still happen.
    assert!(calls.drain(&clock, Duration::from_secs(30)).await);

    let told = std::mem::take(&mut *told.lock().unwrap());
    assert!(told.wrong.is_empty(), "{:?}", told.wrong);
    for kill in kills {
        let back = told.at.iter().filter(|at| **at > kill + Duration::from_millis(500)).min().unwrap();
        assert!(*back < kill + Duration::from_secs(5), "killed at {kill:?}, writes back at {back:?}");
    }
    let found = post(&here).await.scan::<Letter>().all().await.unwrap();
    let found: HashMap<String, u32> = found.into_iter().map(|letter| (letter.doc.id, letter.doc.count)).collect();
    for (id, count) in &told.acknowledged {
        assert!(
            found.get(id).is_some_and(|found| found >= count),
            "{id} was acknowledged with {count}: {:?}",
            found.get(id)
        );
    }
    let events: Vec<(String, u32)> =
        all_unsent(&there).await.iter().map(|event| (news(event).id, news(event).count)).collect();
    let distinct: HashSet<&(String, u32)> = events.iter().collect();
    assert_eq!(events.len(), distinct.len(), "an event was committed twice");
    for (id, count) in found.iter().filter(|(id, _)| id.ends_with('a')) {
        let of_it = events.iter().filter(|(event, _)| event == id).count();
        assert_eq!(of_it, usize::try_from(*count + 1).unwrap(), "the events of {id} do not agree with it");
    }
    assert!(
        events.iter().all(|(id, count)| found.get(id).is_some_and(|found| found >= count)),
        "an event without its cause"
    );
    println!("{} acknowledged, refused: {:?}", told.at.len(), told.refusals);
}

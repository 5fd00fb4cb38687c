//! Two processes at one database: one of two wins, and nobody relies on what another changes.

use std::sync::Arc;
use std::time::Duration;

use bson::{Document, doc};
use cartwright_runtime::{Clock, Tasks};
use cartwright_store::{Changes, Decision, Lane, Store, StoreError, change};
use futures::future::join_all;

use crate::letters::{Letter, eventually, fresh_uri, letter, open, post};

async fn two_processes() -> (Store, Store) {
    let uri = fresh_uri().await;
    let (here, there) = (open(&uri).await, open(&uri).await);
    (post(&here).await, post(&there).await)
}

async fn count_up(store: Store, id: &'static str) -> Result<(), StoreError> {
    change(&store, Lane::of::<Letter>(id), |view| async move {
        let mut read = view.get::<Letter>(id).await?.ok_or_else(|| StoreError::Unusable("no letter".to_owned()))?;
        read.doc.count += 1;
        Ok::<_, StoreError>(Decision::new(Changes::new().replace(&read), ()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn increments_of_two_processes_all_count() {
    let (here, there) = two_processes().await;
    here.commit(Changes::new().insert(&Letter::new("1"))).await.unwrap();
    let tasks = Tasks::new();

    let all = (0..40).map(|number| {
        let store = if number % 2 == 0 { here.clone() } else { there.clone() };
        tasks.detach(count_up(store, "1"))
    });
    let results: Vec<Result<(), StoreError>> = join_all(all).await.into_iter().map(Result::unwrap).collect();

    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let read = letter(&here, "1").await;
    assert_eq!((read.doc.count, read.revision), (40, 41));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn units_that_two_processes_move_about_stay_as_many() {
    let (here, there) = two_processes().await;
    let full = |id: &str| Letter { count: 100, ..Letter::new(id) };
    here.commit(Changes::new().insert(&full("1")).insert(&full("2")).insert(&full("3"))).await.unwrap();
    let tasks = Tasks::new();

    let moves = (0..30_usize).map(|number| {
        let store = if number % 2 == 0 { here.clone() } else { there.clone() };
        let (from, to) = [("1", "2"), ("2", "3"), ("3", "1")][number % 3];
        tasks.detach(async move {
            let (mut from, mut to) = (letter(&store, from).await, letter(&store, to).await);
            from.doc.count -= 1;
            to.doc.count += 1;
            store.commit(Changes::new().replace(&from).replace(&to)).await
        })
    });
    let results: Vec<Result<(), StoreError>> = join_all(moves).await.into_iter().map(Result::unwrap).collect();

    assert!(results.iter().all(|result| matches!(result, Ok(()) | Err(StoreError::Conflict { .. }))), "{results:?}");
    let mut units = 0;
    let mut writes = 0;
    for id in ["1", "2", "3"] {
        let read = letter(&there, id).await;
        units += read.doc.count;
        writes += read.revision - 1;
    }
    let committed = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!((units, writes), (300, 2 * u64::try_from(committed).unwrap()));
    assert!(committed > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_commits_cannot_each_rely_on_what_the_other_changes() {
    let (here, there) = two_processes().await;
    here.commit(Changes::new().insert(&Letter::new("1")).insert(&Letter::new("2"))).await.unwrap();
    let mut committed = 0;
    for _ in 0..15 {
        let (first, second) = (letter(&here, "1").await, letter(&here, "2").await);
        let rely = |on, on_it: &cartwright_store::Stored<Letter>| Changes::new().require(on).replace(on_it);

        let (a, b) = tokio::join!(here.commit(rely(&first, &second)), there.commit(rely(&second, &first)));

        assert!(!(a.is_ok() && b.is_ok()), "both relied on the version that the other replaced");
        committed += u32::from(a.is_ok() || b.is_ok());
    }
    assert!(committed > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_commits_cannot_each_rely_on_the_others_absence() {
    let (here, there) = two_processes().await;
    let mut committed = 0;
    for round in 0..15 {
        let (x, y) = (Letter::new(&format!("x{round}")), Letter::new(&format!("y{round}")));
        let alone = |other: &Letter, own: &Letter| Changes::new().require_absent::<Letter>(&other.id).insert(own);

        let (a, b) = tokio::join!(here.commit(alone(&x, &y)), there.commit(alone(&y, &x)));

        assert!(!(a.is_ok() && b.is_ok()), "both relied on the other not being there");
        committed += u32::from(a.is_ok() || b.is_ok());
    }
    assert!(committed > 0);
    let left = here.scan::<Letter>().all().await.unwrap();
    assert_eq!(left.len(), usize::try_from(committed).unwrap(), "nothing that was not committed is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unique_place_goes_to_one_of_two_processes() {
    let (here, there) = two_processes().await;
    for round in 0..15 {
        let stamped = |id: String| Letter { stamp: Some(round.to_string()), ..Letter::new(&id) };
        let insert = |id: String| Changes::new().insert(&stamped(id));

        let (a, b) = tokio::join!(here.commit(insert(format!("a{round}"))), there.commit(insert(format!("b{round}"))));

        let results = [a, b];
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
        let taken =
            |result: &&Result<(), StoreError>| matches!(result, Err(StoreError::NotUnique { index: "by-stamp", .. }));
        assert_eq!(results.iter().filter(taken).count(), 1, "{results:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_process_held_that_died_amid_a_commit_is_free_again_within_seconds() {
    let uri = fresh_uri().await;
    let store = post(&open(&uri).await).await;
    store.commit(Changes::new().insert(&Letter::new("1")).insert(&Letter::new("2"))).await.unwrap();
    let client = mongodb::Client::with_uri_str(&uri).await.unwrap();
    let database = client.database(&format!("{}_post", uri.split(['/', '?']).nth(3).unwrap()));
    let mut dying = client.start_session().await.unwrap();
    dying.start_transaction().await.unwrap();
    let letters = database.collection::<Document>("letters");
    let update = letters.update_many(doc! {}, doc! { "$set": { "count": 9_i64 } });
    update.session(&mut dying).await.unwrap();
    // Nobody aborts what a dead process began.
    std::mem::forget(dying);

    let clock = Clock::system();
    let watch = clock.stopwatch();
    let store = &store;
    eventually("a document is free", || async {
        store.commit(Changes::new().replace(&letter(store, "1").await)).await.is_ok()
    })
    .await;
    eventually("both are free", || async {
        let (first, second) = (letter(store, "1").await, letter(store, "2").await);
        store.commit(Changes::new().require(&first).replace(&second)).await.is_ok()
    })
    .await;

    assert!(watch.elapsed() < Duration::from_secs(12), "{:?}", watch.elapsed());
    assert_eq!((letter(store, "1").await.doc.count, letter(store, "2").await.doc.count), (0, 0));
}

#[tokio::test]
async fn a_full_engine_is_busy_and_not_slow() {
    let options = cartwright_store_mongo::Options { calls: 1, ..Default::default() };
    let backend = crate::letters::try_open(&fresh_uri().await, options).await.unwrap();
    let store = Arc::new(post(&backend).await);
    store.commit(Changes::new().insert(&Letter::new("1"))).await.unwrap();

    let both = tokio::join!(store.get::<Letter>("1"), store.get::<Letter>("1"));

    assert!(both.0.is_ok());
    assert!(matches!(both.1, Err(StoreError::Busy(_))), "{:?}", both.1);
}

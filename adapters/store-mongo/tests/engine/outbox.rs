//! Events: each is given until it is marked, whoever marks it, and whatever becomes of the document that carried it.

use std::collections::HashSet;

use cartwright_runtime::Tasks;
use cartwright_store::{Backend, Bookmark, Changes, StoreError};
use cartwright_store_mongo::Options;
use futures::future::join_all;

use crate::letters::{
    Letter, again, all_unsent, eventually, fresh, fresh_uri, letter, news, open, post, try_open, written,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn marking_events_does_not_disturb_whoever_replaces_their_document() {
    const ROUNDS: u32 = 40;
    let (backend, store) = fresh().await;
    let ids = ["1", "2", "3"];
    store.commit(ids.iter().fold(Changes::new(), |all, id| all.insert(&Letter::new(id)))).await.unwrap();
    let (tasks, writing) = (Tasks::new(), Tasks::new());
    let sender = {
        let (backend, writing) = (backend.clone(), writing.clone());
        tasks.detach(async move {
            let mut seen = Vec::new();
            loop {
                let ended = writing.is_stopping();
                let page = backend.unsent(&Bookmark::default(), 5).await.unwrap();
                let sent = page.iter().map(|(_, event)| event.id.clone()).collect();
                seen.extend(page.iter().map(|(_, event)| (news(event).id, news(event).count)));
                backend.sent(sent).await.unwrap();
                if ended && page.is_empty() {
                    return seen;
                }
            }
        })
    };
    let writers = ids.map(|id| {
        let store = store.clone();
        tasks.detach(async move {
            for _ in 0..ROUNDS {
                store.commit(again(letter(&store, id).await)).await.unwrap();
            }
        })
    });

    let (seen, ()) = tokio::join!(sender, async {
        join_all(writers).await.into_iter().for_each(|writer| writer.unwrap());
        writing.stop();
    });

    let seen = seen.unwrap();
    let distinct: HashSet<_> = seen.iter().cloned().collect();
    assert_eq!((seen.len(), distinct.len()), (120, 120), "every event once: nobody else marks them");
    for id in ids {
        let counts: Vec<u32> = seen.iter().filter(|(seen, _)| seen == id).map(|(_, count)| *count).collect();
        assert_eq!(counts, (1..=ROUNDS).collect::<Vec<_>>(), "in the order of the commits of {id}");
        assert_eq!(letter(&store, id).await.doc.count, ROUNDS);
    }
    assert_eq!(backend.waiting(10).await.unwrap(), 0);
}

#[tokio::test]
async fn events_outlive_the_document_that_carried_them() {
    let (backend, store) = fresh().await;
    let new = Letter::new("1");
    store.commit(Changes::new().insert(&new).publish(&written(&new))).await.unwrap();
    let read = letter(&store, "1").await;
    let gone = Letter { count: 9, ..new.clone() };

    store.commit(Changes::new().remove(&read)).await.unwrap();
    store.commit(Changes::new().insert(&new).publish(&written(&Letter { count: 1, ..new.clone() }))).await.unwrap();
    let read = letter(&store, "1").await;
    store.commit(Changes::new().remove(&read).publish(&written(&gone))).await.unwrap();

    let unsent = all_unsent(&backend).await;
    assert_eq!(unsent.iter().map(|event| news(event).count).collect::<Vec<_>>(), [0, 1, 9]);
    backend.sent(unsent.iter().map(|event| event.id.clone()).collect()).await.unwrap();
    assert_eq!(all_unsent(&backend).await.len(), 0);
    assert!(store.get::<Letter>("1").await.unwrap().is_none());
}

#[tokio::test]
async fn a_document_with_too_many_unsent_events_takes_no_more() {
    let options = Options { unsent_events: 3, ..Options::default() };
    let backend = try_open(&fresh_uri().await, options).await.unwrap();
    let store = post(&backend).await;
    let new = Letter::new("1");
    store.commit(Changes::new().insert(&new).publish(&written(&new))).await.unwrap();
    for _ in 0..2 {
        store.commit(again(letter(&store, "1").await)).await.unwrap();
    }

    let alone = store.commit(again(letter(&store, "1").await)).await;
    let among = store.commit(again(letter(&store, "1").await).insert(&Letter::new("2"))).await;
    let moved = Changes::new().replace(&cartwright_store::Stored { revision: 1, ..letter(&store, "1").await });

    assert!(matches!(alone, Err(StoreError::Busy(_))), "{alone:?}");
    assert!(matches!(among, Err(StoreError::Busy(_))), "{among:?}");
    let moved = store.commit(moved.publish(&written(&new))).await;
    assert!(matches!(moved, Err(StoreError::Conflict { .. })), "{moved:?}");
    let silent = Changes::new().replace(&letter(&store, "1").await);
    store.commit(silent).await.unwrap();
    let ids = all_unsent(&backend).await.into_iter().map(|event| event.id).take(1);
    backend.sent(ids.collect()).await.unwrap();
    store.commit(again(letter(&store, "1").await)).await.unwrap();
}

#[tokio::test]
async fn pages_of_the_outbox_go_on_while_it_is_emptied_and_filled() {
    let (backend, store) = fresh().await;
    for id in 0..8 {
        let new = Letter::new(&id.to_string());
        store.commit(Changes::new().insert(&new).publish(&written(&new))).await.unwrap();
        for _ in 0..id % 4 {
            store.commit(again(letter(&store, &new.id).await)).await.unwrap();
        }
    }
    let expected: Vec<(String, u32)> =
        (0..8_u32).flat_map(|id| (0..=id % 4).map(move |count| (id.to_string(), count))).collect();

    let (mut seen, mut after, mut before) = (Vec::new(), Bookmark::default(), Vec::new());
    loop {
        let page = backend.unsent(&after, 3).await.unwrap();
        assert!(page.is_sorted_by(|(a, _), (b, _)| a < b));
        // The middle of the page before goes, which shifts what is left of its documents.
        backend.sent(std::mem::take(&mut before)).await.unwrap();
        let Some((last, _)) = page.last() else { break };
        after = last.clone();
        before = page.iter().skip(1).map(|(_, event)| event.id.clone()).collect();
        seen.extend(page.iter().map(|(_, event)| (news(event).id, news(event).count)));
        assert!(seen.len() <= 100, "the pages do not end");
    }

    let mut distinct = seen.clone();
    distinct.sort();
    distinct.dedup();
    let mut sorted = expected.clone();
    sorted.sort();
    assert_eq!(distinct, sorted, "every event is in some page");
}

#[tokio::test]
async fn a_process_marks_events_that_it_has_not_seen() {
    let uri = fresh_uri().await;
    let (here, there) = (open(&uri).await, open(&uri).await);
    let (store, _) = (post(&here).await, post(&there).await);
    let new = Letter::new("1");
    store.commit(Changes::new().insert(&new).publish(&written(&new)).publish(&written(&new))).await.unwrap();
    store.commit(Changes::new().publish(&written(&new))).await.unwrap();
    let ids: Vec<String> = all_unsent(&here).await.into_iter().map(|event| event.id).collect();

    there.sent(vec![ids[0].clone(), ids[2].clone()]).await.unwrap();

    let (here, ids) = (&here, &ids);
    eventually("one event is left", || async move {
        let left = all_unsent(here).await;
        left.len() == 1 && left[0].id == ids[1]
    })
    .await;
    assert_eq!((here.waiting(10).await.unwrap(), there.waiting(10).await.unwrap()), (1, 1));
}

#[tokio::test]
async fn what_waits_is_counted_up_to_what_matters() {
    let (backend, store) = fresh().await;
    for id in 0..5 {
        let new = Letter::new(&id.to_string());
        store.commit(Changes::new().insert(&new).publish(&written(&new)).publish(&written(&new))).await.unwrap();
    }

    assert_eq!(backend.waiting(100).await.unwrap(), 10);
    assert_eq!(backend.waiting(4).await.unwrap(), 4);
}

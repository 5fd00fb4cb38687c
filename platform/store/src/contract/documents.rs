//! Documents, unique places, events, scopes: what one commit does, and what it does not.

use std::sync::Arc;

use futures::FutureExt;

use super::parcels::{Parcel, insert, moved, scoped, stored};
use super::{Subject, eventually};
use crate::{Bookmark, Changes, Collection, Commit, Document, Effect, IndexEntry, Store, StoreError, Write};

pub async fn a_document_is_read_back_as_it_was_written(subject: Subject) {
    let store = subject.store().await;
    let parcel = Parcel { label: Some("ä \"quoted\" \u{1F4E6}".to_owned()), ..Parcel::new("1", "Lyon", -3) };

    insert(&store, &parcel).await.unwrap();
    let mut read = stored::<Parcel>(&store, "1").await;
    assert_eq!((&read.doc, read.revision), (&parcel, 1));

    read.doc.weight = 4;
    store.commit(Changes::new().replace(&read)).await.unwrap();
    let again = stored::<Parcel>(&store, "1").await;
    assert_eq!((again.doc.weight, again.revision), (4, 2));
    assert!(store.get::<Parcel>("2").await.unwrap().is_none());
}

pub async fn a_second_insert_under_one_key_conflicts(subject: Subject) {
    let store = subject.store().await;
    insert(&store, &Parcel::new("1", "Lyon", 1)).await.unwrap();

    let second = insert(&store, &Parcel::new("1", "Nice", 2)).await;

    assert!(matches!(second, Err(StoreError::Conflict { key, .. }) if key == "1"));
    assert_eq!(stored::<Parcel>(&store, "1").await.doc.city, "Lyon");
}

pub async fn a_replacement_of_a_version_that_moved_conflicts(subject: Subject) {
    let store = subject.store().await;
    let read = moved_after_reading(&store, "1").await;

    let replaced = store.commit(Changes::new().replace(&read)).await;

    assert!(matches!(replaced, Err(StoreError::Conflict { .. })));
    assert_eq!(stored::<Parcel>(&store, "1").await.revision, 2);
}

pub async fn a_removal_of_a_version_that_moved_conflicts(subject: Subject) {
    let store = subject.store().await;
    let read = moved_after_reading(&store, "1").await;

    assert!(matches!(store.commit(Changes::new().remove(&read)).await, Err(StoreError::Conflict { .. })));

    let now = stored::<Parcel>(&store, "1").await;
    store.commit(Changes::new().remove(&now)).await.unwrap();
    assert!(store.get::<Parcel>("1").await.unwrap().is_none());
    assert!(matches!(store.commit(Changes::new().remove(&now)).await, Err(StoreError::Conflict { .. })));
}

pub async fn a_required_document_that_moved_fails_the_commit(subject: Subject) {
    let store = subject.store().await;
    let read = moved_after_reading(&store, "1").await;

    let skewed = Changes::new().require(&read).insert(&Parcel::new("2", "Lyon", 1));
    assert!(matches!(store.commit(skewed).await, Err(StoreError::Conflict { key, .. }) if key == "1"));
    assert!(store.get::<Parcel>("2").await.unwrap().is_none());

    let now = stored::<Parcel>(&store, "1").await;
    store.commit(Changes::new().require(&now).insert(&Parcel::new("2", "Lyon", 1))).await.unwrap();
    assert_eq!(stored::<Parcel>(&store, "1").await, now);
}

pub async fn a_required_absence_fails_once_something_is_there(subject: Subject) {
    let store = subject.store().await;
    let alone = |id| Changes::new().require_absent::<Parcel>("1").insert(&Parcel::new(id, "Lyon", 1));
    store.commit(alone("2")).await.unwrap();
    insert(&store, &Parcel::new("1", "Lyon", 1)).await.unwrap();

    assert!(matches!(store.commit(alone("3")).await, Err(StoreError::Conflict { key, .. }) if key == "1"));
    assert!(store.get::<Parcel>("3").await.unwrap().is_none());
}

pub async fn a_commit_is_whole_or_not_at_all(subject: Subject) {
    let store = subject.store().await;
    let stale = moved_after_reading(&store, "1").await;
    insert(&store, &Parcel::new("2", "Lyon", 1)).await.unwrap();
    let second = stored::<Parcel>(&store, "2").await;

    let torn = Changes::new().insert(&Parcel::new("3", "Lyon", 1)).remove(&second).replace(&stale);
    assert!(store.commit(torn.publish(&moved("3"))).await.is_err());

    assert!(store.get::<Parcel>("3").await.unwrap().is_none());
    assert_eq!(stored::<Parcel>(&store, "2").await, second);
    assert!(subject.backend.unsent(&Bookmark::default(), 10).await.unwrap().is_empty());
}

pub async fn one_change_cannot_name_a_document_twice(subject: Subject) {
    let store = subject.store().await;
    insert(&store, &Parcel::new("1", "Lyon", 1)).await.unwrap();
    let read = stored::<Parcel>(&store, "1").await;

    for twice in
        [Changes::new().require(&read).replace(&read), Changes::new().require(&read).and(Changes::new().remove(&read))]
    {
        assert!(matches!(store.commit(twice).await, Err(StoreError::Unusable(_))));
    }
    assert_eq!(stored::<Parcel>(&store, "1").await, read);
}

pub async fn what_was_not_declared_is_refused(subject: Subject) {
    drop(subject.store().await);
    let unknown = Collection { scope: "post", name: "letters" };
    assert!(matches!(subject.backend.get(unknown, "1").await, Err(StoreError::Unusable(_))));

    let parcels = Collection { scope: "post", name: Parcel::COLLECTION };
    let city = |weight: i64| IndexEntry::new("by-city", ["Lyon".into(), weight.into()]);
    for index in [
        vec![IndexEntry::new("by-city", ["Lyon".into()])],
        vec![IndexEntry::new("by-colour", ["red".into()])],
        vec![city(1), city(2)],
    ] {
        let effect = Effect::Put { body: Arc::from(*b"{}"), index };
        let write = Write { collection: parcels, key: "1".to_owned(), expect: None, effect };
        let refused = subject.backend.commit(Commit { writes: vec![write], events: Vec::new() }).await;
        assert!(matches!(refused, Err(StoreError::Unusable(_))), "{refused:?}");
    }
}

pub async fn a_unique_place_belongs_to_one_document(subject: Subject) {
    let store = subject.store().await;
    insert(&store, &Parcel::labelled("1", "red")).await.unwrap();
    insert(&store, &Parcel::labelled("2", "blue")).await.unwrap();
    insert(&store, &Parcel::new("3", "Lyon", 1)).await.unwrap();
    insert(&store, &Parcel::new("4", "Lyon", 1)).await.unwrap();

    let inserted = insert(&store, &Parcel::labelled("5", "red")).await;
    assert!(matches!(inserted, Err(StoreError::NotUnique { index: "by-label", .. })), "{inserted:?}");

    let mut second = stored::<Parcel>(&store, "2").await;
    second.doc.label = Some("red".to_owned());
    let replaced = store.commit(Changes::new().replace(&second)).await;
    assert!(matches!(replaced, Err(StoreError::NotUnique { index: "by-label", .. })), "{replaced:?}");
    assert_eq!(found(&store, "red").await, ["1"]);
    assert_eq!(found(&store, "blue").await, ["2"]);
}

pub async fn a_document_may_keep_its_place(subject: Subject) {
    let store = subject.store().await;
    insert(&store, &Parcel::labelled("1", "red")).await.unwrap();

    let mut read = stored::<Parcel>(&store, "1").await;
    read.doc.weight = 9;
    store.commit(Changes::new().replace(&read)).await.unwrap();

    assert_eq!(found(&store, "red").await, ["1"]);
}

pub async fn a_place_freed_in_the_same_commit_can_be_taken(subject: Subject) {
    let store = subject.store().await;
    insert(&store, &Parcel::labelled("1", "red")).await.unwrap();
    insert(&store, &Parcel::labelled("2", "blue")).await.unwrap();
    let (first, mut second) = (stored::<Parcel>(&store, "1").await, stored::<Parcel>(&store, "2").await);
    second.doc.label = None;

    let heir = Changes::new().insert(&Parcel::labelled("3", "red")).remove(&first);
    store.commit(heir).await.unwrap();
    let other = Changes::new().insert(&Parcel::labelled("4", "blue")).replace(&second);
    store.commit(other).await.unwrap();

    assert_eq!(found(&store, "red").await, ["3"]);
    assert_eq!(found(&store, "blue").await, ["4"]);
}

pub async fn two_documents_swap_their_places(subject: Subject) {
    let store = subject.store().await;
    insert(&store, &Parcel::labelled("1", "red")).await.unwrap();
    insert(&store, &Parcel::labelled("2", "blue")).await.unwrap();
    let (mut first, mut second) = (stored::<Parcel>(&store, "1").await, stored::<Parcel>(&store, "2").await);
    std::mem::swap(&mut first.doc.label, &mut second.doc.label);

    store.commit(Changes::new().replace(&first).replace(&second)).await.unwrap();

    assert_eq!(found(&store, "red").await, ["2"]);
    assert_eq!(found(&store, "blue").await, ["1"]);
    assert_eq!(stored::<Parcel>(&store, "1").await.revision, 2);
}

pub async fn two_documents_of_one_commit_cannot_take_one_place(subject: Subject) {
    let store = subject.store().await;
    let both = Changes::new().insert(&Parcel::labelled("1", "red")).insert(&Parcel::labelled("2", "red"));

    assert!(matches!(store.commit(both).await, Err(StoreError::NotUnique { index: "by-label", .. })));
    assert!(store.get::<Parcel>("1").await.unwrap().is_none());
}

pub async fn events_leave_in_the_order_of_their_commits(subject: Subject) {
    let store = subject.store().await;
    for id in ["1", "2", "3"] {
        let changes = Changes::new().insert(&Parcel::new(id, "Lyon", 1)).publish(&moved(id));
        store.commit(changes.publish(&moved(&format!("{id}b")))).await.unwrap();
    }

    let first = subject.backend.unsent(&Bookmark::default(), 4).await.unwrap();
    let subjects: Vec<&str> = first.iter().map(|(_, event)| event.subject.as_str()).collect();
    assert_eq!(subjects, ["1", "1b", "2", "2b"]);
    assert!(first.is_sorted_by(|(a, _), (b, _)| a < b));

    let rest = subject.backend.unsent(&first[3].0, 10).await.unwrap();
    assert_eq!(rest.len(), 2);
    let (_, event) = &rest[0];
    assert_eq!((event.source.as_str(), event.name.as_str()), ("post", "post.parcel-moved"));
    assert_eq!((event.specversion.as_str(), event.datacontenttype.as_str()), ("1.0", "application/json"));
    assert_eq!(event.event::<super::parcels::ParcelMoved>().unwrap(), moved("3"));
}

pub async fn a_sent_event_is_not_given_again(subject: Subject) {
    let store = subject.store().await;
    let three = Changes::new().publish(&moved("1")).publish(&moved("2")).publish(&moved("3"));
    store.commit(three).await.unwrap();
    let unsent = subject.backend.unsent(&Bookmark::default(), 10).await.unwrap();

    let ids = [&unsent[0], &unsent[2]].map(|(_, event)| event.id.clone());
    subject.backend.sent(ids.to_vec()).await.unwrap();

    let backend = &subject.backend;
    eventually("the second event alone is left", || async move {
        let left = backend.unsent(&Bookmark::default(), 10).await.unwrap();
        left.len() == 1 && left[0].1.subject == "2"
    })
    .await;
}

pub async fn scopes_do_not_see_each_other(subject: Subject) {
    let database = subject.database();
    let (post, customs) = (scoped(&database, "post").await, scoped(&database, "customs").await);

    insert(&post, &Parcel::labelled("1", "red")).await.unwrap();
    insert(&customs, &Parcel { city: "Nice".to_owned(), ..Parcel::labelled("1", "red") }).await.unwrap();

    assert_eq!(stored::<Parcel>(&post, "1").await.doc.city, "Lyon");
    assert_eq!(stored::<Parcel>(&customs, "1").await.doc.city, "Nice");
    assert_eq!(post.scan::<Parcel>().page(10).await.unwrap().len(), 1);
    let here = stored::<Parcel>(&post, "1").await;
    post.commit(Changes::new().remove(&here)).await.unwrap();
    assert_eq!(found(&customs, "red").await, ["1"]);
}

pub async fn what_was_committed_outlives_the_process(subject: Subject) {
    let store = subject.store().await;
    insert(&store, &Parcel::labelled("1", "red")).await.unwrap();
    let mut read = stored::<Parcel>(&store, "1").await;
    read.doc.weight = 7;
    store.commit(Changes::new().replace(&read).publish(&moved("1"))).await.unwrap();

    let store = subject.reopened().await;

    let after = stored::<Parcel>(&store, "1").await;
    assert_eq!((after.doc.weight, after.revision), (7, 2));
    assert_eq!(found(&store, "red").await, ["1"]);
    let unsent = store.backend().unsent(&Bookmark::default(), 10).await.unwrap();
    assert_eq!(unsent.iter().map(|(_, event)| event.subject.as_str()).collect::<Vec<_>>(), ["1"]);
    let old = subject.store_left_behind().commit(Commit::default()).await;
    assert!(matches!(old, Err(StoreError::Unavailable(_))), "the old handle must be cut off: {old:?}");
}

pub async fn a_commit_whose_caller_left_is_whole_or_not_at_all(subject: Subject) {
    let store = subject.store().await;
    for round in 0..50 {
        let both = [format!("a{round}"), format!("b{round}")];
        let changes = both.iter().fold(Changes::new(), |all, id| all.insert(&Parcel::new(id, "Lyon", round)));
        // Polled once, then dropped: the caller went away.
        drop(store.commit(changes.publish(&moved(&both[0]))).now_or_never());
    }
    insert(&store, &Parcel::new("last", "Lyon", 1)).await.unwrap();

    // An engine that keeps no order may still be writing some of them: then it must come out whole in the end.
    if subject.backend.ordered() {
        assert!(whole_commits(&subject, &store).await.is_some(), "a commit is torn");
    } else {
        let (subject, store) = (&subject, &store);
        eventually("no commit is torn", || async move { whole_commits(subject, store).await.is_some() }).await;
    }
}

/// How many of the fifty commits happened; `None` where one did in part, or its event is missing or too many.
async fn whole_commits(subject: &Subject, store: &Store) -> Option<usize> {
    let events = subject.backend.unsent(&Bookmark::default(), 100).await.unwrap().len();
    let mut whole = 0;
    for round in 0..50 {
        let a = store.get::<Parcel>(format!("a{round}")).await.unwrap();
        let b = store.get::<Parcel>(format!("b{round}")).await.unwrap();
        if a.is_some() != b.is_some() {
            return None;
        }
        whole += usize::from(a.is_some());
    }
    (events == whole).then_some(whole)
}

pub async fn an_empty_commit_waits_for_what_was_queued_before(subject: Subject) {
    let store = subject.store().await;
    if !subject.backend.ordered() {
        return;
    }
    let queued = store.submit(Changes::new().insert(&Parcel::new("1", "Lyon", 1)), &[]).unwrap();

    subject.backend.commit(Commit::default()).await.unwrap();

    assert!(store.get::<Parcel>("1").await.unwrap().is_some());
    queued.await.unwrap();
}

async fn found(store: &Store, label: &str) -> Vec<String> {
    let page = store.find::<Parcel>("by-label", vec![label.into()]).page(10).await.unwrap();
    page.into_iter().map(|stored| stored.doc.id).collect()
}

/// A document that was read and then changed by somebody else.
async fn moved_after_reading(store: &Store, key: &str) -> crate::Stored<Parcel> {
    insert(store, &Parcel::new(key, "Lyon", 1)).await.unwrap();
    let read = stored::<Parcel>(store, key).await;
    let mut other = read.clone();
    other.doc.city = "Nice".to_owned();
    store.commit(Changes::new().replace(&other)).await.unwrap();
    read
}

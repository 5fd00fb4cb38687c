//! Requests and events: one effect each, whoever repeats, races, refuses, fails or leaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cartwright_runtime::{Clock, Tasks};
use futures::FutureExt;
use futures::future::join_all;

use super::parcels::{Counter, Disguised, Gate, Parcel, Refusal, count, count_up, insert, scoped};
use super::{Subject, on, standing_clock};
use crate::{
    Answer, Backend, Changes, Decision, Lane, Request, Store, StoreError, change, consume, execute, forget_old,
};

const ANY: u32 = u32::MAX;

async fn counted(store: &Store, request: &Request, most: u32) -> Result<Answer<u32>, Refusal> {
    execute(store, request, Lane::of::<Counter>("c"), |view| count_up(view, "c", most)).await
}

pub async fn a_repeat_gets_the_first_answer(subject: Subject) {
    let store = subject.store().await;
    let request = Request::keyed("ada", "POST /counts", "key-1", b"body");

    assert_eq!(counted(&store, &request, ANY).await.unwrap(), Answer { reply: 1, replayed: false });
    assert_eq!(counted(&store, &request, ANY).await.unwrap(), Answer { reply: 1, replayed: true });
    let store = subject.reopened().await;
    assert_eq!(counted(&store, &request, ANY).await.unwrap(), Answer { reply: 1, replayed: true });

    for other in [Request::keyed("bob", "POST /counts", "key-1", b"body"), Request::unkeyed(), Request::unkeyed()] {
        assert!(!counted(&store, &other, ANY).await.unwrap().replayed);
    }
    assert_eq!(count(&store, "c").await, 4);
}

pub async fn a_key_with_another_body_is_refused(subject: Subject) {
    let store = subject.store().await;
    counted(&store, &Request::keyed("ada", "POST /counts", "key-1", b"body"), ANY).await.unwrap();

    let other = counted(&store, &Request::keyed("ada", "POST /counts", "key-1", b"other"), ANY).await;

    assert!(matches!(other, Err(Refusal::KeyReused(_))), "{other:?}");
    assert_eq!(count(&store, "c").await, 1);
}

pub async fn racing_repeats_have_one_effect(subject: Subject) {
    let store = subject.store().await;
    let tasks = Tasks::new();
    let request = Request::keyed("ada", "POST /counts", "key-1", b"body");

    let racers = (0..20).map(|_| {
        let (store, request) = (store.clone(), request.clone());
        tasks.detach(async move { counted(&store, &request, ANY).await.unwrap() })
    });
    let answers: Vec<Answer<u32>> = join_all(racers).await.into_iter().map(Result::unwrap).collect();

    assert!(answers.iter().all(|answer| answer.reply == 1));
    assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
    assert_eq!(count(&store, "c").await, 1);
}

pub async fn a_refusal_is_not_remembered(subject: Subject) {
    let store = subject.store().await;
    counted(&store, &Request::unkeyed(), ANY).await.unwrap();
    let request = Request::keyed("ada", "POST /counts", "key-1", b"body");

    assert!(matches!(counted(&store, &request, 1).await, Err(Refusal::Enough)));
    assert_eq!(counted(&store, &request, 2).await.unwrap(), Answer { reply: 2, replayed: false });
}

async fn two_hundred(store: &Store, lane: Lane) {
    let tasks = Tasks::new();
    let all = (0..200).map(|_| {
        let (store, lane) = (store.clone(), lane.clone());
        tasks.detach(async move { change(&store, lane, |view| count_up(view, "c", ANY)).await.unwrap() })
    });
    let mut replies: Vec<u32> = join_all(all).await.into_iter().map(Result::unwrap).collect();
    replies.sort_unstable();
    assert_eq!(replies, (1..=200).collect::<Vec<u32>>(), "each increment is seen by the next");
    assert_eq!(count(store, "c").await, 200);
}

pub async fn two_hundred_increments_all_count(subject: Subject) {
    two_hundred(&subject.store().await, Lane::of::<Counter>("c")).await;
}

pub async fn increments_count_without_a_lane_and_without_an_ordered_engine(subject: Subject) {
    let unordered = Disguised { inner: Arc::clone(&subject.backend), ordered: false, exclusive: true, gate: None };
    let store = scoped(&on(Arc::new(unordered), Clock::system()), "far").await;
    two_hundred(&store, Lane::of::<Counter>("c")).await;

    let store = subject.store().await;
    let tasks = Tasks::new();
    let ten = (0..10).map(|_| {
        let store = store.clone();
        tasks.detach(async move { change(&store, Lane::none(), |view| count_up(view, "c", ANY)).await.unwrap() })
    });
    drop(join_all(ten).await);
    assert_eq!(count(&store, "c").await, 10);
}

/// A store whose commits wait for a gate; the first one is lost when it opens.
async fn gated(subject: &Subject) -> (Arc<Disguised>, Store) {
    drop(subject.store().await);
    let gate = Some(Gate::closed());
    let held = Arc::new(Disguised { inner: Arc::clone(&subject.backend), ordered: true, exclusive: true, gate });
    let store = scoped(&on(Arc::clone(&held) as Arc<dyn Backend>, Clock::system()), "post").await;
    (held, store)
}

async fn counted_once(store: &Store, most: u32) -> Result<u32, Refusal> {
    change(store, Lane::of::<Counter>("c"), |view| count_up(view, "c", most)).await
}

pub async fn a_refusal_is_decided_on_what_is_durable(subject: Subject) {
    let (held, store) = gated(&subject).await;
    let mut first = std::pin::pin!(counted_once(&store, 1));
    let mut second = std::pin::pin!(counted_once(&store, 1));
    assert!(futures::poll!(first.as_mut()).is_pending());
    assert!(futures::poll!(second.as_mut()).is_pending(), "the queued version says enough, but it may still fail");

    held.open_the_gate();

    assert!(matches!(first.await, Err(Refusal::Store(StoreError::Unavailable(_)))));
    assert_eq!(second.await.unwrap(), 1);
    assert_eq!(count(&store, "c").await, 1);
}

pub async fn whoever_built_on_a_failed_version_decides_again(subject: Subject) {
    let (held, store) = gated(&subject).await;
    let (first, second, third) = (counted_once(&store, ANY), counted_once(&store, ANY), counted_once(&store, ANY));
    let (mut first, mut rest) = (Box::pin(first), Box::pin(async { (second.await, third.await) }));
    assert!(futures::poll!(first.as_mut()).is_pending());
    assert!(futures::poll!(rest.as_mut()).is_pending());

    held.open_the_gate();

    assert!(first.await.is_err());
    let (second, third) = rest.await;
    assert_eq!((second.unwrap(), third.unwrap()), (1, 2));
}

pub async fn what_was_read_while_queued_is_relied_on(subject: Subject) {
    let (held, store) = gated(&subject).await;
    let mut first = std::pin::pin!(counted_once(&store, ANY));
    let lane = Lane::of::<Counter>("c").with::<Counter>("copy");
    let mut second = std::pin::pin!(change(&store, lane, |view| async move {
        let count = view.get::<Counter>("c").await?.map_or(0, |counter| counter.doc.count);
        let copy = Counter { name: "copy".to_owned(), count };
        Ok::<_, Refusal>(Decision::new(Changes::new().insert(&copy), count))
    }));
    assert!(futures::poll!(first.as_mut()).is_pending());
    assert!(futures::poll!(second.as_mut()).is_pending());

    held.open_the_gate();

    assert!(first.await.is_err());
    assert_eq!(second.await.unwrap(), 0, "what never became durable must not be copied");
    assert_eq!(count(&store, "copy").await, 0);
}

pub async fn a_taken_place_is_told_and_not_fought_for(subject: Subject) {
    let store = subject.store().await;
    insert(&store, &Parcel::labelled("1", "red")).await.unwrap();
    let decisions = &AtomicU32::new(0);

    let told: Result<(), Refusal> = change(&store, Lane::none(), |_| async move {
        decisions.fetch_add(1, Ordering::Relaxed);
        Ok(Decision::new(Changes::new().insert(&Parcel::labelled("2", "red")), ()))
    })
    .await;

    assert!(matches!(told, Err(Refusal::Store(StoreError::NotUnique { .. }))), "{told:?}");
    assert!(decisions.load(Ordering::Relaxed) < 10);
}

pub async fn a_caller_that_left_does_not_hold_up_its_lane(subject: Subject) {
    let store = subject.store().await;
    for _ in 0..20 {
        drop(counted_once(&store, ANY).now_or_never());
    }
    let clock = Clock::system();
    let last = clock.timeout(Duration::from_secs(10), counted_once(&store, ANY)).await.unwrap().unwrap();
    assert_eq!(count(&store, "c").await, last);
}

async fn applied(store: &Store, consumer: &str, event: &str) -> Result<(), Refusal> {
    consume(store, consumer, event, Lane::of::<Counter>("c"), |view| async move {
        Ok(count_up(view, "c", ANY).await?.changes)
    })
    .await
}

pub async fn an_event_takes_effect_once(subject: Subject) {
    let store = subject.store().await;
    applied(&store, "counting", "event-1").await.unwrap();
    applied(&store, "counting", "event-1").await.unwrap();
    assert_eq!(count(&store, "c").await, 1);

    let tasks = Tasks::new();
    let deliveries = (0..40).map(|number| {
        let store = store.clone();
        tasks.detach(async move { applied(&store, "counting", &format!("event-{}", number % 4)).await })
    });
    for delivery in join_all(deliveries).await {
        delivery.unwrap().unwrap();
    }
    assert_eq!(count(&store, "c").await, 4);

    let store = subject.reopened().await;
    applied(&store, "counting", "event-1").await.unwrap();
    assert_eq!(count(&store, "c").await, 4);
}

pub async fn each_consumer_applies_an_event(subject: Subject) {
    let store = subject.store().await;
    applied(&store, "counting", "event-1").await.unwrap();
    applied(&store, "telling", "event-1").await.unwrap();
    assert_eq!(count(&store, "c").await, 2);
}

pub async fn old_answers_and_marks_are_forgotten(subject: Subject) {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let clock = standing_clock();
    let store = scoped(&on(Arc::clone(&subject.backend), clock.clone()), "post").await;
    let request = Request::keyed("ada", "POST /counts", "key-1", b"body");
    counted(&store, &request, ANY).await.unwrap();
    applied(&store, "counting", "event-1").await.unwrap();

    clock.advance(DAY * 6);
    assert_eq!(forget_old(&store).await.unwrap(), 0);
    clock.advance(DAY * 2);
    assert_eq!(forget_old(&store).await.unwrap(), 1);
    assert!(!counted(&store, &request, ANY).await.unwrap().replayed);
    applied(&store, "counting", "event-1").await.unwrap();
    assert_eq!(count(&store, "c").await, 3, "the mark of an event is kept longer than an answer");

    clock.advance(DAY * 23);
    assert_eq!(forget_old(&store).await.unwrap(), 2);
    assert_eq!(forget_old(&store).await.unwrap(), 0);
}

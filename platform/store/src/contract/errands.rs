//! Errands: acts on the world, each claimed by one, repeated when nobody recorded it, and recorded by nobody too late.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cartwright_runtime::{Clock, Tasks};
use futures::FutureExt;
use tokio::sync::Semaphore;

use super::parcels::{Disguised, Errand, insert, scoped, stored};
use super::{Subject, eventually, on, standing_clock};
use crate::{Backend, Changes, Database, Intent, Lease, Performer, Store, StoreError, Stored};

fn errand(name: &str, left: u32, lease: Lease) -> Errand {
    Errand { name: name.to_owned(), left, done: 0, lease: Some(lease) }
}

/// One less to do; the next part is due at once.
async fn done(store: Store, mut errand: Stored<Errand>, worked: bool) -> Result<Changes, StoreError> {
    let now = store.clock().now();
    let lease = errand.doc.lease.take().unwrap();
    if worked {
        errand.doc.left -= 1;
        errand.doc.done += 1;
        errand.doc.lease = (errand.doc.left > 0).then(|| lease.next(now));
    } else {
        errand.doc.lease = Some(lease.again(now, Duration::from_secs(5)));
    }
    Ok(Changes::new().replace(&errand))
}

/// What somebody who runs errands does, and how often.
#[derive(Clone)]
struct Runner {
    acts: Arc<AtomicU32>,
    gate: Arc<Semaphore>,
    failures: u32,
}

impl Runner {
    fn working() -> Self {
        Self { acts: Arc::default(), gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)), failures: 0 }
    }

    fn stuck() -> Self {
        Self { gate: Arc::new(Semaphore::new(0)), ..Self::working() }
    }

    fn acts(&self) -> u32 {
        self.acts.load(Ordering::SeqCst)
    }

    fn start(&self, store: &Store, tasks: &Tasks) {
        let runner = self.clone();
        let act = move |_: Errand| {
            let runner = runner.clone();
            async move {
                let before = runner.acts.fetch_add(1, Ordering::SeqCst);
                runner.gate.acquire().await.unwrap().forget();
                before >= runner.failures
            }
        };
        tasks.spawn(Performer::<Errand>::new(store.clone()).run(tasks.clone(), act, done));
    }
}

async fn finished(store: &Store, name: &str) {
    eventually("the errand is done", || async move { stored::<Errand>(store, name).await.doc.left == 0 }).await;
}

async fn drained(tasks: &Tasks) {
    assert!(tasks.drain(&Clock::system(), Duration::from_secs(30)).await);
}

/// A database that other processes may have open, too.
fn shared(backend: &Arc<dyn Backend>, clock: &Clock) -> Database {
    let inner = Arc::clone(backend);
    let ordered = inner.ordered();
    on(Arc::new(Disguised { inner, ordered, exclusive: false, gate: None }), clock.clone())
}

pub async fn an_errand_is_done_once_by_two_performers(subject: Subject) {
    let (store, tasks, runner) = (subject.store().await, Tasks::new(), Runner::working());
    runner.start(&store, &tasks);
    runner.start(&store, &tasks);

    for number in 0..20 {
        let lease = if number % 2 == 0 { Lease::due(store.clock().now()) } else { Lease::held_by(&store) };
        insert(&store, &errand(&format!("e{number}"), 1, lease)).await.unwrap();
    }
    for number in 0..20 {
        finished(&store, &format!("e{number}")).await;
    }

    drained(&tasks).await;
    assert_eq!(runner.acts(), 20);
}

pub async fn an_errand_is_done_once_by_two_processes(subject: Subject) {
    let (clock, tasks, runner) = (standing_clock(), Tasks::new(), Runner::working());
    let here = scoped(&shared(&subject.backend, &clock), "post").await;
    let there = scoped(&shared(&subject.backend, &clock), "post").await;
    for number in 0..20 {
        insert(&here, &errand(&format!("e{number}"), 1, Lease::due(clock.now()))).await.unwrap();
    }
    runner.start(&here, &tasks);
    runner.start(&there, &tasks);
    eventually("both look for what is due", || async {
        clock.advance(Duration::from_millis(100));
        runner.acts() >= 20
    })
    .await;
    for number in 0..20 {
        finished(&here, &format!("e{number}")).await;
    }

    drained(&tasks).await;
    assert_eq!(runner.acts(), 20);
}

pub async fn what_follows_from_an_errand_is_done_at_once(subject: Subject) {
    // The clock stands, so that nothing is found by looking for it: each step must be woken by the one before.
    let clock = standing_clock();
    let store = scoped(&on(Arc::clone(&subject.backend), clock), "post").await;
    let (tasks, runner) = (Tasks::new(), Runner::working());
    runner.start(&store, &tasks);
    let ready = errand("ready", 1, Lease::held_by(&store));
    eventually("the performer listens", || async {
        drop(insert(&store, &ready).await);
        let seen = stored::<Errand>(&store, "ready").await;
        if seen.doc.left > 0 {
            drop(store.commit(Changes::new().replace(&seen)).await);
        }
        seen.doc.left == 0
    })
    .await;

    insert(&store, &errand("long", 200, Lease::due(store.clock().now()))).await.unwrap();

    finished(&store, "long").await;
    drained(&tasks).await;
    assert_eq!(stored::<Errand>(&store, "long").await.doc.done, 200);
}

pub async fn a_burst_of_errands_is_not_forgotten(subject: Subject) {
    let clock = standing_clock();
    let store = scoped(&on(Arc::clone(&subject.backend), clock.clone()), "post").await;
    let (tasks, runner) = (Tasks::new(), Runner::stuck());
    runner.start(&store, &tasks);
    for hundred in 0..15 {
        let burst = (0..100).map(|number| errand(&format!("e{}", hundred * 100 + number), 1, Lease::held_by(&store)));
        let changes = burst.fold(Changes::new(), |changes, errand| changes.insert(&errand));
        store.commit(changes).await.unwrap();
    }
    let last = errand("last", 1, Lease::held_by(&store));
    drop(store.commit(Changes::new().insert(&last)).now_or_never());

    runner.gate.add_permits(10_000);
    let view = &store;
    eventually("all are done before their leases end", || async {
        clock.advance(Duration::from_millis(4));
        view.find::<Errand>(Errand::DUE, Vec::new()).page(1).await.unwrap().is_empty()
    })
    .await;
    drained(&tasks).await;
}

pub async fn a_failed_errand_is_done_again_when_due(subject: Subject) {
    let clock = standing_clock();
    let store = scoped(&on(Arc::clone(&subject.backend), clock.clone()), "post").await;
    insert(&store, &errand("e", 1, Lease::due(clock.now()))).await.unwrap();
    let (tasks, runner) = (Tasks::new(), Runner { failures: 1, ..Runner::working() });
    runner.start(&store, &tasks);

    let view = &store;
    eventually("the failure is recorded", || async {
        clock.advance(Duration::from_millis(100));
        stored::<Errand>(view, "e").await.doc.lease.is_some_and(|lease| lease.failures == 1)
    })
    .await;
    let lease = stored::<Errand>(&store, "e").await.doc.lease.unwrap();
    assert_eq!((lease.holder, lease.fence), (None, 1));
    assert_eq!(runner.acts(), 1);

    eventually("the errand is due again and done", || async {
        clock.advance(Duration::from_millis(500));
        stored::<Errand>(view, "e").await.doc.left == 0
    })
    .await;
    drained(&tasks).await;
    assert_eq!(runner.acts(), 2);
}

pub async fn a_lease_that_ran_out_is_taken_over_and_its_holder_records_nothing(subject: Subject) {
    let (clock, tasks, later) = (standing_clock(), Tasks::new(), Tasks::new());
    let here = scoped(&shared(&subject.backend, &clock), "post").await;
    let there = scoped(&shared(&subject.backend, &clock), "post").await;
    let (first, second) = (Runner::stuck(), Runner::stuck());
    insert(&here, &errand("e", 3, Lease::due(clock.now()))).await.unwrap();
    first.start(&here, &tasks);
    eventually("the first holder acts", || async {
        clock.advance(Duration::from_millis(100));
        first.acts() == 1
    })
    .await;

    second.start(&there, &later);
    clock.advance(Duration::from_secs(10));
    assert_eq!(second.acts(), 0, "a lease that runs is left alone");
    second.gate.add_permits(1);
    eventually("the second holder takes over, and goes on to the next part", || async {
        clock.advance(Duration::from_secs(1));
        second.acts() == 2
    })
    .await;
    let taken_over = stored::<Errand>(&there, "e").await;
    assert_eq!(taken_over.doc.done, 1);

    first.gate.add_permits(1);
    drained(&tasks).await;
    assert_eq!(stored::<Errand>(&here, "e").await, taken_over, "the fence refuses what the first holder brings");
    second.gate.add_permits(2);
    finished(&there, "e").await;
    drained(&later).await;
    assert_eq!(stored::<Errand>(&there, "e").await.doc.done, 3);
}

pub async fn what_is_written_during_an_act_is_acted_on_after_it(subject: Subject) {
    // The clock stands: whoever is turned away because somebody acts already must not be forgotten.
    let clock = standing_clock();
    let store = scoped(&on(Arc::clone(&subject.backend), clock.clone()), "post").await;
    let (tasks, runner) = (Tasks::new(), Runner::stuck());
    insert(&store, &errand("e", 1, Lease::held_by(&store))).await.unwrap();
    runner.start(&store, &tasks);
    eventually("the act has begun", || async { runner.acts() == 1 }).await;

    let mut renewed = stored::<Errand>(&store, "e").await;
    renewed.doc.lease = Some(Lease { fence: 7, ..Lease::due(clock.now()) });
    store.commit(Changes::new().replace(&renewed)).await.unwrap();
    insert(&store, &errand("next", 1, Lease::held_by(&store))).await.unwrap();
    eventually("both were looked at", || async { runner.acts() == 2 }).await;
    runner.gate.add_permits(3);

    finished(&store, "e").await;
    finished(&store, "next").await;
    drained(&tasks).await;
    assert_eq!(runner.acts(), 3);
}

pub async fn leases_of_an_earlier_process_are_taken_over_at_the_start(subject: Subject) {
    let clock = standing_clock();
    let earlier = scoped(&on(Arc::clone(&subject.backend), clock.clone()), "post").await;
    insert(&earlier, &errand("e", 1, Lease::held_by(&earlier))).await.unwrap();

    let later = scoped(&on((subject.reopen)(), clock), "post").await;
    let (tasks, runner) = (Tasks::new(), Runner::working());
    runner.start(&later, &tasks);

    // The clock stands: without the exclusive store the lease would run for another 30 s.
    if later.exclusive() {
        finished(&later, "e").await;
        assert_eq!(stored::<Errand>(&later, "e").await.doc.done, 1);
    }
    drained(&tasks).await;
}

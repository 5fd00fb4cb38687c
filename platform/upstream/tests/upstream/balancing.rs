//! Who gets a call.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::Method;
use cartwright_runtime::{Clock, Ids, Tasks};
use cartwright_upstream::{InstanceState, Options, Resolve, Targets, Upstream};
use futures::StreamExt as _;
use futures::future::BoxFuture;

use crate::host::{Host, at, call, quick, until, upstream, whole};

#[tokio::test]
async fn the_fast_instance_gets_most_of_the_calls() {
    let slow = Host::at("127.0.0.1:0", Duration::from_millis(80)).await;
    let fast = Host::start().await;
    let upstream = upstream(&[&slow, &fast], Options::default());

    let calls = futures::stream::iter(0..400).map(async |_| whole(call(&upstream, Method::GET, "/count").await).await);
    let answers: Vec<_> = calls.buffer_unordered(4).collect().await;

    assert!(answers.iter().all(|answer| *answer == (200, "counted".to_owned())));
    assert_eq!(slow.count() + fast.count(), 400);
    assert!(fast.count() > 300, "the fast one got {} of 400", fast.count());
}

#[tokio::test]
async fn an_instance_that_is_leaving_gets_no_new_calls_and_none_fails() {
    let (leaving, staying) = (Host::start().await, Host::start().await);
    let upstream = upstream(&[&leaving, &staying], quick());
    let tasks = Tasks::new();
    upstream.start(&tasks);
    until(|| upstream.snapshot().iter().all(|view| view.state == InstanceState::Ready)).await;
    let address = leaving.address;
    let state = || upstream.snapshot().into_iter().find(|view| view.address == address).unwrap().state;

    leaving.is_ready.store(false, Ordering::SeqCst);
    until(|| state() == InstanceState::Unready).await;
    let before = leaving.count();
    for _ in 0..50 {
        assert_eq!(whole(call(&upstream, Method::POST, "/count").await).await.0, 200);
    }

    assert_eq!((leaving.count(), staying.count()), (before, 50));
    leaving.kill().await;
    assert_eq!(whole(call(&upstream, Method::POST, "/count").await).await.0, 200);
    assert!(upstream.is_ready());
    staying.is_ready.store(false, Ordering::SeqCst);
    until(|| !upstream.is_ready()).await;
    tasks.stop();
}

/// A resolver that says what the test tells it to.
#[derive(Default)]
struct Told(Mutex<Vec<SocketAddr>>);

impl Told {
    fn tell(&self, addresses: &[SocketAddr]) {
        *self.0.lock().unwrap() = addresses.to_vec();
    }
}

impl Resolve for Told {
    fn lookup<'a>(&'a self, name: &'a str, _: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        assert_eq!(name, "parcels.local");
        let addresses = self.0.lock().unwrap().clone();
        let found = if addresses.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(addresses) };
        Box::pin(std::future::ready(found))
    }
}

fn named(resolver: &Arc<Told>) -> Upstream {
    let clock = Clock::system();
    let (targets, ids) = (Targets::parse("http://parcels.local:4000").unwrap(), Ids::seeded(clock.clone(), 1));
    Upstream::with_resolver("parcels", targets, quick(), None, clock, ids, Arc::clone(resolver) as Arc<dyn Resolve>)
        .unwrap()
}

#[tokio::test]
async fn all_addresses_of_a_name_are_called_and_one_that_goes_finishes_what_it_has() {
    let one = Host::start().await;
    let two = Host::at(&format!("127.0.0.2:{}", one.address.port()), Duration::ZERO).await;
    let resolver = Arc::new(Told::default());
    resolver.tell(&[one.address, two.address]);
    let upstream = named(&resolver);
    let tasks = Tasks::new();
    upstream.start(&tasks);

    // The first calls come before the name is resolved, and wait for it.
    for _ in 0..60 {
        assert_eq!(whole(call(&upstream, Method::GET, "/count").await).await.0, 200);
    }
    assert!(one.count() > 0 && two.count() > 0, "{} and {}", one.count(), two.count());

    resolver.tell(&[two.address]);
    until(|| upstream.snapshot().len() == 1).await;
    resolver.tell(&[one.address, two.address]);
    until(|| upstream.snapshot().len() == 2).await;
    let (slow, ()) = futures::join!(call(&upstream, Method::POST, "/slow"), async {
        tokio::select! {
            () = one.reached.notified() => resolver.tell(&[two.address]),
            () = two.reached.notified() => resolver.tell(&[one.address]),
        }
        until(|| upstream.snapshot().len() == 1).await;
        one.gate.notify_one();
        two.gate.notify_one();
    });
    assert_eq!(whole(slow).await, (200, "done".to_owned()));
    tasks.stop();
}

#[tokio::test]
async fn a_name_that_cannot_be_resolved_keeps_its_addresses() {
    let host = Host::start().await;
    let resolver = Arc::new(Told::default());
    resolver.tell(&[host.address]);
    let upstream = named(&resolver);
    let tasks = Tasks::new();
    upstream.start(&tasks);
    until(|| upstream.snapshot().len() == 1).await;

    resolver.tell(&[]);
    Clock::system().pause(Duration::from_millis(100)).await;

    assert_eq!(whole(call(&upstream, Method::GET, "/count").await).await.0, 200);
    tasks.stop();
}

#[tokio::test]
async fn what_is_under_way_counts_until_the_end_of_the_body() {
    let host = Host::start().await;
    let upstream = upstream(&[&host], Options::default());
    let answer = call(&upstream, Method::GET, "/count").await.unwrap();
    assert_eq!(upstream.snapshot()[0].in_flight, 1);
    drop(whole(Ok(answer)).await);
    assert_eq!(upstream.snapshot()[0].in_flight, 0);
}

#[tokio::test]
async fn an_instance_that_only_makes_errors_is_passed_over() {
    let (broken, sound) = (Host::start().await, Host::start().await);
    let all = upstream(&[&broken, &sound], Options::default());
    let only = at(&format!("http://{}", broken.address), Options::default());
    for _ in 0..30 {
        assert_eq!(whole(call(&only, Method::GET, "/error").await).await.0, 500);
    }
    assert_eq!(only.snapshot()[0].state, InstanceState::Untried, "the only one was passed over");

    for _ in 0..60 {
        assert_eq!(whole(call(&all, Method::GET, "/error").await).await.0, 500);
    }
    let states: BTreeSet<_> = all.snapshot().iter().map(|view| format!("{:?}", view.state)).collect();
    assert_eq!(states, BTreeSet::from(["Ejected".to_owned(), "Untried".to_owned()]), "half of them stay");
}

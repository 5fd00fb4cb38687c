//! Hints, and what a bad wire does not do to them.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use cartwright_bus::{Broadcast, BrokerError, Hints, Wire};
use cartwright_runtime::{Clock, Tasks};
use futures::StreamExt as _;
use futures::future;
use futures::stream::{self, BoxStream};
use tokio::sync::broadcast;

/// A wire on which everybody hears everything, themselves too.
struct Loud(broadcast::Sender<String>);

#[async_trait]
impl Wire for Loud {
    async fn send(&self, text: &str) -> Result<(), BrokerError> {
        self.0.send(text.to_owned()).map(drop).map_err(|error| BrokerError(error.to_string()))
    }

    async fn listen(&self) -> Result<BoxStream<'static, String>, BrokerError> {
        let receiver = self.0.subscribe();
        let texts = stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await.ok()?, receiver)) });
        Ok(texts.boxed())
    }
}

/// A wire that takes one text and never lets go of it.
#[derive(Default)]
struct Stuck(AtomicUsize);

#[async_trait]
impl Wire for Stuck {
    async fn send(&self, _text: &str) -> Result<(), BrokerError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        future::pending().await
    }

    async fn listen(&self) -> Result<BoxStream<'static, String>, BrokerError> {
        future::pending().await
    }
}

async fn comes_soon(hints: &mut Hints) -> bool {
    Clock::system().timeout(Duration::from_millis(200), hints.next()).await.is_some()
}

#[tokio::test]
async fn a_hint_is_heard_once_here_and_in_the_other_process_and_goes_no_further() {
    let (wire, tasks) = (Arc::new(Loud(broadcast::channel(16).0)), Tasks::new());
    let mut sent = wire.0.subscribe();
    let (here, there) = (Broadcast::wired(wire.clone(), &tasks), Broadcast::wired(wire.clone(), &tasks));
    let watch = Clock::system().stopwatch();
    while wire.0.receiver_count() < 3 {
        assert!(watch.elapsed() < Duration::from_secs(10), "somebody does not listen");
        Clock::system().pause(Duration::from_millis(1)).await;
    }
    let (mut near, mut far) = (here.listen("order 1"), there.listen("order 1"));

    here.hint("order 1");

    assert!(comes_soon(&mut near).await && comes_soon(&mut far).await);
    assert!(!comes_soon(&mut near).await, "the process does not listen to itself");
    assert!(sent.recv().await.unwrap().ends_with(" order 1"));
    assert!(sent.try_recv().is_err(), "what was heard is not sent again");
    tasks.stop();
}

#[tokio::test]
async fn a_stuck_wire_holds_up_nobody_who_hints() {
    let (wire, tasks) = (Arc::new(Stuck::default()), Tasks::new());
    let hints = Broadcast::wired(wire.clone(), &tasks);
    let mut near = hints.listen("order 1");

    for _ in 0..100_000 {
        hints.hint("order 1");
    }

    assert!(comes_soon(&mut near).await);
    assert!(!comes_soon(&mut near).await, "all of them arrived as one");
    assert_eq!(wire.0.load(Ordering::SeqCst), 1);
    assert!(tasks.drain(&Clock::system(), Duration::from_secs(5)).await, "it ends with the program");
}

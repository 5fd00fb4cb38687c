//! What a wire promises: little, but again after it was cut.

use std::sync::Arc;
use std::time::Duration;

use cartwright_runtime::Clock;

use super::Site;
use super::town::Process;
use crate::{Broadcast, Hints};

/// A hint in one process is heard in the other, and those of other topics are not.
pub async fn hints_reach_the_other_process(site: impl Site) {
    let site: Arc<dyn Site> = Arc::new(site);
    let (one, other) = (Process::start(&site).await, Process::start(&site).await);
    let (here, there) = (one.broadcast(&site).await, other.broadcast(&site).await);
    let (mut wanted, mut back) = (there.listen("order 1"), here.listen("order 2"));

    until_heard(&here, "order 1", &mut wanted).await;
    until_heard(&there, "order 2", &mut back).await;

    let mut unwanted = there.listen("order 3");
    until_heard(&here, "order 1", &mut wanted).await;
    assert!(!comes_soon(&mut unwanted).await, "nobody hinted that");
}

/// Hints are lost meanwhile, but nobody who waits is forgotten.
pub async fn hints_pass_again_when_the_wire_is_whole(site: impl Site) {
    let site: Arc<dyn Site> = Arc::new(site);
    let (one, other) = (Process::start(&site).await, Process::start(&site).await);
    let (here, there) = (one.broadcast(&site).await, other.broadcast(&site).await);
    let (mut wanted, mut forgotten) = (there.listen("order 1"), there.listen("order 2"));
    until_heard(&here, "order 1", &mut wanted).await;

    site.kill().await;
    here.hint("order 2");
    site.start_again().await;

    let missed = Clock::system().timeout(Duration::from_secs(60), forgotten.next()).await;
    missed.expect("whoever waited is told to look once the wire is whole");
    until_heard(&here, "order 1", &mut wanted).await;
}

/// Hints until it is heard: at first nobody may listen yet.
async fn until_heard(from: &Broadcast, topic: &str, hints: &mut Hints) {
    let watch = Clock::system().stopwatch();
    loop {
        from.hint(topic);
        if comes_soon(hints).await {
            return;
        }
        assert!(watch.elapsed() < Duration::from_secs(60), "{topic} is not heard");
    }
}

async fn comes_soon(hints: &mut Hints) -> bool {
    Clock::system().timeout(Duration::from_millis(100), hints.next()).await.is_some()
}

//! The turn of each subject: what happened to one thing is handled in the order in which it arrived.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The queue of each subject that anybody waits for. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Turns(Arc<Mutex<Queues>>);

#[derive(Default)]
struct Queues {
    last: u64,
    by_subject: HashMap<String, Tail>,
}

/// Who came last, and the word that it is done.
struct Tail {
    number: u64,
    done: oneshot::Receiver<()>,
}

impl Turns {
    /// A place at the end of the queue of `subject`.
    pub(crate) fn queue(&self, subject: String) -> Place {
        let (sender, done) = oneshot::channel();
        let mut queues = self.locked();
        queues.last += 1;
        let number = queues.last;
        let before = queues.by_subject.insert(subject.clone(), Tail { number, done }).map(|tail| tail.done);
        Place { turns: self.clone(), subject, number, before, _done: sender }
    }

    fn locked(&self) -> MutexGuard<'_, Queues> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in a queue; the next one's turn comes when it is dropped.
pub(crate) struct Place {
    turns: Turns,
    subject: String,
    number: u64,
    before: Option<oneshot::Receiver<()>>,
    _done: oneshot::Sender<()>,
}

impl Place {
    /// Waits until everybody before this place has left.
    pub(crate) async fn turn(&mut self) {
        if let Some(before) = self.before.take() {
            // Nothing is ever sent: whoever leaves drops the other end.
            drop(before.await);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut queues = self.turns.locked();
        if queues.by_subject.get(&self.subject).is_some_and(|tail| tail.number == self.number) {
            drop(queues.by_subject.remove(&self.subject));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn one_subject_is_served_in_order_and_another_at_once() {
        let turns = Turns::default();
        let first = turns.queue("a".to_owned());
        let mut second = turns.queue("a".to_owned());
        let mut other = turns.queue("b".to_owned());

        assert!(other.turn().now_or_never().is_some());
        let mut waiting = Box::pin(second.turn());
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(first);
        assert!(waiting.as_mut().now_or_never().is_some());
    }

    #[test]
    fn a_queue_that_everybody_left_is_forgotten() {
        let turns = Turns::default();
        drop((turns.queue("a".to_owned()), turns.queue("a".to_owned()), turns.queue("b".to_owned())));
        assert!(turns.locked().by_subject.is_empty());
    }
}

//! Bodies on their way: one that can be sent again, and one whose end is noted.
//!
//! A body that was not begun, or of which all that was read is still at hand, can go to another instance. No more than a set
//! number of bytes is ever kept, and nothing once an answer has begun.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use cartwright_http::BodyTooSlow;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

use crate::instance::Occupancy;

/// The body of a call, which is lent to one attempt at a time.
pub(crate) struct CallBody(Option<Arc<Mutex<Source>>>);

struct Source {
    body: Body,
    kept: Vec<Bytes>,
    room_bytes: usize,
    /// Whether all that was read from the body is among what is kept.
    is_whole: bool,
    /// How the sender of the body failed us, where it did.
    failed: Option<SenderFailed>,
    loans: u32,
}

/// How whoever sends a body failed to send it to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SenderFailed {
    /// It took too long.
    TooSlow,
    /// It broke off.
    Broken,
}

/// A body that was lent to an attempt which is over.
#[derive(Debug, thiserror::Error)]
#[error("the request goes on elsewhere")]
struct TakenBack;

impl CallBody {
    pub(crate) fn new(body: Body, keep_bytes_max: usize) -> Self {
        if body.is_end_stream() {
            return Self(None);
        }
        Self(Some(Arc::new(Mutex::new(Source {
            body,
            kept: Vec::new(),
            room_bytes: keep_bytes_max,
            is_whole: true,
            failed: None,
            loans: 0,
        }))))
    }

    /// The whole body for one attempt, taken from any attempt before; `None` where a part of it is gone.
    pub(crate) fn lend(&self) -> Option<Body> {
        let Some(shared) = &self.0 else { return Some(Body::empty()) };
        let mut source = lock(shared);
        if !source.is_whole || source.failed.is_some() {
            return None;
        }
        source.loans += 1;
        let (loan, again) = (source.loans, source.kept.iter().cloned().collect());
        drop(source);
        Some(Body::new(Loan { source: Arc::clone(shared), loan, again }))
    }

    /// How whoever sends the body failed to send it to its end, where that is so.
    pub(crate) fn failed(&self) -> Option<SenderFailed> {
        self.0.as_ref().and_then(|shared| lock(shared).failed)
    }
}

impl Drop for CallBody {
    /// Nobody will ask for the body again.
    fn drop(&mut self) {
        if let Some(shared) = &self.0 {
            let mut source = lock(shared);
            source.is_whole = false;
            source.kept = Vec::new();
        }
    }
}

fn lock(source: &Mutex<Source>) -> MutexGuard<'_, Source> {
    source.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Source {
    fn keep(&mut self, frame: &Frame<Bytes>) {
        let data = frame.data_ref().filter(|data| data.len() <= self.room_bytes);
        match data {
            Some(data) if self.is_whole => {
                self.room_bytes -= data.len();
                self.kept.push(data.clone());
            }
            _ => {
                self.is_whole = false;
                self.kept = Vec::new();
            }
        }
    }
}

struct Loan {
    source: Arc<Mutex<Source>>,
    loan: u32,
    again: VecDeque<Bytes>,
}

impl HttpBody for Loan {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        let mut source = lock(&this.source);
        if source.loans != this.loan {
            return Poll::Ready(Some(Err(TakenBack.into())));
        }
        if let Some(data) = this.again.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let polled = Pin::new(&mut source.body).poll_frame(cx);
        Poll::Ready(match std::task::ready!(polled) {
            Some(Ok(frame)) => {
                source.keep(&frame);
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                let is_slow = BodyTooSlow::is_behind(&error);
                source.failed = Some(if is_slow { SenderFailed::TooSlow } else { SenderFailed::Broken });
                Some(Err(error.into()))
            }
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.again.is_empty() && lock(&self.source).body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = lock(&self.source).body.size_hint();
        let again: u64 = self.again.iter().map(|data| data.len() as u64).sum();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + again);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + again);
        }
        hint
    }
}

/// The body of an answer. The instance is occupied by it until its end.
pub(crate) struct AnswerBody {
    body: Incoming,
    _occupancy: Option<Occupancy>,
}

impl AnswerBody {
    pub(crate) const fn new(body: Incoming, occupancy: Option<Occupancy>) -> Self {
        Self { body, _occupancy: occupancy }
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::to_bytes;
    use futures::StreamExt as _;

    fn streamed(parts: &[&'static str]) -> Body {
        let parts: Vec<_> = parts.iter().map(|part| Ok::<_, std::io::Error>(*part)).collect();
        Body::from_stream(futures::stream::iter(parts))
    }

    async fn text(body: Body) -> String {
        String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_body_that_was_half_read_is_lent_again_as_a_whole() {
        let call = CallBody::new(streamed(&["one ", "two ", "three"]), 100);
        let mut first = call.lend().unwrap().into_data_stream();
        assert_eq!(first.next().await.unwrap().unwrap(), "one ");
        let second = call.lend().unwrap();
        assert!(first.next().await.unwrap().is_err(), "one body went on in two places");
        assert_eq!(text(second).await, "one two three");
    }

    #[tokio::test]
    async fn a_body_of_which_a_part_is_gone_is_not_lent_again() {
        let call = CallBody::new(streamed(&["much", "more"]), 5);
        assert_eq!(text(call.lend().unwrap()).await, "muchmore");
        assert!(call.lend().is_none());
        assert_eq!(text(CallBody::new(Body::empty(), 0).lend().unwrap()).await, "");
    }

    #[tokio::test]
    async fn a_known_length_stays_known_the_second_time() {
        let call = CallBody::new(Body::from("twelve bytes"), 100);
        for _ in 0..2 {
            assert_eq!(call.lend().unwrap().size_hint().exact(), Some(12));
            assert_eq!(text(call.lend().unwrap()).await, "twelve bytes");
        }
    }
}

//! The two directions of a socket, and two bodies, that tell what happens on them.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use cartwright_runtime::{Clock, Tasks};
use futures::future::BoxFuture;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::activity::{Activity, UnderWay};

/// A socket, as bytes leave it: notes whether the client takes them. Stands below TLS, which takes more than it sends.
pub(crate) struct Outbound<S> {
    socket: S,
    activity: Arc<Activity>,
}

impl<S> Outbound<S> {
    pub(crate) fn new(socket: S, activity: Arc<Activity>) -> Self {
        Self { socket, activity }
    }

    fn note<T>(&self, written: Poll<T>) -> Poll<T> {
        match &written {
            Poll::Ready(_) => self.activity.sent(),
            Poll::Pending => self.activity.stalled(),
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Outbound<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Outbound<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// A socket, as bytes come from it: notes that they do. Stands above TLS, where bytes are those of a request.
pub(crate) struct Inbound<S> {
    socket: S,
    activity: Arc<Activity>,
}

impl<S> Inbound<S> {
    pub(crate) fn new(socket: S, activity: Arc<Activity>) -> Self {
        Self { socket, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Inbound<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.activity.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Inbound<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// Why a body broke off: it did not end in time.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the body did not end in time")]
pub struct BodyTooSlow;

impl BodyTooSlow {
    /// Whether this is what `error` says, or what is behind it.
    pub fn is_behind(error: &(dyn std::error::Error + 'static)) -> bool {
        std::iter::successors(Some(error), |cause| cause.source()).any(|cause| cause.is::<Self>())
    }
}

/// What an ordinary body has at most. A larger one, where a route takes it, gets the time of one for each so many bytes.
const PORTION_BYTES: usize = 256 * 1024;

/// The body of a request, which has to end in time. The timer is made only where the body is waited for.
pub(crate) struct RequestBody {
    body: Incoming,
    clock: Clock,
    limit: Duration,
    timer: Option<BoxFuture<'static, ()>>,
    portion_bytes: usize,
}

impl RequestBody {
    pub(crate) fn new(body: Incoming, clock: Clock, limit: Duration) -> Self {
        Self { body, clock, limit, timer: None, portion_bytes: 0 }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        // A body that trickles fast enough to be always ready must not outrun its timer.
        if let Some(timer) = &mut this.timer
            && timer.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Some(Err(BodyTooSlow.into())));
        }
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.portion_bytes += frame.as_ref().and_then(|frame| frame.as_ref().ok()).map_or(0, bytes_in);
            if this.portion_bytes >= PORTION_BYTES {
                (this.portion_bytes, this.timer) = (0, None);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let timer = this.timer.get_or_insert_with(|| {
            let (clock, limit) = (this.clock.clone(), this.limit);
            Box::pin(async move { clock.pause(limit).await })
        });
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Some(Err(BodyTooSlow.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn bytes_in(frame: &Frame<Bytes>) -> usize {
    frame.data_ref().map_or(0, Bytes::len)
}

/// The body of a response. The request is under way until it has been handed to the connection; an event stream, which
/// has no end of its own, ends when the program stops.
pub(crate) struct ResponseBody {
    body: Body,
    until: Option<BoxFuture<'static, ()>>,
    _under_way: UnderWay,
}

impl ResponseBody {
    pub(crate) fn new(body: Body, under_way: UnderWay) -> Self {
        Self { body, until: None, _under_way: under_way }
    }

    pub(crate) fn ending_with(mut self, tasks: Tasks) -> Self {
        self.until = Some(Box::pin(async move { tasks.stopped().await }));
        self
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Some(until) = &mut self.until
            && until.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(None);
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

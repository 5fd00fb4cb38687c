//! The accept loop: HTTP/1.1 and HTTP/2 on one port, with TLS or without, within [`Limits`], with an orderly end (R-H 1,
//! R-O 1).
//!
//! Promises that silent, half-sent, trickling and unread connections end in time while others are served, that a
//! handshake holds up nobody else, and that a request which was accepted before the stop is answered if it ends within
//! the drain.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::io::Write as _;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, Request, Response, StatusCode, Version, header};
use cartwright_runtime::{Clock, Tasks};
use hyper::body::{Body as _, Incoming};
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower::Service as _;

use crate::activity::Activity;
use crate::tls::{PeerIdentity, Tls};
use crate::watched::{Inbound, Outbound, RequestBody, ResponseBody};
use crate::{Limits, Problem};

/// What hyper buffers of a header before it refuses by itself; far above what [`crate::layers`] lets through with a
/// problem document.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Streams at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    Draining,
    Cut,
}

/// Serves `router` on `listener`, without TLS, until `tasks` are told to stop and what was under way has ended.
///
/// Every request carries [`ConnectInfo<SocketAddr>`]. After the stop nothing is accepted, connections are told to close,
/// event streams end, and requests under way have `limits.drain_ms`. Gives the number of connections that had to be cut.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, clock: Clock, tasks: Tasks) -> usize {
    accept(listener, router, None, limits, clock, tasks).await
}

/// Like [`serve`], with TLS. Behind [`Tls::mutual`] every request carries the [`PeerIdentity`] of its connection too.
pub async fn serve_tls(
    listener: TcpListener,
    router: Router,
    tls: Tls,
    limits: Limits,
    clock: Clock,
    tasks: Tasks,
) -> usize {
    accept(listener, router, Some(tls), limits, clock, tasks).await
}

async fn accept(
    listener: TcpListener,
    router: Router,
    tls: Option<Tls>,
    limits: Limits,
    clock: Clock,
    tasks: Tasks,
) -> usize {
    let (phase, watched) = watch::channel(Phase::Open);
    let room = Arc::new(Semaphore::new(limits.connections_max.min(Semaphore::MAX_PERMITS)));
    let server = Server {
        router: router.with_state(()),
        tls,
        builder: builder(&tasks),
        crowd: Arc::default(),
        room: Arc::clone(&room),
        limits,
        clock: clock.clone(),
        tasks: tasks.clone(),
        phase: watched,
    };
    let server = Arc::new(server);
    loop {
        let accepted = tokio::select! {
            biased;
            () = tasks.stopped() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => server.open(stream, peer),
            Err(error) => {
                // Without free file descriptors `accept` fails at once and would spin.
                tracing::warn!(%error, "a connection could not be accepted");
                clock.pause(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    phase.send_replace(Phase::Draining);
    let all = u32::try_from(limits.connections_max).unwrap_or(u32::MAX);
    let ended = tokio::select! {
        biased;
        ended = room.acquire_many(all) => ended.is_ok(),
        () = clock.pause(Duration::from_millis(limits.drain_ms)) => false,
    };
    let left = if ended { 0 } else { limits.connections_max.saturating_sub(room.available_permits()) };
    phase.send_replace(Phase::Cut);
    left
}

fn builder(tasks: &Tasks) -> Builder<Background> {
    let mut builder = Builder::new(Background(tasks.clone()));
    builder.http1().header_read_timeout(None).max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(10));
    builder
}

/// Runs the streams of HTTP/2 connections where the drain waits for them.
#[derive(Clone)]
struct Background(Tasks);

impl<F> Executor<F> for Background
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, work: F) {
        self.0.spawn(async move { drop(work.await) });
    }
}

/// Who is at the other end of a connection.
struct Client {
    address: SocketAddr,
    identity: Option<PeerIdentity>,
}

struct Server {
    router: Router,
    tls: Option<Tls>,
    builder: Builder<Background>,
    crowd: Arc<Crowd>,
    room: Arc<Semaphore>,
    limits: Limits,
    clock: Clock,
    tasks: Tasks,
    phase: watch::Receiver<Phase>,
}

impl Server {
    /// Serves a connection in the background, or refuses it where there are too many.
    fn open(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() else {
            return self.refuse(stream, StatusCode::SERVICE_UNAVAILABLE, "There are too many connections.");
        };
        let Some(place) = self.crowd.enter(peer.ip(), &self.limits) else {
            return self.refuse(
                stream,
                StatusCode::TOO_MANY_REQUESTS,
                "There are too many connections from your address.",
            );
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection ended before it was served");
            return;
        }
        let server = Arc::clone(self);
        self.tasks.spawn(async move { server.converse(stream, peer, permit, place).await });
    }

    /// Answers and closes, where that can be done without a handshake.
    fn refuse(&self, stream: TcpStream, status: StatusCode, detail: &str) {
        if self.tls.is_none() {
            refuse(stream, status, detail);
        }
    }

    async fn converse(&self, stream: TcpStream, peer: SocketAddr, _permit: OwnedSemaphorePermit, _place: Place) {
        let activity = Activity::new(&self.clock);
        let socket = Outbound::new(stream, Arc::clone(&activity));
        let Some(tls) = &self.tls else {
            return self.talk(socket, &Client { address: peer, identity: None }, &activity).await;
        };
        let limit = Duration::from_millis(self.limits.first_byte_ms);
        let shaken = tokio::select! {
            biased;
            () = self.tasks.stopped() => return,
            shaken = tls.accept(socket, peer) => shaken,
            () = self.clock.pause(limit) => return tracing::debug!(%peer, "a handshake did not end in time"),
        };
        let Some((socket, identity)) = shaken else { return };
        activity.welcomed();
        self.talk(socket, &Client { address: peer, identity }, &activity).await;
    }

    /// Serves the requests of one connection until it ends, has to, or is overdue.
    async fn talk<S>(&self, socket: S, client: &Client, activity: &Arc<Activity>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let peer = client.address;
        let service = service_fn(|request| self.answer(request, client, activity));
        let socket = TokioIo::new(Inbound::new(socket, Arc::clone(activity)));
        let mut connection = pin!(self.builder.serve_connection(socket, service));
        let mut phase = self.phase.clone();
        let tick = tick(&self.limits);
        loop {
            // Marks the phase as seen, so that the stop between two rounds is not missed.
            match *phase.borrow_and_update() {
                Phase::Open => {}
                Phase::Draining => connection.as_mut().graceful_shutdown(),
                Phase::Cut => {
                    return tracing::warn!(%peer, "a connection was cut: its request did not end in the drain");
                }
            }
            tokio::select! {
                biased;
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%peer, error, "a connection broke");
                    }
                    return;
                }
                _ = phase.changed() => {}
                () = self.clock.pause(tick) => {
                    if let Some(why) = activity.overdue(&self.limits) {
                        return tracing::debug!(%peer, why, "a connection was closed");
                    }
                }
            }
        }
    }

    /// Hands a request to the router. Does nothing before it is polled, so that a dropped one never starts.
    fn answer(
        &self,
        request: Request<Incoming>,
        client: &Client,
        activity: &Arc<Activity>,
    ) -> impl Future<Output = Result<Response<ResponseBody>, Infallible>> + Send + use<> {
        let version = request.version();
        let under_way = activity.begin(version);
        let mut request = request.map(|body| self.timed(body));
        request.extensions_mut().insert(ConnectInfo(client.address));
        if let Some(identity) = &client.identity {
            request.extensions_mut().insert(identity.clone());
        }
        let answer = self.router.clone().call(request);
        let tasks = self.tasks.clone();
        async move {
            let mut response = answer.await?;
            if version < Version::HTTP_2 && tasks.is_stopping() {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            let is_stream = is_event_stream(&response);
            Ok(response.map(|body| {
                let body = ResponseBody::new(body, under_way);
                if is_stream { body.ending_with(tasks) } else { body }
            }))
        }
    }

    fn timed(&self, body: Incoming) -> Body {
        if body.is_end_stream() {
            return Body::empty();
        }
        Body::new(RequestBody::new(body, self.clock.clone(), Duration::from_millis(self.limits.body_ms)))
    }
}

fn is_event_stream<B>(response: &Response<B>) -> bool {
    let media = response.headers().get(header::CONTENT_TYPE);
    media.is_some_and(|media| media.as_bytes().starts_with(b"text/event-stream"))
}

/// How often a connection is looked at: often enough that a limit is kept within a quarter.
fn tick(limits: &Limits) -> Duration {
    let shortest = limits.first_byte_ms.min(limits.head_ms).min(limits.idle_ms).min(limits.stall_ms);
    Duration::from_millis((shortest / 4).clamp(10, 1_000))
}

/// Answers and closes. Best effort: whoever writes at this very moment may see a reset instead.
fn refuse(stream: TcpStream, status: StatusCode, detail: &str) {
    let problem = Problem::new(status, "too_many_connections", detail);
    let body = serde_json::to_string(&problem).unwrap_or_default();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let written = stream.into_std().and_then(|mut stream| stream.write_all(answer.as_bytes()));
    if let Err(error) = written {
        tracing::debug!(%error, "a connection too many was closed without an answer");
    }
}

/// Who has how many connections.
#[derive(Default)]
struct Crowd(Mutex<HashMap<IpAddr, usize>>);

/// One connection of an address.
struct Place(Option<(Arc<Crowd>, IpAddr)>);

impl Crowd {
    /// A place for one more connection of `address`, or `None` where it has too many.
    fn enter(self: &Arc<Self>, address: IpAddr, limits: &Limits) -> Option<Place> {
        let address = address.to_canonical();
        if limits.loopback_exempt && address.is_loopback() {
            return Some(Place(None));
        }
        let address = household(address);
        let mut counts = self.counts();
        let count = counts.entry(address).or_insert(0);
        if *count >= limits.connections_per_address_max {
            return None;
        }
        *count += 1;
        Some(Place(Some((Arc::clone(self), address))))
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((crowd, address)) = self.0.take() else { return };
        let mut counts = crowd.counts();
        if let Some(count) = counts.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&address);
            }
        }
    }
}

/// What counts as one address: with IPv6 a subscriber has a whole /64.
fn household(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_in_one_ipv6_network_share_their_places() {
        let limits = Limits { connections_per_address_max: 1, ..Limits::default() };
        let crowd = Arc::new(Crowd::default());
        let place = crowd.enter("2001:db8:1:2::1".parse().unwrap(), &limits);
        assert!(place.is_some());
        assert!(crowd.enter("2001:db8:1:2::ffff".parse().unwrap(), &limits).is_none());
        assert!(crowd.enter("2001:db8:1:3::1".parse().unwrap(), &limits).is_some());
        drop(place);
        assert!(crowd.enter("2001:db8:1:2::ffff".parse().unwrap(), &limits).is_some());
        assert!(crowd.counts().is_empty());
    }

    #[test]
    fn loopback_is_exempt_only_where_the_setting_says_so() {
        let crowd = Arc::new(Crowd::default());
        let strict = Limits { connections_per_address_max: 0, ..Limits::default() };
        assert!(crowd.enter("127.0.0.1".parse().unwrap(), &strict).is_none());
        assert!(crowd.enter("127.0.0.1".parse().unwrap(), &Limits { loopback_exempt: true, ..strict }).is_some());
    }
}

//! Bodies on their way.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::Request;
use axum::response::sse::{Event, Sse};
use axum::routing::{get, post};
use cartwright_http::{Limits, serve};
use cartwright_runtime::{Clock, Tasks};
use cartwright_upstream::{CallError, Options, Upstream};
use futures::{FutureExt as _, StreamExt as _};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::host::{PATIENCE, at, until};

/// Larger than all the buffers of a connection together.
const LARGE_BYTES: usize = 64 << 20;

async fn serving(router: Router) -> (Upstream, Tasks) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let tasks = Tasks::new();
    tasks.spawn(serve(listener, router, Limits::default(), Clock::system(), tasks.clone()).map(drop));
    (at(&url, Options::default()), tasks)
}

/// A body of [`LARGE_BYTES`], and how much of it was taken so far.
fn large() -> (Body, Arc<AtomicUsize>) {
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&taken);
    let chunks = (0..LARGE_BYTES / 65_536).map(move |_| {
        counter.fetch_add(65_536, Ordering::SeqCst);
        Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 65_536]))
    });
    (Body::from_stream(futures::stream::iter(chunks)), taken)
}

#[tokio::test]
async fn a_large_body_is_taken_only_as_fast_as_the_other_side_takes_it() {
    let (reached, gate) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (told, wait) = (Arc::clone(&reached), Arc::clone(&gate));
    let count = async move |body: Body| {
        let mut data = body.into_data_stream();
        let mut bytes = data.next().await.unwrap().unwrap().len();
        told.notify_one();
        wait.notified().await;
        while let Some(part) = data.next().await {
            bytes += part.unwrap().len();
        }
        bytes.to_string()
    };
    let (upstream, tasks) = serving(Router::new().route("/import", post(count))).await;

    let (body, taken) = large();
    let request = Request::post("/import").body(body).unwrap();
    let (answer, before) = futures::join!(upstream.call(request, PATIENCE), async {
        reached.notified().await;
        // Whatever fits into sockets and buffers has arrived when nothing more is taken for a while.
        let mut before = 0;
        while taken.load(Ordering::SeqCst) > before {
            before = taken.load(Ordering::SeqCst);
            Clock::system().pause(std::time::Duration::from_millis(50)).await;
        }
        gate.notify_one();
        before
    });

    assert!(before < LARGE_BYTES / 2, "{before} bytes were taken before they were wanted");
    let body = axum::body::to_bytes(answer.unwrap().into_body(), 100).await.unwrap();
    assert_eq!(body, LARGE_BYTES.to_string().as_bytes());
    tasks.stop();
}

#[tokio::test]
async fn an_event_arrives_while_the_stream_goes_on_and_leaving_ends_it() {
    let ended = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&ended);
    let events = async move || {
        let guard = Ended(Arc::clone(&told));
        let first = futures::stream::once(async { Ok::<_, Infallible>(Event::default().data("first")) });
        Sse::new(first.chain(futures::stream::pending()).inspect(move |_| {
            let _alive = &guard;
        }))
    };
    let (upstream, tasks) = serving(Router::new().route("/events", get(events))).await;

    let request = Request::get("/events").body(Body::empty()).unwrap();
    let answer = upstream.call(request, PATIENCE).await.unwrap();
    assert_eq!(upstream.snapshot()[0].in_flight, 0, "who only listens occupies nobody");
    let mut data = answer.into_body().into_data_stream();
    let first = Clock::system().timeout(PATIENCE, data.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(first, "data: first\n\n");
    assert!(!ended.load(Ordering::SeqCst));

    drop(data);
    until(|| ended.load(Ordering::SeqCst)).await;
    tasks.stop();
}

/// Says when it is dropped.
struct Ended(Arc<AtomicBool>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_told_apart_from_an_instance_that_does() {
    let read = async |body: Body| axum::body::to_bytes(body, usize::MAX).await.map_or(0, |body| body.len()).to_string();
    let (upstream, tasks) = serving(Router::new().route("/import", post(read))).await;
    let parts = [Ok(Bytes::from_static(b"a part")), Err(std::io::Error::other("the client left"))];
    let request = Request::post("/import").body(Body::from_stream(futures::stream::iter(parts))).unwrap();
    let error = upstream.call(request, PATIENCE).await.unwrap_err();
    assert_eq!(error, CallError::BodyIncomplete("parcels"));
    tasks.stop();
}

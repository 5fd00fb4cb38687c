//! What is sent again, what is not, and what the caller is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request};
use cartwright_runtime::{Clock, Ids, Tasks};
use cartwright_upstream::{CallError, Options, Repeatable, Targets, TargetsError, Upstream};
use futures::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::host::{Host, PATIENCE, at, call, quick, upstream, whole};

/// An instance that speaks bytes: what it answers to each request, nothing for breaking off.
struct Raw {
    url: String,
    requests: Arc<AtomicUsize>,
    tasks: Tasks,
}

impl Raw {
    async fn start(answer: impl Fn(usize) -> &'static str + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (requests, tasks) = (Arc::new(AtomicUsize::new(0)), Tasks::new());
        let (counter, stopping) = (Arc::clone(&requests), tasks.clone());
        tasks.spawn(async move {
            loop {
                let accepted = tokio::select! {
                    () = stopping.stopped() => return,
                    accepted = listener.accept() => accepted,
                };
                let mut stream = accepted.unwrap().0;
                let mut bytes = Vec::new();
                while !bytes.windows(4).any(|window| window == b"\r\n\r\n") {
                    if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                        break;
                    }
                }
                let text = answer(counter.fetch_add(1, Ordering::SeqCst));
                if !text.is_empty() {
                    stream.write_all(text.as_bytes()).await.unwrap();
                }
            }
        });
        Self { url, requests, tasks }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

const WELL: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 4\r\n\r\nwell";
const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
const NOT_BEGUN: &str = "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nx-cartwright-not-processed: 1\r\n\
    content-length: 0\r\n\r\n";

#[tokio::test]
async fn a_dead_instance_costs_no_failed_call() {
    let (dead, alive) = (Host::start().await, Host::start().await);
    let upstream = upstream(&[&dead, &alive], Options::default());
    for _ in 0..20 {
        drop(whole(call(&upstream, Method::GET, "/count").await).await);
    }
    assert!(dead.count() > 0, "connections to it are pooled");
    dead.kill().await;

    let calls = futures::stream::iter(0..200).map(async |_| {
        let body = Body::from_stream(futures::stream::iter([Ok::<_, std::io::Error>("12345"), Ok("678")]));
        let request = Request::post("/length").body(body).unwrap();
        whole(upstream.call(request, PATIENCE).await).await
    });
    let answers: Vec<_> = calls.buffer_unordered(16).collect().await;

    assert!(answers.iter().all(|answer| *answer == (200, "8".to_owned())), "{answers:?}");
}

#[tokio::test]
async fn a_post_whose_instance_is_killed_in_the_middle_is_unknown_and_was_done_once() {
    let (one, two) = (Host::start().await, Host::start().await);
    let upstream = upstream(&[&one, &two], Options::default());

    let (answer, ()) = futures::join!(call(&upstream, Method::POST, "/stuck"), async {
        tokio::select! {
            () = one.reached.notified() => one.kill().await,
            () = two.reached.notified() => two.kill().await,
        }
    });

    let error = answer.unwrap_err();
    assert_eq!(error, CallError::Unknown("parcels"));
    assert!(!error.had_no_effect());
    assert_eq!(one.count() + two.count(), 1);
}

#[tokio::test]
async fn a_get_whose_connection_breaks_is_sent_once_more() {
    let raw = Raw::start(|number| if number == 0 { "" } else { WELL }).await;
    let upstream = at(&raw.url, Options::default());
    assert_eq!(whole(call(&upstream, Method::GET, "/").await).await, (200, "well".to_owned()));
    assert_eq!(raw.requests(), 2);

    let raw = Raw::start(|_| "").await;
    let upstream = at(&raw.url, Options::default());
    assert_eq!(call(&upstream, Method::GET, "/").await.unwrap_err(), CallError::Unknown("parcels"));
    assert_eq!(raw.requests(), 2);
    assert_eq!(call(&upstream, Method::POST, "/").await.unwrap_err(), CallError::Unknown("parcels"));
    assert_eq!(raw.requests(), 3);
    let mut question = Request::post("/").body(Body::from("question")).unwrap();
    question.extensions_mut().insert(Repeatable);
    assert_eq!(upstream.call(question, PATIENCE).await.unwrap_err(), CallError::Unknown("parcels"));
    assert_eq!(raw.requests(), 5);
}

#[tokio::test]
async fn what_an_instance_did_not_begin_goes_to_another_and_what_it_refused_does_not() {
    let alive = Host::start().await;
    for (answer, expected) in [(NOT_BEGUN, 200), (BUSY, 503)] {
        let busy = Raw::start(move |_| answer).await;
        let upstream = at(&format!("{},http://{}", busy.url, alive.address), Options::default());
        // The lot decides who is asked first.
        while busy.requests() == 0 {
            let request = Request::post("/length").body(Body::from("12345678")).unwrap();
            let answer = whole(upstream.call(request, PATIENCE).await).await;
            assert!(answer.0 == if busy.requests() == 0 { 200 } else { expected }, "{answer:?}");
        }
    }
}

#[tokio::test]
async fn nothing_is_sent_again_where_the_budget_is_spent() {
    let (dead, alive) = (Host::start().await, Host::start().await);
    let options = Options { retry_percent: 0, ejection_failures: 1_000, ..Options::default() };
    let upstream = upstream(&[&dead, &alive], options);
    dead.kill().await;
    let mut failed = 0;
    for _ in 0..30 {
        match call(&upstream, Method::GET, "/count").await {
            Ok(answer) => assert_eq!(answer.status(), 200),
            Err(error) => {
                assert_eq!(error, CallError::NotReached("parcels"));
                failed += 1;
            }
        }
    }
    assert!(failed > 0 && failed < 10, "{failed} of 30: the dead one is asked, and then avoided");
}

#[tokio::test]
async fn the_breaker_opens_when_nobody_answers_and_closes_when_somebody_does() {
    let is_well = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let told = Arc::clone(&is_well);
    let raw = Raw::start(move |_| if told.load(Ordering::SeqCst) { WELL } else { "" }).await;
    let options = Options { breaker_calls_min: 4, breaker_open_ms: 150, ..quick() };
    let upstream = at(&raw.url, options);
    for _ in 0..4 {
        assert_eq!(call(&upstream, Method::POST, "/").await.unwrap_err(), CallError::Unknown("parcels"));
    }

    let refused = call(&upstream, Method::POST, "/").await.unwrap_err();
    assert!(matches!(refused, CallError::Open { .. }) && refused.had_no_effect());
    assert_eq!(raw.requests(), 4);

    is_well.store(true, Ordering::SeqCst);
    let clock = Clock::system();
    let watch = clock.stopwatch();
    while call(&upstream, Method::POST, "/").await.is_err() {
        assert!(watch.elapsed() < PATIENCE);
        clock.pause(Duration::from_millis(10)).await;
    }
    assert!(watch.elapsed() > Duration::from_millis(50), "it was open for no time at all");
    assert_eq!(whole(call(&upstream, Method::POST, "/").await).await, (200, "well".to_owned()));
}

#[tokio::test]
async fn a_call_ends_at_its_deadline_and_says_whether_it_was_sent() {
    let host = Host::start().await;
    let upstream = upstream(&[&host], Options::default());
    let request = Request::post("/stuck").body(Body::empty()).unwrap();
    let late = upstream.call(request, Duration::from_millis(80)).await.unwrap_err();
    assert_eq!(late, CallError::TooLate { upstream: "parcels", was_sent: true });
    assert_eq!(host.count(), 1);

    // Whoever accepts a connection and says nothing leaves a handshake waiting, so nothing is sent.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let tls = Arc::new(tls.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth());
    let clock = Clock::system();
    let ids = Ids::seeded(clock.clone(), 1);
    let make = |tls| Upstream::new("x", Targets::parse(&url).unwrap(), quick(), tls, clock.clone(), ids.clone());
    assert_eq!(make(None).err(), Some(TargetsError::NoTls));
    let request = Request::post("/").body(Body::empty()).unwrap();
    let late = make(Some(tls)).unwrap().call(request, Duration::from_millis(80)).await.unwrap_err();
    assert_eq!(late, CallError::TooLate { upstream: "x", was_sent: false });
}

#[tokio::test]
async fn what_is_left_of_the_deadline_is_handed_on() {
    let host = Host::start().await;
    let upstream = upstream(&[&host], Options::default());
    let request = Request::get("/deadline").header("x-request-deadline-ms", "99999999").body(Body::empty()).unwrap();
    let (_, left) = whole(upstream.call(request, Duration::from_millis(5_000)).await).await;
    let left: u64 = left.parse().unwrap();
    assert!((1_000..=5_000).contains(&left), "{left}");
}

#[tokio::test]
async fn nobody_there_is_said_at_once() {
    let host = Host::start().await;
    let upstream = upstream(&[&host], quick());
    host.kill().await;
    let error = call(&upstream, Method::POST, "/count").await.unwrap_err();
    assert_eq!(error, CallError::NotReached("parcels"));
    assert!(error.had_no_effect());
}

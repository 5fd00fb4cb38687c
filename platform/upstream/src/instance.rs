//! One instance of an upstream: its connections, what is under way at it, and what is thought of it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response, Uri};
use cartwright_runtime::Clock;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio_rustls::TlsConnector;

use crate::Options;
use crate::connect::Connector;
use crate::latency::Latency;
use crate::targets::Place;

/// What a call that failed is held to have taken at least: who fails fast must not look fast.
const FAILED_LATENCY: Duration = Duration::from_secs(1);

/// Below this, what is under way says more about an instance than how fast it was.
const LEAST_MICROS: u64 = 1_000;

/// An instance.
pub(crate) struct Instance {
    pub(crate) place: Place,
    client: Client<Connector, Body>,
    options: Options,
    in_flight: AtomicUsize,
    standing: Mutex<Standing>,
}

/// What is thought of an instance.
#[derive(Debug, Default)]
struct Standing {
    verdict: Verdict,
    /// Probes in a row that spoke against the verdict.
    contrary: u32,
    latency: Latency,
    /// Calls in a row that failed.
    failures: u32,
    ejection: Option<Ejection>,
}

/// What the probes say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Verdict {
    #[default]
    Untried,
    Ready,
    Unready(Unready),
}

/// How an instance is not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unready {
    /// It says so.
    Refusing,
    /// It says nothing: it is gone, or somebody is too busy, which may be we.
    Silent,
}

#[derive(Clone, Copy, Debug)]
struct Ejection {
    until_ms: u64,
    times: u32,
}

/// Whether an instance can take a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fitness {
    Fit,
    /// Where there is nobody better.
    Doubtful,
    Full,
    Unfit,
}

/// How an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nothing was sent.
    NotSent,
    /// Something was sent, and no answer came.
    Broken,
    /// No answer came in time.
    TooLate { was_sent: bool },
}

/// The state of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceState {
    /// It was not asked yet whether it is ready.
    Untried,
    /// It takes requests.
    Ready,
    /// It says that it takes none.
    Unready,
    /// It does not say whether it takes any, or is not there.
    Silent,
    /// Its last calls failed; it is passed over for a while.
    Ejected,
}

/// What is known of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstanceView {
    /// Where it is.
    pub address: SocketAddr,
    /// Whether it gets requests.
    pub state: InstanceState,
    /// How long it lately took to answer, microseconds.
    pub latency_us: u64,
    /// Calls under way.
    pub in_flight: usize,
}

impl Instance {
    pub(crate) fn new(place: Place, tls: Option<TlsConnector>, options: Options, clock: Clock) -> Self {
        let connector = Connector { place, tls, limit: Duration::from_millis(options.connect_ms), clock };
        // Connections end with the instance or when they are idle. The drain must not wait for them, so they are no task.
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_millis(options.idle_ms))
            .pool_max_idle_per_host(options.in_flight_max)
            .build(connector);
        Self { place, client, options, in_flight: AtomicUsize::new(0), standing: Mutex::default() }
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends `request`, whose URI is a path, and waits for the head of the answer.
    pub(crate) async fn send(
        &self,
        mut request: Request<Body>,
        clock: &Clock,
        limit: Duration,
    ) -> Result<Response<Incoming>, Failure> {
        *request.uri_mut() = self.absolute(request.uri()).ok_or(Failure::NotSent)?;
        let connection = capture_connection(&mut request);
        // A request that gets no connection was not sent.
        let was_sent = || connection.connection_metadata().is_some();
        let sending = self.client.request(request);
        let sent = tokio::select! {
            biased;
            sent = sending => sent,
            () = clock.pause(limit) => return Err(Failure::TooLate { was_sent: was_sent() }),
        };
        sent.map_err(|error| {
            let address = self.place.address;
            tracing::debug!(%address, error = &error as &dyn std::error::Error, "an instance gave no answer");
            if error.is_connect() || !was_sent() || is_canceled(&error) { Failure::NotSent } else { Failure::Broken }
        })
    }

    fn absolute(&self, path: &Uri) -> Option<Uri> {
        let scheme = if self.place.is_tls { "https" } else { "http" };
        let path = path.path_and_query().map_or("/", |path| path.as_str());
        Uri::builder().scheme(scheme).authority(self.place.address.to_string()).path_and_query(path).build().ok()
    }

    /// Counts a call as under way until what is returned is dropped.
    pub(crate) fn occupy(self: &Arc<Self>) -> Occupancy {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Occupancy(Arc::clone(self))
    }

    fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(crate) fn fitness(&self, now_ms: u64) -> Fitness {
        let standing = self.standing();
        let in_flight = self.in_flight();
        if in_flight >= self.options.in_flight_max {
            return Fitness::Full;
        }
        match standing.verdict {
            Verdict::Unready(Unready::Refusing) => Fitness::Unfit,
            Verdict::Unready(Unready::Silent) => Fitness::Doubtful,
            // After its time an ejected instance gets one call, which decides.
            Verdict::Untried | Verdict::Ready => match standing.ejection {
                Some(ejection) if now_ms < ejection.until_ms || in_flight > 0 => Fitness::Doubtful,
                Some(_) | None => Fitness::Fit,
            },
        }
    }

    /// What one more call is expected to cost here: the lower the better.
    pub(crate) fn cost(&self, now_ms: u64) -> u128 {
        let latency = self.standing().latency.micros(now_ms, self.options.latency_memory_ms);
        u128::from(latency.max(LEAST_MICROS)) * (self.in_flight() as u128 + 1)
    }

    /// Notes an answer; a server's error counts as a failure, and gives true where there were too many in a row.
    pub(crate) fn answered(&self, took: Duration, is_error: bool, now_ms: u64) -> bool {
        let mut standing = self.standing();
        standing.latency.observe(took, now_ms, self.options.latency_memory_ms);
        if is_error {
            return standing.fail(&self.options);
        }
        standing.failures = 0;
        standing.ejection = None;
        false
    }

    /// Notes that it turned a request away, being busy.
    pub(crate) fn turned_away(&self, took: Duration, now_ms: u64) {
        self.standing().latency.observe(took.max(FAILED_LATENCY), now_ms, self.options.latency_memory_ms);
    }

    /// Notes that no answer came; true where that were too many in a row.
    pub(crate) fn failed(&self, took: Duration, now_ms: u64) -> bool {
        let mut standing = self.standing();
        standing.latency.observe(took.max(FAILED_LATENCY), now_ms, self.options.latency_memory_ms);
        standing.fail(&self.options)
    }

    /// Notes that nobody waited for the answer any more.
    pub(crate) fn given_up(&self, took: Duration, now_ms: u64) {
        self.standing().latency.observe(took, now_ms, self.options.latency_memory_ms);
    }

    /// Passes it over for a while, twice as long as the time before.
    pub(crate) fn eject(&self, now_ms: u64) {
        let mut standing = self.standing();
        let times = standing.ejection.map_or(0, |ejection| ejection.times);
        let pause = self.options.ejection_ms.saturating_mul(1 << times.min(16)).min(self.options.ejection_ms_max);
        standing.ejection = Some(Ejection { until_ms: now_ms + pause, times: times + 1 });
        tracing::warn!(address = %self.place.address, pause_ms = pause, "an instance is passed over: its calls fail");
    }

    pub(crate) fn is_ejected(&self) -> bool {
        self.standing().ejection.is_some()
    }

    /// Takes a probe's result into account; true where the instance came back by it.
    pub(crate) fn probed(&self, result: Result<(), Unready>) -> bool {
        let told = result.map_or_else(Verdict::Unready, |()| Verdict::Ready);
        let mut standing = self.standing();
        let before = standing.verdict;
        let needed = match (before, told) {
            (Verdict::Ready, Verdict::Unready(_)) => self.options.probe_failures,
            (Verdict::Unready(_), Verdict::Ready) => self.options.probe_successes,
            (Verdict::Untried | Verdict::Ready | Verdict::Unready(_), _) => 0,
        };
        standing.contrary = if needed == 0 { 0 } else { standing.contrary + 1 };
        if standing.contrary < needed {
            return false;
        }
        standing.verdict = told;
        standing.contrary = 0;
        if before != told {
            tracing::info!(address = %self.place.address, ?before, now = ?told, "the readiness of an instance changed");
        }
        told == Verdict::Ready && matches!(before, Verdict::Unready(_))
    }

    pub(crate) fn view(&self, now_ms: u64) -> InstanceView {
        let standing = self.standing();
        let state = match (standing.verdict, standing.ejection) {
            (Verdict::Unready(Unready::Refusing), _) => InstanceState::Unready,
            (Verdict::Unready(Unready::Silent), _) => InstanceState::Silent,
            (_, Some(_)) => InstanceState::Ejected,
            (Verdict::Untried, None) => InstanceState::Untried,
            (Verdict::Ready, None) => InstanceState::Ready,
        };
        InstanceView {
            address: self.place.address,
            state,
            latency_us: standing.latency.micros(now_ms, self.options.latency_memory_ms),
            in_flight: self.in_flight(),
        }
    }
}

impl Standing {
    fn fail(&mut self, options: &Options) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.failures >= options.ejection_failures || self.ejection.is_some()
    }
}

/// Whether hyper gave the request up before it wrote any of it.
fn is_canceled(error: &hyper_util::client::legacy::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<hyper::Error>());
    source.is_some_and(hyper::Error::is_canceled)
}

/// A call under way.
pub(crate) struct Occupancy(Arc<Instance>);

impl Drop for Occupancy {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance() -> Arc<Instance> {
        let place = Place { address: "127.0.0.1:1".parse().unwrap(), is_tls: false };
        Arc::new(Instance::new(place, None, Options { in_flight_max: 2, ..Options::default() }, Clock::system()))
    }

    #[tokio::test]
    async fn two_failed_probes_take_an_instance_out_and_one_good_one_brings_it_back() {
        let instance = instance();
        assert!(!instance.probed(Ok(())));
        assert!(!instance.probed(Err(Unready::Refusing)));
        assert_eq!(instance.fitness(0), Fitness::Fit);
        assert!(!instance.probed(Err(Unready::Refusing)));
        assert_eq!(instance.fitness(0), Fitness::Unfit);
        assert!(instance.probed(Ok(())));
        assert_eq!(instance.fitness(0), Fitness::Fit);
    }

    #[tokio::test]
    async fn the_first_probe_counts_at_once() {
        let instance = instance();
        instance.probed(Err(Unready::Silent));
        assert_eq!(instance.fitness(0), Fitness::Doubtful);
    }

    #[tokio::test]
    async fn an_ejected_instance_gets_one_call_after_its_time_which_decides() {
        let instance = instance();
        instance.probed(Ok(()));
        let took = Duration::from_millis(1);
        let failures = (0..5).filter(|_| instance.failed(took, 0)).count();
        assert_eq!(failures, 1, "only the fifth is one too many");
        instance.eject(0);
        assert_eq!((instance.fitness(999), instance.fitness(1_000)), (Fitness::Doubtful, Fitness::Fit));

        let trial = instance.occupy();
        assert_eq!(instance.fitness(1_000), Fitness::Doubtful, "a second call came before the first decided");
        assert!(instance.failed(took, 1_000));
        instance.eject(1_000);
        drop(trial);
        assert_eq!((instance.fitness(2_999), instance.fitness(3_000)), (Fitness::Doubtful, Fitness::Fit));

        assert!(!instance.answered(took, false, 3_000));
        assert_eq!(instance.view(3_000).state, InstanceState::Ready);
    }

    #[tokio::test]
    async fn an_instance_takes_no_more_at_once_than_it_may() {
        let instance = instance();
        let held = [instance.occupy(), instance.occupy()];
        assert_eq!(instance.fitness(0), Fitness::Full);
        drop(held);
        assert_eq!((instance.fitness(0), instance.view(0).in_flight), (Fitness::Fit, 0));
    }
}

//! An upstream: the instances of one service in other processes, called as one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, header};
use cartwright_http::{Asked, DEADLINE, NOT_PROCESSED};
use cartwright_runtime::{Clock, Ids, Stopwatch};
use hyper::body::Incoming;
use rustls::ClientConfig;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;

use crate::balance::{self, Nobody};
use crate::body::{AnswerBody, CallBody, SenderFailed};
use crate::breaker::{Breaker, Entry};
use crate::budget::Budget;
use crate::instance::{Failure, Instance};
use crate::targets::Place;
use crate::{CallError, InstanceState, InstanceView, Options, Resolve, SystemResolver, Targets, TargetsError};

/// Marks a request, as an extension, that may be asked twice whatever its method: where the connection breaks before an
/// answer it is sent once more, as a GET is.
#[derive(Clone, Copy, Debug)]
pub struct Repeatable;

/// The instances of one service in other processes. Cheap to clone; clones share connections and what is known.
#[derive(Clone)]
pub struct Upstream(Arc<Inner>);

struct Inner {
    name: &'static str,
    targets: Targets,
    options: Options,
    tls: Option<TlsConnector>,
    resolver: Arc<dyn Resolve>,
    clock: Clock,
    ids: Ids,
    made: Stopwatch,
    instances: watch::Sender<Arc<[Arc<Instance>]>>,
    breaker: Mutex<Breaker>,
    budget: Budget,
}

impl Upstream {
    /// The service `name` at `targets`. The verifier in `tls` says who may answer; the names of hosts play no part in it.
    ///
    /// # Errors
    /// When a target begins with `https:` and there is no `tls`.
    pub fn new(
        name: &'static str,
        targets: Targets,
        options: Options,
        tls: Option<Arc<ClientConfig>>,
        clock: Clock,
        ids: Ids,
    ) -> Result<Self, TargetsError> {
        Self::with_resolver(name, targets, options, tls, clock, ids, Arc::new(SystemResolver))
    }

    /// The same, with names resolved by `resolver`.
    ///
    /// # Errors
    /// See [`Upstream::new`].
    pub fn with_resolver(
        name: &'static str,
        targets: Targets,
        options: Options,
        tls: Option<Arc<ClientConfig>>,
        clock: Clock,
        ids: Ids,
        resolver: Arc<dyn Resolve>,
    ) -> Result<Self, TargetsError> {
        if targets.need_tls() && tls.is_none() {
            return Err(TargetsError::NoTls);
        }
        let upstream = Self(Arc::new(Inner {
            name,
            options,
            tls: tls.map(by_http_1),
            resolver,
            made: clock.stopwatch(),
            clock,
            ids,
            instances: watch::Sender::new(Arc::from([])),
            breaker: Mutex::new(Breaker::new(&options)),
            budget: Budget::new(options.retry_percent),
            targets,
        }));
        upstream.take_over(&upstream.0.targets.fixed());
        Ok(upstream)
    }

    /// The name of the service.
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// What is known of each instance, by address.
    pub fn snapshot(&self) -> Vec<InstanceView> {
        let now_ms = self.now_ms();
        self.instances().iter().map(|instance| instance.view(now_ms)).collect()
    }

    /// Whether an instance is known to take requests.
    pub fn is_ready(&self) -> bool {
        self.snapshot().iter().any(|view| view.state == InstanceState::Ready)
    }

    /// Sends `request`, whose URI is a path and query, to one of the instances and gives the head of its answer within
    /// `deadline`, or within what is left to the request that it is made for; the bodies are streamed. The headers are sent
    /// as they are, with that time and the name of that request added.
    ///
    /// # Errors
    /// See [`CallError`]; [`CallError::had_no_effect`] says whether the call certainly changed nothing.
    pub async fn call(&self, request: Request<Body>, deadline: Duration) -> Result<Response<Body>, CallError> {
        let (mut request, mut deadline) = (request, deadline);
        if let Some(asked) = Asked::now() {
            asked.mark(request.headers_mut());
            deadline = deadline.min(asked.left().unwrap_or(Duration::MAX));
        }
        let mut pass = self.enter()?;
        let result = self.try_each(request, deadline).await;
        let is_failure = match &result {
            Ok(_)
            | Err(
                Ended { was_tried: false, .. }
                | Ended { error: CallError::BodyIncomplete(_) | CallError::BodyTooSlow(_), .. },
            ) => false,
            Err(Ended { was_tried: true, .. }) => true,
        };
        pass.settle(is_failure);
        result.map_err(|ended| ended.error)
    }

    /// Tries one instance after the other, for as long as nothing has reached any.
    async fn try_each(&self, request: Request<Body>, deadline: Duration) -> Result<Response<Body>, Ended> {
        let watch = self.0.clock.stopwatch();
        let (head, body) = request.into_parts();
        let body = CallBody::new(body, self.0.options.replay_bytes_max);
        self.0.budget.deposit();
        self.until_known(deadline).await;
        let mut tries = Tries::default();
        loop {
            let left = deadline.saturating_sub(watch.elapsed());
            let next = self.next(&tries).and_then(|instance| Ok((instance, body.lend().ok_or(Nobody::Fit)?)));
            let (instance, lent) = match next {
                Ok(next) => next,
                Err(nobody) => return tries.end(self.0.name, nobody),
            };
            if left.is_zero() {
                return tries.end(self.0.name, Nobody::InTime);
            }
            let answer = self.attempt(&instance, &head, lent, left).await;
            if let (Some(failed), Err(_)) = (body.failed(), &answer) {
                let error = match failed {
                    SenderFailed::TooSlow => CallError::BodyTooSlow(self.0.name),
                    SenderFailed::Broken => CallError::BodyIncomplete(self.0.name),
                };
                return Err(Ended { error, was_tried: true });
            }
            tries.note(&instance, answer);
            if !self.may_repeat(&tries, &head) {
                return tries.end(self.0.name, Nobody::Fit);
            }
        }
    }

    /// One instance, asked once.
    async fn attempt(
        &self,
        instance: &Arc<Instance>,
        head: &Parts,
        body: Body,
        left: Duration,
    ) -> Result<Response<Body>, Failure> {
        let occupancy = instance.occupy();
        let mut trying = Trying { upstream: self, instance, watch: self.0.clock.stopwatch(), is_settled: false };
        let answer = instance.send(outgoing(head, body, left), &self.0.clock, left).await;
        trying.settle(&answer);
        let answer = answer?;
        // An event stream goes on for hours and costs the instance next to nothing.
        let occupancy = (!is_event_stream(&answer)).then_some(occupancy);
        Ok(answer.map(|body| Body::new(AnswerBody::new(body, occupancy))))
    }

    fn may_repeat(&self, tries: &Tries, head: &Parts) -> bool {
        let is_repeatable = match &tries.last {
            Some(Ok(answer)) => is_not_processed(answer),
            Some(Err(Failure::NotSent)) => true,
            Some(Err(Failure::Broken)) => tries.broken == 1 && is_harmless_twice(head),
            Some(Err(Failure::TooLate { .. })) | None => false,
        };
        is_repeatable && tries.count < self.0.options.attempts_max && self.0.budget.withdraw()
    }

    /// The instance to ask next. Where a connection broke it may be the same again: it was perhaps only the connection.
    fn next(&self, tries: &Tries) -> Result<Arc<Instance>, Nobody> {
        let (instances, now_ms) = (self.instances(), self.now_ms());
        let lots = || self.0.ids.bytes::<2>();
        let fresh = instances.iter().filter(|instance| !tries.asked.contains(&instance.place));
        let chosen = balance::choose(fresh, now_ms, lots);
        if tries.broken > 0 { chosen.or_else(|_| balance::choose(instances.iter(), now_ms, lots)) } else { chosen }
    }

    /// Waits for the first addresses, where they are still being asked for.
    async fn until_known(&self, deadline: Duration) {
        let mut instances = self.0.instances.subscribe();
        if instances.borrow().is_empty() && self.0.targets.have_names() {
            let limit = deadline.min(Duration::from_millis(self.0.options.connect_ms));
            tokio::select! {
                biased;
                _ = instances.wait_for(|instances| !instances.is_empty()) => {}
                () = self.0.clock.pause(limit) => {}
            }
        }
    }

    fn enter(&self) -> Result<Pass<'_>, CallError> {
        match self.breaker().enter(self.now_ms()) {
            Entry::Closed { for_ms } => {
                let retry_after = Duration::from_millis(for_ms);
                Err(CallError::Open { upstream: self.0.name, retry_after })
            }
            entry @ (Entry::Free | Entry::Trial) => Ok(Pass { upstream: self, entry, is_settled: false }),
        }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.0.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes `instance` over for a while, unless half of them would be.
    fn eject(&self, instance: &Instance, now_ms: u64) {
        let instances = self.instances();
        let others = instances.iter().filter(|other| other.place != instance.place && other.is_ejected()).count();
        if (others + 1) * 2 <= instances.len() {
            instance.eject(now_ms);
        }
    }

    /// An instance came back: where the breaker is open there is reason to try.
    pub(crate) fn is_back(&self) {
        self.breaker().hurry(self.now_ms());
    }

    /// Makes `places` the instances. Who stays keeps what is thought of it; who goes finishes what is under way.
    pub(crate) fn take_over(&self, places: &[Place]) {
        self.0.instances.send_if_modified(|instances| {
            if instances.iter().map(|instance| instance.place).eq(places.iter().copied()) {
                return false;
            }
            let known = |place: &Place| instances.iter().find(|instance| instance.place == *place).map(Arc::clone);
            let made = |place: &Place| {
                let Inner { tls, options, clock, .. } = &*self.0;
                Arc::new(Instance::new(*place, tls.clone(), *options, clock.clone()))
            };
            *instances = places.iter().map(|place| known(place).unwrap_or_else(|| made(place))).collect();
            tracing::info!(upstream = self.0.name, instances = places.len(), "the instances of an upstream changed");
            true
        });
    }

    pub(crate) fn instances(&self) -> Arc<[Arc<Instance>]> {
        Arc::clone(&self.0.instances.borrow())
    }

    pub(crate) fn options(&self) -> &Options {
        &self.0.options
    }

    pub(crate) fn targets(&self) -> &Targets {
        &self.0.targets
    }

    pub(crate) fn resolver(&self) -> &dyn Resolve {
        &*self.0.resolver
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Milliseconds since this was made, by the machine's steady clock.
    fn now_ms(&self) -> u64 {
        u64::try_from(self.0.made.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// TLS for HTTP/1.1, one connection a call: on one of HTTP/2 a hundred event streams would leave no room for anything else,
/// and its end would be that of every call on it.
fn by_http_1(config: Arc<ClientConfig>) -> TlsConnector {
    let mut config = Arc::unwrap_or_clone(config);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}

/// How a call ended without an answer.
struct Ended {
    error: CallError,
    /// Whether an instance was asked at all; only then it says something about the upstream.
    was_tried: bool,
}

/// What became of a call so far.
#[derive(Default)]
struct Tries {
    asked: Vec<Place>,
    count: usize,
    broken: usize,
    last: Option<Result<Response<Body>, Failure>>,
}

impl Tries {
    fn note(&mut self, instance: &Instance, answer: Result<Response<Body>, Failure>) {
        self.asked.push(instance.place);
        self.count += 1;
        self.broken += usize::from(matches!(answer, Err(Failure::Broken)));
        self.last = Some(answer);
    }

    /// The end of it, where no other instance is asked.
    fn end(self, upstream: &'static str, nobody: Nobody) -> Result<Response<Body>, Ended> {
        let was_tried = self.count > 0;
        let error = match self.last {
            Some(Ok(answer)) => return Ok(answer),
            // A request that broke once and could then not be sent may have reached the first.
            Some(Err(_)) if self.broken > 0 => CallError::Unknown(upstream),
            Some(Err(Failure::Broken)) => CallError::Unknown(upstream),
            Some(Err(Failure::NotSent)) => CallError::NotReached(upstream),
            Some(Err(Failure::TooLate { was_sent })) => CallError::TooLate { upstream, was_sent },
            None => match nobody {
                Nobody::Busy => CallError::Overloaded(upstream),
                Nobody::Fit => CallError::NotReached(upstream),
                Nobody::InTime => CallError::TooLate { upstream, was_sent: false },
            },
        };
        Err(Ended { error, was_tried })
    }
}

/// A call that the breaker let through.
struct Pass<'a> {
    upstream: &'a Upstream,
    entry: Entry,
    is_settled: bool,
}

impl Pass<'_> {
    fn settle(&mut self, is_failure: bool) {
        self.is_settled = true;
        let now_ms = self.upstream.now_ms();
        if self.upstream.breaker().record(self.entry, is_failure, now_ms) {
            tracing::warn!(upstream = self.upstream.0.name, "calls stay without an answer: none are made for a while");
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if !self.is_settled {
            let now_ms = self.upstream.now_ms();
            self.upstream.breaker().give_back(self.entry, now_ms);
        }
    }
}

/// An attempt under way; given up where whoever asked has left.
struct Trying<'a> {
    upstream: &'a Upstream,
    instance: &'a Instance,
    watch: Stopwatch,
    is_settled: bool,
}

impl Trying<'_> {
    fn settle(&mut self, answer: &Result<Response<Incoming>, Failure>) {
        self.is_settled = true;
        let (took, now_ms) = (self.watch.elapsed(), self.upstream.now_ms());
        let is_too_much = match answer {
            Ok(answer) if is_not_processed(answer) => {
                self.instance.turned_away(took, now_ms);
                false
            }
            Ok(answer) => self.instance.answered(took, is_fault(answer.status()), now_ms),
            Err(_) => self.instance.failed(took, now_ms),
        };
        if is_too_much {
            self.upstream.eject(self.instance, now_ms);
        }
    }
}

impl Drop for Trying<'_> {
    fn drop(&mut self) {
        if !self.is_settled {
            self.instance.given_up(self.watch.elapsed(), self.upstream.now_ms());
        }
    }
}

/// The request as it is sent: without what its way to us left on it, with what is left of the deadline.
fn outgoing(head: &Parts, body: Body, left: Duration) -> Request<Body> {
    let mut request = Request::new(body);
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = head.uri.clone();
    *request.headers_mut() = head.headers.clone();
    let left_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1);
    request.headers_mut().insert(DEADLINE, HeaderValue::from(left_ms));
    request
}

fn is_event_stream<B>(answer: &Response<B>) -> bool {
    let media = answer.headers().get(header::CONTENT_TYPE);
    media.is_some_and(|media| media.as_bytes().starts_with(b"text/event-stream"))
}

/// Whether the other side says that it began nothing.
fn is_not_processed<B>(answer: &Response<B>) -> bool {
    answer.status() == StatusCode::SERVICE_UNAVAILABLE && answer.headers().contains_key(NOT_PROCESSED)
}

/// Whether an answer says that the instance itself is broken. 503 is no such: what it means its readiness says.
fn is_fault(status: StatusCode) -> bool {
    matches!(status, StatusCode::INTERNAL_SERVER_ERROR | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT)
}

/// Whether asking twice does what asking once does, and nobody pays for it.
fn is_harmless_twice(head: &Parts) -> bool {
    head.method == Method::GET || head.method == Method::HEAD || head.extensions.get::<Repeatable>().is_some()
}

//! A broker that keeps its promise and nothing else: it delivers at least once, late, twice, and in any order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use cartwright_bus::{Broker, BrokerError, Failure, Interest, Subscription};
use cartwright_runtime::Tasks;
use cartwright_store::Envelope;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::Notify;

/// Deliveries in an order that a seed decides.
#[derive(Clone)]
pub struct HostileBroker(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    wake: Notify,
}

struct State {
    rng: StdRng,
    subscriptions: HashMap<&'static str, Vec<Subscription>>,
    pool: Vec<(Subscription, Envelope)>,
    delivering: usize,
}

impl HostileBroker {
    /// A broker whose deliveries `seed` decides; it runs until `tasks` stop.
    pub fn start(seed: u64, tasks: &Tasks) -> Self {
        let state =
            State { rng: StdRng::seed_from_u64(seed), subscriptions: HashMap::new(), pool: Vec::new(), delivering: 0 };
        let broker = Self(Arc::new(Inner { state: Mutex::new(state), wake: Notify::new() }));
        let (running, stopping) = (broker.clone(), tasks.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = running.run() => {}
                () = stopping.stopped() => {}
            }
        });
        broker
    }

    /// Whether nothing is left to deliver.
    pub fn is_idle(&self) -> bool {
        let state = self.state();
        state.pool.is_empty() && state.delivering == 0
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(&self) {
        loop {
            let Some((subscription, event)) = self.draw() else {
                self.0.wake.notified().await;
                continue;
            };
            let failed = match subscription.handle(event.clone()).await {
                Ok(()) => false,
                Err(Failure::Unavailable(_)) => true,
                Err(Failure::Refused(cause)) => panic!("{subscription:?} refused {}: {cause}", event.name),
            };
            self.note(failed, subscription, event);
            // Others get a turn, so that deliveries mix with requests and jobs.
            tokio::task::yield_now().await;
        }
    }

    /// A delivery has ended; what failed comes again, and so does some of what did not.
    fn note(&self, failed: bool, subscription: Subscription, event: Envelope) {
        let mut state = self.state();
        state.delivering -= 1;
        if failed || state.rng.random_ratio(1, 4) {
            state.pool.push((subscription, event));
        }
    }

    fn draw(&self) -> Option<(Subscription, Envelope)> {
        let mut state = self.state();
        let choices = state.pool.len();
        if choices == 0 {
            return None;
        }
        let place = state.rng.random_range(0..choices);
        state.delivering += 1;
        Some(state.pool.swap_remove(place))
    }
}

#[async_trait]
impl Broker for HostileBroker {
    async fn publish(&self, event: Envelope) -> Result<(), BrokerError> {
        let mut state = self.state();
        let wanted = state.subscriptions.get(event.name.as_str()).cloned().unwrap_or_default();
        state.pool.extend(wanted.into_iter().map(|subscription| (subscription, event.clone())));
        drop(state);
        self.0.wake.notify_one();
        Ok(())
    }

    async fn subscribe(&self, subscriptions: Vec<Subscription>) -> Result<(), BrokerError> {
        let mut state = self.state();
        for subscription in subscriptions {
            state.subscriptions.entry(subscription.event()).or_default().push(subscription);
        }
        Ok(())
    }

    /// Nobody runs elsewhere.
    async fn expect(&self, _interests: Vec<Interest>) -> Result<(), BrokerError> {
        Ok(())
    }

    async fn lag(&self, consumer: &str) -> Result<u64, BrokerError> {
        let waiting = self.state().pool.iter().filter(|(subscription, _)| subscription.consumer() == consumer).count();
        Ok(u64::try_from(waiting).unwrap_or(u64::MAX))
    }
}

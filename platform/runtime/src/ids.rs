//! Where identifiers, secrets and jitter come from.
//!
//! Time-ordered UUIDs (RFC 9562, version 7) keep B-trees hot; secrets are 256 random bits and carry no time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use uuid::Uuid;

use crate::Clock;

/// A source of identifiers. Cheap to clone; clones draw from one source.
#[derive(Clone)]
pub struct Ids(Arc<Mutex<Source>>);

struct Source {
    clock: Clock,
    rng: StdRng,
}

impl Ids {
    /// Unpredictable identifiers, seeded by the operating system.
    pub fn random(clock: Clock) -> Self {
        Self::with(clock, StdRng::from_os_rng())
    }

    /// The same identifiers for the same seed and clock, for tests.
    pub fn seeded(clock: Clock, seed: u64) -> Self {
        Self::with(clock, StdRng::seed_from_u64(seed))
    }

    fn with(clock: Clock, rng: StdRng) -> Self {
        Self(Arc::new(Mutex::new(Source { clock, rng })))
    }

    fn draw<T>(&self, from: impl FnOnce(&mut Source) -> T) -> T {
        from(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A time-ordered identifier. Not a secret: it tells when it was made.
    pub fn uuid(&self) -> Uuid {
        self.draw(|source| {
            let millis = source.clock.now().millis().max(0).unsigned_abs();
            let mut random = [0; 10];
            source.rng.fill_bytes(&mut random);
            uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
        })
    }

    /// 256 random bits as 64 hexadecimal digits, for tokens that must not be guessed.
    pub fn secret(&self) -> String {
        self.bytes::<32>().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// `N` random bytes, for salts and keys.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        self.draw(|source| {
            let mut bytes = [0; N];
            source.rng.fill_bytes(&mut bytes);
            bytes
        })
    }

    /// A duration up to `most`, evenly spread ("full jitter").
    pub fn jitter(&self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.draw(|source| source.rng.random_range(0..=most)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Time;

    #[test]
    fn identifiers_made_later_sort_later() {
        let clock = Clock::manual(Time::from_millis(1_000_000));
        let ids = Ids::seeded(clock.clone(), 1);
        let first = ids.uuid();
        clock.advance(Duration::from_millis(1));
        assert!(first < ids.uuid());
    }

    #[test]
    fn the_same_seed_gives_the_same_secrets() {
        let make = |seed| Ids::seeded(Clock::manual(Time::from_millis(0)), seed).secret();
        assert_eq!(make(7), make(7));
        assert_ne!(make(7), make(8));
    }
}

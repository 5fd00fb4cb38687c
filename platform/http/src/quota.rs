//! How often somebody may do something: token buckets by name, kept here or shared between processes (R-L 6).
//!
//! A bucket holds as many tokens as its rate names and refills evenly. It is kept as one moment, that at which it would be
//! full again (GCRA), and needs no upkeep.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use cartwright_runtime::Clock;
use futures::future::BoxFuture;

/// So many in so long, all of them at once if need be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In how long, milliseconds.
    pub per_ms: u64,
}

impl Rate {
    /// `count` a second.
    pub const fn per_second(count: u32) -> Self {
        Self { count, per_ms: 1_000 }
    }

    /// `count` a minute.
    pub const fn per_minute(count: u32) -> Self {
        Self { count, per_ms: 60_000 }
    }

    /// `count` an hour.
    pub const fn per_hour(count: u32) -> Self {
        Self { count, per_ms: 3_600_000 }
    }

    /// How long an empty bucket takes to fill, microseconds.
    pub const fn fill_us(self) -> u64 {
        self.per_ms.saturating_mul(1_000)
    }

    /// How long one token takes to come, microseconds.
    pub const fn token_us(self) -> u64 {
        let count = if self.count == 0 { 1 } else { self.count };
        let token = self.fill_us() / count as u64;
        if token == 0 { 1 } else { token }
    }
}

/// A token was taken; so many are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left(pub u32);

/// There is no token; one comes after this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no more for another {0:?}")]
pub struct RetryAfter(pub Duration);

impl RetryAfter {
    /// Whole seconds, rounded up, as the header of this name has it.
    pub fn seconds(self) -> u64 {
        u64::try_from(self.0.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX).max(1)
    }
}

/// Where the buckets are kept.
pub trait Quota: Send + Sync + 'static {
    /// Takes a token from the bucket `key`, which holds `rate`. A refusal takes nothing.
    ///
    /// # Errors
    /// When the bucket is empty, with the time until it is not.
    fn take<'a>(&'a self, key: &'a str, rate: Rate) -> BoxFuture<'a, Result<Left, RetryAfter>>;
}

/// Buckets in this process.
pub struct LocalQuota {
    clock: Clock,
    half: usize,
    buckets: Mutex<Buckets>,
}

/// When each bucket is full again, microseconds since 1970. Two generations bound them: those that were not touched while
/// a whole generation came are forgotten, and whoever goes on taking is not.
#[derive(Default)]
struct Buckets {
    young: HashMap<Box<str>, u64>,
    old: HashMap<Box<str>, u64>,
}

impl LocalQuota {
    /// As many buckets as one process needs: a hundred thousand at most, which is some ten megabytes.
    pub fn new(clock: Clock) -> Self {
        Self::with_room(clock, 100_000)
    }

    /// The same for `buckets_max` buckets.
    pub fn with_room(clock: Clock, buckets_max: usize) -> Self {
        Self { clock, half: (buckets_max / 2).max(1), buckets: Mutex::default() }
    }

    fn take_now(&self, key: &str, rate: Rate) -> Result<Left, RetryAfter> {
        let now_us = self.clock.now().millis().max(0).unsigned_abs().saturating_mul(1_000);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let (full_at_us, result) = take_from(buckets.find(key).unwrap_or(0), now_us, rate);
        buckets.keep(key, full_at_us, self.half);
        result
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.young.len() + buckets.old.len()
    }
}

impl Quota for LocalQuota {
    fn take<'a>(&'a self, key: &'a str, rate: Rate) -> BoxFuture<'a, Result<Left, RetryAfter>> {
        Box::pin(std::future::ready(self.take_now(key, rate)))
    }
}

impl Buckets {
    fn find(&self, key: &str) -> Option<u64> {
        self.young.get(key).or_else(|| self.old.get(key)).copied()
    }

    fn keep(&mut self, key: &str, full_at_us: u64, half: usize) {
        if let Some(known) = self.young.get_mut(key) {
            *known = full_at_us;
            return;
        }
        if self.young.len() >= half {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(key);
        self.young.insert(key.into(), full_at_us);
    }
}

/// Takes a token from a bucket that is full at `full_at_us`; when it will be full now, and how it went.
fn take_from(full_at_us: u64, now_us: u64, rate: Rate) -> (u64, Result<Left, RetryAfter>) {
    // Further away than an empty bucket can be it is only where the machine's clock was set back.
    let full_at_us = full_at_us.clamp(now_us, now_us.saturating_add(rate.fill_us()));
    let after = full_at_us.saturating_add(rate.token_us());
    let missing = after.saturating_sub(now_us.saturating_add(rate.fill_us()));
    if rate.count == 0 || missing > 0 {
        let wait = if rate.count == 0 { rate.fill_us() } else { missing };
        return (full_at_us, Err(RetryAfter(Duration::from_micros(wait))));
    }
    let left = (now_us + rate.fill_us() - after) / rate.token_us();
    (after, Ok(Left(u32::try_from(left).unwrap_or(u32::MAX))))
}

#[cfg(test)]
mod tests {
    use cartwright_runtime::Time;

    use super::*;

    fn quota() -> (LocalQuota, Clock) {
        let clock = Clock::manual(Time::from_millis(1_795_340_000_000));
        (LocalQuota::with_room(clock.clone(), 10), clock)
    }

    #[test]
    fn a_minute_s_worth_may_be_taken_at_once_and_then_one_after_the_other() {
        let (quota, clock) = quota();
        let rate = Rate::per_minute(20);
        for left in (0..20).rev() {
            assert_eq!(quota.take_now("a", rate), Ok(Left(left)));
        }
        let refused = quota.take_now("a", rate).unwrap_err();
        assert_eq!((refused, refused.seconds()), (RetryAfter(Duration::from_secs(3)), 3));

        clock.advance(Duration::from_millis(2_999));
        assert_eq!(quota.take_now("a", rate), Err(RetryAfter(Duration::from_millis(1))));
        clock.advance(Duration::from_millis(1));
        assert_eq!(quota.take_now("a", rate), Ok(Left(0)));
        assert!(quota.take_now("a", rate).is_err());
        clock.advance(Duration::from_secs(3_600));
        assert_eq!(quota.take_now("a", rate), Ok(Left(19)));
    }

    #[test]
    fn one_bucket_s_end_is_not_another_s() {
        let (quota, _) = quota();
        assert_eq!(quota.take_now("a", Rate::per_hour(1)), Ok(Left(0)));
        assert!(quota.take_now("a", Rate::per_hour(1)).is_err());
        assert_eq!(quota.take_now("b", Rate::per_hour(1)), Ok(Left(0)));
    }

    #[test]
    fn a_rate_of_nothing_lets_nothing_through() {
        let (quota, _) = quota();
        assert!(quota.take_now("a", Rate::per_minute(0)).is_err());
    }

    #[test]
    fn buckets_are_bounded_and_an_empty_one_is_not_filled_by_others() {
        let (quota, _) = quota();
        assert!(quota.take_now("busy", Rate::per_hour(1)).is_ok());
        for stranger in 0..1_000 {
            assert!(quota.take_now(&format!("stranger {stranger}"), Rate::per_hour(1)).is_ok());
            assert!(quota.take_now("busy", Rate::per_hour(1)).is_err());
            assert!(quota.len() <= 10);
        }
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out_for_longer_than_the_rate_does() {
        let (_, result) = take_from(1_000_000_000, 1_000, Rate::per_second(10));
        assert_eq!(result, Err(RetryAfter(Duration::from_millis(100))));
    }
}

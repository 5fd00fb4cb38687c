//! Time as a value, and the one place that reads the machine's clock.
//!
//! A [`Clock`] is either the system's or one that a test moves by hand; code that waits or expires takes one.

use std::fmt;
use std::future::Future;
use std::str::FromStr;
use std::time::{Duration, Instant};

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};
use tokio::sync::watch;

/// A moment in UTC, exact to the millisecond. Its text form is RFC 3339, `2026-11-22T09:30:00.000Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

impl Time {
    /// The moment `ms` milliseconds after 1970-01-01T00:00:00Z.
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, as JWTs count (RFC 7519, NumericDate).
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This moment and `by` later. Saturates at the ends of what can be counted.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This moment and `by` earlier. Saturates at the ends of what can be counted.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is; zero where it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(moment) => write!(f, "{moment:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

impl FromStr for Time {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<jiff::Timestamp>().map(|moment| Self(moment.as_millisecond()))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rfc3339;
        impl Visitor<'_> for Rfc3339 {
            type Value = Time;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 time")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Time, E> {
                text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Rfc3339)
    }
}

/// Tells the time and waits. Cheap to clone; clones of a manual clock move together.
#[derive(Clone, Debug)]
pub struct Clock(Kind);

#[derive(Clone, Debug)]
enum Kind {
    System,
    Manual(watch::Sender<Time>),
}

impl Clock {
    /// The machine's clock.
    pub const fn system() -> Self {
        Self(Kind::System)
    }

    /// A clock that stands at `start` until [`Clock::advance`] moves it.
    pub fn manual(start: Time) -> Self {
        Self(Kind::Manual(watch::Sender::new(start)))
    }

    /// The present moment.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    pub fn now(&self) -> Time {
        match &self.0 {
            Kind::System => Time(jiff::Timestamp::now().as_millisecond()),
            Kind::Manual(now) => *now.borrow(),
        }
    }

    /// Moves a manual clock on; everything that sleeps until then wakes. The system's clock is not moved.
    pub fn advance(&self, by: Duration) {
        if let Kind::Manual(now) = &self.0 {
            now.send_modify(|time| *time = time.plus(by));
        }
    }

    /// Whether a test drives this clock.
    pub const fn is_manual(&self) -> bool {
        matches!(self.0, Kind::Manual(_))
    }

    /// Waits for `duration` of this clock's time.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that sleeps")]
    pub async fn sleep(&self, duration: Duration) {
        match &self.0 {
            Kind::System => tokio::time::sleep(duration).await,
            Kind::Manual(now) => {
                let mut now = now.subscribe();
                let until = now.borrow().plus(duration);
                // The sender lives in `self`, so waiting ends only by the time having come.
                drop(now.wait_for(|time| *time >= until).await);
            }
        }
    }

    /// Waits for a moment of real time, for back-off between tries, where a driven clock would never move.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that sleeps")]
    pub async fn pause(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    /// What `work` gives, or `None` when `limit` of this clock's time passes first. `work` is then dropped.
    pub async fn timeout<F: Future>(&self, limit: Duration, work: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = work => Some(output),
            () = self.sleep(limit) => None,
        }
    }

    /// Starts measuring real elapsed time, for metrics and deadlines of the machine itself.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the monotonic clock")]
    pub fn stopwatch(&self) -> Stopwatch {
        Stopwatch(Instant::now())
    }
}

/// Real time since it was started, whatever the wall clock does meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_with_milliseconds_and_read_back() {
        let time = Time::from_millis(1_795_340_000_120);
        assert_eq!(time.to_string().parse::<Time>().unwrap(), time);
        assert!(time.to_string().ends_with(".120Z"));
    }

    #[tokio::test]
    async fn a_sleeper_wakes_when_the_manual_clock_has_moved_far_enough() {
        let clock = Clock::manual(Time::from_millis(0));
        let sleeper = clock.sleep(Duration::from_secs(5));
        tokio::pin!(sleeper);
        assert!(futures::poll!(sleeper.as_mut()).is_pending());
        clock.advance(Duration::from_secs(4));
        assert!(futures::poll!(sleeper.as_mut()).is_pending());
        clock.advance(Duration::from_secs(1));
        assert!(futures::poll!(sleeper.as_mut()).is_ready());
    }
}

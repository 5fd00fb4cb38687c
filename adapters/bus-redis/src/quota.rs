//! Token buckets in Redis, so that all gateways of a shop count together (R-L 6).
//!
//! One script takes a token by the server's own clock, so that nobody's clock matters and no two takers get the same one.
//! Where Redis does not answer at once each process counts for itself: a limit is no reason to turn a shopper away.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cartwright_http::{Left, LocalQuota, Quota, Rate, RetryAfter};
use cartwright_runtime::{Clock, Stopwatch};
use futures::future::BoxFuture;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, RedisError, Script};

/// How long Redis usually may take for a token.
const PATIENCE: Duration = Duration::from_millis(50);

/// How long it is left alone after it did not answer, milliseconds.
const AWAY_MS: u64 = 1_000;

/// How often the log says that it is away, milliseconds.
const SAID_EVERY_MS: u64 = 60_000;

/// A bucket is the moment at which it will be full again, microseconds, as in [`LocalQuota`]; it is gone once it is full.
const TAKE: &str = r"
local token, fill = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local full_at = tonumber(redis.call('GET', KEYS[1]) or 0)
full_at = math.min(math.max(full_at, now), now + fill)
local after = full_at + token
local missing = after - (now + fill)
if missing > 0 then
  return {0, missing}
end
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000))
return {1, math.floor((now + fill - after) / token)}
";

/// Buckets that all processes share.
pub struct RedisQuota {
    script: Script,
    manager: ConnectionManager,
    local: LocalQuota,
    clock: Clock,
    patience: Duration,
    absence: Absence,
}

/// Why the address of a server cannot be used. It may hold a password, so it is not repeated.
#[derive(Debug, thiserror::Error)]
#[error("the address of the Redis server for rate limits cannot be used: {0}")]
pub struct QuotaError(#[source] RedisError);

impl RedisQuota {
    /// Buckets on the server at `url`, which may lose them: one that syncs each write only takes longer. Does not wait for
    /// it: until it answers, this process counts for itself. Needs the runtime, in which connections are kept.
    ///
    /// # Errors
    /// When `url` is not the address of a server.
    pub fn new(url: &str, clock: Clock) -> Result<Self, QuotaError> {
        Self::with_patience(url, clock, PATIENCE)
    }

    /// The same where the server may take `patience` for a token, of real time, before this process counts for itself.
    ///
    /// # Errors
    /// See [`RedisQuota::new`].
    pub fn with_patience(url: &str, clock: Clock, patience: Duration) -> Result<Self, QuotaError> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(Duration::from_secs(1)))
            .set_response_timeout(Some(patience))
            .set_number_of_retries(1)
            .set_max_delay(Duration::from_millis(AWAY_MS));
        let client = Client::open(url).map_err(QuotaError)?;
        let manager = ConnectionManager::new_lazy_with_config(client, config).map_err(QuotaError)?;
        let absence = Absence::new(clock.stopwatch());
        Ok(Self { script: Script::new(TAKE), manager, local: LocalQuota::new(clock.clone()), clock, patience, absence })
    }

    async fn take_token(&self, key: &str, rate: Rate) -> Result<Left, RetryAfter> {
        if rate.count == 0 || self.absence.lasts() {
            return self.local.take(key, rate).await;
        }
        match self.ask(key, rate).await {
            Ok(answer) => answer,
            Err(why) => {
                if self.absence.begin() {
                    tracing::warn!(why, "Redis does not count rates; each process counts for itself meanwhile");
                }
                self.local.take(key, rate).await
            }
        }
    }

    async fn ask(&self, key: &str, rate: Rate) -> Result<Result<Left, RetryAfter>, String> {
        let mut connection = self.manager.clone();
        let mut call = self.script.prepare_invoke();
        call.key(format!("cartwright:quota:{key}")).arg(rate.token_us()).arg(rate.fill_us());
        let answer = tokio::select! {
            biased;
            answer = call.invoke_async::<(u8, u64)>(&mut connection) => answer,
            () = self.clock.pause(self.patience) => return Err("no answer in time".to_owned()),
        };
        match answer.map_err(|error| error.to_string())? {
            (0, missing) => Ok(Err(RetryAfter(Duration::from_micros(missing)))),
            (_, left) => Ok(Ok(Left(u32::try_from(left).unwrap_or(u32::MAX)))),
        }
    }
}

impl Quota for RedisQuota {
    fn take<'a>(&'a self, key: &'a str, rate: Rate) -> BoxFuture<'a, Result<Left, RetryAfter>> {
        Box::pin(self.take_token(key, rate))
    }
}

/// Whether Redis is left alone, and whether the log knows. Times are milliseconds since the start.
struct Absence {
    made: Stopwatch,
    until_ms: AtomicU64,
    say_at_ms: AtomicU64,
}

impl Absence {
    const fn new(made: Stopwatch) -> Self {
        Self { made, until_ms: AtomicU64::new(0), say_at_ms: AtomicU64::new(0) }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.made.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lasts(&self) -> bool {
        self.now_ms() < self.until_ms.load(Ordering::Relaxed)
    }

    /// Begins, or goes on; true where it should be said.
    fn begin(&self) -> bool {
        self.begin_at(self.now_ms())
    }

    fn begin_at(&self, now_ms: u64) -> bool {
        self.until_ms.store(now_ms + AWAY_MS, Ordering::Relaxed);
        let say_at = self.say_at_ms.load(Ordering::Relaxed);
        let next = now_ms + SAID_EVERY_MS;
        now_ms >= say_at && self.say_at_ms.compare_exchange(say_at, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absence_is_said_once_a_minute() {
        let absence = Absence::new(Clock::system().stopwatch());
        let said = (0..180).filter(|second| absence.begin_at(second * 1_000)).count();
        assert_eq!(said, 3);
    }

    #[tokio::test]
    async fn what_is_no_address_is_refused_without_being_repeated() {
        let refused = RedisQuota::new("nonsense://:secret@host", Clock::system()).err().unwrap().to_string();
        assert!(refused.starts_with("the address of the Redis server") && !refused.contains("secret"), "{refused}");
    }
}

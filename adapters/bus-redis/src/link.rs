//! How a process reaches Redis: one connection for everything that does not wait, and others for what does.
//!
//! Both are made again by themselves. An answer that does not come ends the connection, because a peer that vanished
//! without a word would otherwise be written to for a quarter of an hour.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use cartwright_bus::BrokerError;
use cartwright_runtime::{Clock, Secret, Tasks};
use redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, TlsCertificates};

use crate::keys::Keys;

/// How long Redis may take to answer, and to accept a connection.
const PATIENCE: Duration = Duration::from_secs(10);
const CONNECT_PATIENCE: Duration = Duration::from_secs(3);
/// The oldest Redis that has all commands (`XAUTOCLAIM`).
const OLDEST: (u32, u32) = (6, 2);

/// Why Redis can never be used as it is described.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address is none.
    #[error("the address of Redis must look like redis://user:password@host:6379/0 or rediss://…: {0}")]
    Address(RedisError),
    /// It refused us.
    #[error("Redis refuses this user or password: {0}")]
    Refused(RedisError),
    /// It is too old.
    #[error("Redis {0} is too old: 6.2 or later is needed")]
    TooOld(String),
}

/// The way to one Redis. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Link(Arc<Inner>);

struct Inner {
    client: Client,
    manager: RwLock<ConnectionManager>,
    keys: Keys,
    clock: Clock,
    tasks: Tasks,
}

impl Link {
    /// Looks at Redis and its settings, where it is not away.
    pub(crate) async fn open(
        address: &Secret<String>,
        authority: Option<String>,
        keys: Keys,
        clock: Clock,
        tasks: Tasks,
    ) -> Result<Self, OpenError> {
        let address = address.reveal().as_str();
        let client = match authority {
            Some(pem) => {
                let tls = TlsCertificates { client_tls: None, root_cert: Some(pem.into_bytes()) };
                Client::build_with_tls(address, tls)
            }
            None => Client::open(address),
        };
        let client = client.map_err(OpenError::Address)?;
        let manager = RwLock::new(manager(&client).map_err(OpenError::Address)?);
        let link = Self(Arc::new(Inner { client, manager, keys, clock, tasks }));
        match link.look().await {
            Ok(()) => {}
            Err(Look::Never(error)) => return Err(error),
            Err(Look::Away(error)) => tracing::warn!(%error, "Redis is away; events wait until it is back"),
        }
        Ok(link)
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.0.keys
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub(crate) fn tasks(&self) -> &Tasks {
        &self.0.tasks
    }

    /// Runs a command that does not wait.
    pub(crate) async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        let result = command.query_async(&mut self.manager()).await;
        self.check(result)
    }

    /// Runs commands as one transaction.
    pub(crate) async fn run_all<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, RedisError> {
        let result = commands.query_async(&mut self.manager()).await;
        self.check(result)
    }

    /// Runs a script.
    pub(crate) async fn invoke<T: FromRedisValue>(
        &self,
        script: &redis::ScriptInvocation<'_>,
    ) -> Result<T, RedisError> {
        let result = script.invoke_async(&mut self.manager()).await;
        self.check(result)
    }

    /// A connection whose commands may wait for `longest` before they are answered.
    pub(crate) async fn waiting(&self, longest: Duration) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_PATIENCE))
            .set_response_timeout(Some(longest + PATIENCE));
        self.0.client.get_multiplexed_async_connection_with_config(&config).await
    }

    /// A connection that listens to hints.
    pub(crate) async fn listening(&self) -> Result<PubSub, RedisError> {
        let connected = self.0.client.get_async_pubsub();
        let late = || std::io::Error::new(std::io::ErrorKind::TimedOut, "Redis does not answer").into();
        self.0.clock.timeout(PATIENCE, connected).await.unwrap_or_else(|| Err(late()))
    }

    fn manager(&self) -> ConnectionManager {
        self.0.manager.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn check<T>(&self, result: Result<T, RedisError>) -> Result<T, RedisError> {
        if result.as_ref().is_err_and(RedisError::is_timeout)
            && let Ok(fresh) = manager(&self.0.client)
        {
            *self.0.manager.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        }
        result
    }

    async fn look(&self) -> Result<(), Look> {
        let about: String = self.run(redis::cmd("INFO").arg("server")).await.map_err(Look::of)?;
        let version = about.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap_or_default().trim();
        if version_of(version).is_some_and(|version| version < OLDEST) {
            return Err(Look::Never(OpenError::TooOld(version.to_owned())));
        }
        for (setting, wanted, why) in [
            ("appendonly", "yes", "a crash of Redis loses events that the shop takes for safe"),
            ("appendfsync", "always", "a crash of its machine loses events that the shop takes for safe"),
            ("maxmemory-policy", "noeviction", "it may throw away events when its memory is full"),
        ] {
            let answer: Result<Vec<String>, _> = self.run(redis::cmd("CONFIG").arg("GET").arg(setting)).await;
            match answer.as_deref() {
                Ok([_, value]) if value == wanted => {}
                Ok([_, value]) => tracing::warn!("Redis runs with `{setting} {value}`, not `{wanted}`: {why}"),
                Ok(_) | Err(_) => tracing::info!("Redis does not tell its `{setting}`; it should be `{wanted}`"),
            }
        }
        Ok(())
    }
}

/// Why a look at Redis failed.
enum Look {
    Never(OpenError),
    Away(RedisError),
}

impl Look {
    fn of(error: RedisError) -> Self {
        let refused = matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"));
        if refused || error.kind() == ErrorKind::AuthenticationFailed {
            Self::Never(OpenError::Refused(error))
        } else {
            Self::Away(error)
        }
    }
}

/// Tries twice for each command and then says so: who publishes or reads has a back-off of its own.
fn manager(client: &Client) -> Result<ConnectionManager, RedisError> {
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(1)
        .set_connection_timeout(Some(CONNECT_PATIENCE))
        .set_response_timeout(Some(PATIENCE));
    ConnectionManager::new_lazy_with_config(client.clone(), config)
}

fn version_of(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.').map_while(|part| part.parse().ok());
    Some((parts.next()?, parts.next()?))
}

pub(crate) fn failed(error: RedisError) -> BrokerError {
    BrokerError(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert!(version_of("5.0.14") < Some(OLDEST));
        assert!(version_of("6.0.16") < Some(OLDEST));
        assert!(version_of("6.2.0") >= Some(OLDEST));
        assert!(version_of("7.10.1") >= Some(OLDEST));
    }
}

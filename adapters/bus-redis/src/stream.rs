//! A consumer's stream as one process of it sees it: the commands, one function each.
//!
//! An entry is *pending* from its delivery to a process until it is acknowledged. One that no process has spoken of for
//! a while is claimed by another: its process is dead or cut off.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::streams::{StreamAutoClaimReply, StreamId, StreamInfoConsumersReply, StreamReadReply};
use redis::{RedisError, cmd, pipe};

use crate::keys::GROUP;
use crate::link::Link;

/// The field of an entry that holds the event.
const FIELD: &str = "event";
/// A process that has not read for so long and holds nothing is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);
/// So idle is an entry that was given back: anybody may claim it at once.
const GIVEN_BACK: Duration = Duration::from_secs(24 * 3600);

/// One process in the group of one stream. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Stream {
    pub(crate) link: Link,
    pub(crate) key: String,
    pub(crate) process: String,
}

/// An entry: its place in the stream, and the event as it was published, unless it is gone.
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) body: Option<Vec<u8>>,
}

impl From<StreamId> for Entry {
    fn from(entry: StreamId) -> Self {
        Self { body: entry.get(FIELD), id: entry.id }
    }
}

impl Stream {
    /// Waits up to `longest` for new entries.
    pub(crate) async fn new_entries(
        &self,
        connection: &mut MultiplexedConnection,
        most: usize,
        longest: Duration,
    ) -> Result<Vec<Entry>, RedisError> {
        let mut command = cmd("XREADGROUP");
        command.arg("GROUP").arg(GROUP).arg(&self.process).arg("COUNT").arg(most).arg("BLOCK").arg(millis(longest));
        command.arg("STREAMS").arg(&self.key).arg(">");
        let reply: Option<StreamReadReply> = command.query_async(connection).await?;
        Ok(entries(reply.unwrap_or_default()))
    }

    /// Entries that this process was given over an earlier connection, from `after` on.
    pub(crate) async fn own_entries(&self, after: &str, most: usize) -> Result<Vec<Entry>, RedisError> {
        let mut command = cmd("XREADGROUP");
        command.arg("GROUP").arg(GROUP).arg(&self.process).arg("COUNT").arg(most);
        command.arg("STREAMS").arg(&self.key).arg(after);
        Ok(entries(self.link.run(&command).await?))
    }

    /// Entries that nobody has spoken of for `idle`, from `from` on; they are this process's from now on. And where to go
    /// on.
    pub(crate) async fn abandoned_entries(
        &self,
        idle: Duration,
        from: &str,
        most: usize,
    ) -> Result<(Vec<Entry>, String), RedisError> {
        let mut command = cmd("XAUTOCLAIM");
        command.arg(&self.key).arg(GROUP).arg(&self.process).arg(millis(idle)).arg(from).arg("COUNT").arg(most);
        let reply: StreamAutoClaimReply = self.link.run(&command).await?;
        Ok((reply.claimed.into_iter().map(Entry::from).collect(), reply.next_stream_id))
    }

    /// Says that this process still works on `ids`.
    pub(crate) async fn keep(&self, ids: &[String]) -> Result<(), RedisError> {
        self.claim(ids, Duration::ZERO).await
    }

    /// Says that anybody may have `ids` at once.
    pub(crate) async fn give_back(&self, ids: &[String]) -> Result<(), RedisError> {
        self.claim(ids, GIVEN_BACK).await
    }

    /// Takes an entry out of the stream: it is applied. Nobody else needs it, as each consumer has a stream of its own.
    pub(crate) async fn acknowledge(&self, id: &str) -> Result<(), RedisError> {
        let mut commands = pipe();
        commands.atomic().cmd("XACK").arg(&self.key).arg(GROUP).arg(id).ignore();
        commands.cmd("XDEL").arg(&self.key).arg(id).ignore();
        self.link.run_all(&commands).await
    }

    /// Forgets processes that are long gone and hold nothing.
    pub(crate) async fn forget_the_gone(&self) -> Result<(), RedisError> {
        let all: StreamInfoConsumersReply =
            self.link.run(cmd("XINFO").arg("CONSUMERS").arg(&self.key).arg(GROUP)).await?;
        let gone = all.consumers.iter().filter(|it| {
            it.pending == 0 && u128::try_from(it.idle).is_ok_and(|idle| idle > FORGOTTEN_AFTER.as_millis())
        });
        for process in gone {
            let mut command = cmd("XGROUP");
            command.arg("DELCONSUMER").arg(&self.key).arg(GROUP).arg(&process.name);
            self.link.run::<i64>(&command).await?;
        }
        Ok(())
    }

    async fn claim(&self, ids: &[String], idle: Duration) -> Result<(), RedisError> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut command = cmd("XCLAIM");
        command.arg(&self.key).arg(GROUP).arg(&self.process).arg(0).arg(ids);
        command.arg("IDLE").arg(millis(idle)).arg("JUSTID");
        self.link.run::<Vec<String>>(&command).await.map(drop)
    }
}

fn entries(reply: StreamReadReply) -> Vec<Entry> {
    reply.keys.into_iter().flat_map(|key| key.ids).map(Entry::from).collect()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

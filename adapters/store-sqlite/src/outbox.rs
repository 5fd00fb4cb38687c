//! The outbox: events in the order of their commits, marked when sent, forgotten a week later.

use std::sync::Arc;
use std::time::Duration;

use cartwright_runtime::{Clock, Stopwatch, Time};
use cartwright_store::{Bookmark, Envelope, StoreError};
use rusqlite::{Connection, params};
use serde_json::value::RawValue;

/// What a new file gets. The second index lists what is still to be sent, so that looking for it costs nothing when idle.
pub(crate) const SCHEMA: &str = "
    CREATE TABLE outbox (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, source TEXT NOT NULL, type TEXT NOT NULL,
        subject TEXT NOT NULL, time TEXT NOT NULL, data TEXT NOT NULL, traceparent TEXT, checksum INTEGER NOT NULL,
        sent_at INTEGER
    ) STRICT;
    CREATE UNIQUE INDEX \"outbox.id\" ON outbox (id);
    CREATE INDEX \"outbox.unsent\" ON outbox (seq) WHERE sent_at IS NULL;";

/// How long a sent event is kept.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// How many events one step of forgetting looks at.
const STEP: i64 = 500;
/// The pause between two steps while there is something to forget, and while there is not.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(60));

pub(crate) fn append(connection: &Connection, event: &Envelope) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO outbox (id, source, type, subject, time, data, traceparent, checksum) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    let data = event.data.get();
    let (time, sum) = (event.time.to_string(), checksum(&event.id, data));
    let row = params![event.id, event.source, event.name, event.subject, time, data, event.traceparent, sum];
    statement.execute(row).map(drop)
}

pub(crate) fn mark_sent(connection: &Connection, ids: &[String], now: Time) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare_cached("UPDATE outbox SET sent_at = ?2 WHERE id = ?1 AND sent_at IS NULL")?;
    ids.iter().try_for_each(|id| statement.execute(params![id, now.millis()]).map(drop))
}

pub(crate) fn unsent(
    connection: &Connection,
    after: u64,
    limit: usize,
) -> rusqlite::Result<Vec<Result<(Bookmark, Envelope), StoreError>>> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, id, source, type, subject, time, data, traceparent, checksum FROM outbox \
         INDEXED BY \"outbox.unsent\" WHERE sent_at IS NULL AND seq > ?1 ORDER BY seq LIMIT ?2",
    )?;
    let window = (i64::try_from(after).unwrap_or(i64::MAX), i64::try_from(limit).unwrap_or(i64::MAX));
    statement.query_map(window, envelope)?.collect()
}

/// How many are still to be sent, counted up to `most`.
pub(crate) fn waiting(connection: &Connection, most: usize) -> rusqlite::Result<usize> {
    let mut statement = connection.prepare_cached(
        "SELECT count(*) FROM (SELECT 1 FROM outbox INDEXED BY \"outbox.unsent\" WHERE sent_at IS NULL LIMIT ?1)",
    )?;
    let count: i64 = statement.query_row([i64::try_from(most).unwrap_or(i64::MAX)], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

fn envelope(row: &rusqlite::Row<'_>) -> rusqlite::Result<Result<(Bookmark, Envelope), StoreError>> {
    let (seq, id, time, data): (i64, String, String, String) = (row.get(0)?, row.get(1)?, row.get(5)?, row.get(6)?);
    if i64::from(checksum(&id, &data)) != row.get::<_, i64>(8)? {
        let mend = "its checksum does not match: restore a backup, then run `cartwright verify`";
        return Ok(Err(StoreError::Unusable(format!("event {id} of the outbox is damaged, {mend}"))));
    }
    let (Ok(time), Ok(data)) = (time.parse::<Time>(), RawValue::from_string(data)) else {
        return Ok(Err(StoreError::Unusable(format!("event {id} of the outbox cannot be read"))));
    };
    let envelope = Envelope {
        specversion: "1.0".to_owned(),
        id,
        source: row.get(2)?,
        name: row.get(3)?,
        subject: row.get(4)?,
        time,
        datacontenttype: "application/json".to_owned(),
        data: Arc::from(data),
        traceparent: row.get(7)?,
    };
    Ok(Ok((Bookmark::numbered(seq.unsigned_abs()), envelope)))
}

fn checksum(id: &str, data: &str) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(id.as_bytes());
    sum.update(data.as_bytes());
    sum.finalize()
}

/// Forgets what was sent a week ago, a few events beside a commit that is written anyway.
pub(crate) struct Forgetting {
    clock: Clock,
    rested: Stopwatch,
    pause: Duration,
    from: i64,
}

impl Forgetting {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { rested: clock.stopwatch(), clock, pause: PAUSE.0, from: 0 }
    }

    /// One step, if it is time for one.
    pub(crate) fn step(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if self.rested.elapsed() < self.pause {
            return Ok(());
        }
        self.rested = self.clock.stopwatch();
        let until = self.clock.now().minus(KEPT).millis();
        let last: Option<i64> = connection
            .prepare_cached("SELECT max(seq) FROM (SELECT seq FROM outbox WHERE seq > ?1 ORDER BY seq LIMIT ?2)")?
            .query_row([self.from, STEP], |row| row.get(0))?;
        let mut forget =
            connection.prepare_cached("DELETE FROM outbox WHERE seq > ?1 AND seq <= ?2 AND sent_at < ?3")?;
        let forgotten = last.map_or(Ok(0), |last| forget.execute([self.from, last, until]))?;
        // Events that nobody could send yet are stepped over; the first young ones end the walk.
        let goes_on = forgotten > 0;
        self.from = last.filter(|_| goes_on).unwrap_or(0);
        self.pause = if goes_on { PAUSE.0 } else { PAUSE.1 };
        Ok(())
    }
}

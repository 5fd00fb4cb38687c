//! One message to one person: why, how far it got, and what went wrong on the way.
//!
//! It ends as sent or failed. Only somebody who asks for it starts a failed one again, and a sent one never starts again.

use std::time::Duration;

use cartwright_runtime::Time;
use cartwright_store::Lease;
use cartwright_vocabulary::{NotificationId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::occasion::Occasion;

/// How long a message is tried.
const TRIED_FOR: Duration = Duration::from_secs(24 * 3600);
/// The pause after the first failure; it doubles up to an hour.
const FIRST_PAUSE: Duration = Duration::from_secs(10);

/// One message to one person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    /// Its id, which follows from the occasion where the occasion has one.
    pub id: NotificationId,
    /// Why it is sent.
    pub occasion: Occasion,
    /// To whom, as far as that is known.
    pub user: Option<UserId>,
    /// How far it got.
    pub status: Status,
    /// How often it was handed to somebody, or could not be.
    pub attempts: u32,
    /// What went wrong the last time.
    pub last_error: Option<String>,
    /// When the occasion came up.
    pub created_at: Time,
    /// The last moment at which it is tried.
    pub give_up_at: Time,
    /// When it was taken.
    pub sent_at: Option<Time>,
    /// The right to send it. Its fence outlives the end, so that a late actor cannot record over a new start.
    pub lease: Lease,
}

/// How far a message got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// To be sent, now or after a failure.
    Queued,
    /// Taken by somebody who is responsible for it now.
    Sent,
    /// Given up.
    Failed,
}

impl Status {
    const ALL: [Self; 3] = [Self::Queued, Self::Sent, Self::Failed];

    /// Its name in JSON and in indexes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Failed => "failed",
        }
    }

    /// The one of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was taken; it was for this user, if that is known.
    Sent(Option<UserId>),
    /// It may be taken later.
    Later(String),
    /// It will never be taken.
    Never(String),
}

/// It was sent; sending it again would be a second message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this message was sent; ask for another one to send it again")]
pub(crate) struct AlreadySent;

impl Notification {
    /// A message to be sent by whoever holds `lease`.
    pub(crate) fn new(id: NotificationId, occasion: Occasion, lease: Lease, now: Time) -> Self {
        Self {
            id,
            user: occasion.user(),
            occasion,
            status: Status::Queued,
            attempts: 0,
            last_error: None,
            created_at: now,
            give_up_at: now.plus(TRIED_FOR),
            sent_at: None,
            lease,
        }
    }

    /// Writes down what came of an attempt and decides whether there will be another.
    pub(crate) fn record(&mut self, outcome: Outcome, now: Time) {
        self.attempts = self.attempts.saturating_add(1);
        match outcome {
            Outcome::Sent(user) => {
                self.status = Status::Sent;
                self.user = user.or(self.user);
                self.sent_at = Some(now);
                self.last_error = None;
            }
            Outcome::Later(error) if now < self.give_up_at => {
                self.lease = self.lease.again(now, FIRST_PAUSE);
                self.lease.due = self.lease.due.min(self.give_up_at);
                self.last_error = Some(error);
            }
            Outcome::Later(error) | Outcome::Never(error) => {
                self.status = Status::Failed;
                self.last_error = Some(error);
            }
        }
    }

    /// Makes it due at once, for another day; one that is being sent at this moment is left alone.
    ///
    /// # Errors
    /// [`AlreadySent`].
    pub(crate) fn try_again(&mut self, now: Time) -> Result<(), AlreadySent> {
        let under_way = self.lease.holder.is_some() && self.lease.due > now;
        match self.status {
            Status::Sent => return Err(AlreadySent),
            Status::Queued if under_way => return Ok(()),
            Status::Queued | Status::Failed => {}
        }
        self.status = Status::Queued;
        self.lease = self.lease.next(now);
        self.give_up_at = now.plus(TRIED_FOR);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const START: Time = Time::from_millis(1_000_000);

    fn welcome() -> Notification {
        let user = UserId::new(Uuid::from_u128(1));
        let id = NotificationId::new(Uuid::from_u128(2));
        Notification::new(id, Occasion::Registered { user }, Lease::due(START), START)
    }

    #[test]
    fn a_message_that_is_never_taken_is_tried_for_a_day_with_longer_and_longer_pauses() {
        let mut message = welcome();
        let mut pauses = Vec::new();
        let mut now = START;
        while message.status == Status::Queued && message.attempts < 100 {
            message.record(Outcome::Later("busy".to_owned()), now);
            if message.status == Status::Queued {
                pauses.push(message.lease.due.since(now));
                now = message.lease.due;
            }
        }
        assert_eq!(message.status, Status::Failed);
        assert_eq!(now, START.plus(TRIED_FOR), "the last attempt is a day after the first");
        assert_eq!(pauses[0], FIRST_PAUSE);
        assert_eq!(pauses[1], FIRST_PAUSE * 2);
        assert!(pauses.iter().all(|pause| *pause <= Duration::from_secs(3600)));
        assert_eq!(message.attempts as usize, pauses.len() + 1);
    }

    #[test]
    fn a_sent_message_is_never_started_again_and_a_failed_one_is_when_asked() {
        let mut message = welcome();
        message.record(Outcome::Never("no such mailbox".to_owned()), START);
        assert_eq!(message.status, Status::Failed);
        let later = START.plus(TRIED_FOR * 3);
        assert_eq!(message.try_again(later), Ok(()));
        assert_eq!((message.status, message.lease.due), (Status::Queued, later));
        message.record(Outcome::Sent(None), later);
        assert_eq!((message.status, message.sent_at, message.attempts), (Status::Sent, Some(later), 2));
        assert_eq!(message.try_again(later), Err(AlreadySent));
    }
}

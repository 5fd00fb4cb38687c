//! A session: what one login began, kept alive by refresh tokens that each work once.
//!
//! A token that comes back late, or from another client, was copied: the whole session ends.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cartwright_runtime::Time;
use cartwright_vocabulary::UserId;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::refresh_token::{RefreshToken, SessionId};

/// A session that is not refreshed for so long ends.
const IDLE: Duration = Duration::from_secs(7 * 24 * 3600);
/// A session ends after so long, however often it is refreshed.
pub(crate) const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);
/// For so long the same client may repeat a refresh whose answer it lost.
const REPEATABLE: Duration = Duration::from_secs(10);

/// 32 bytes, stored as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bytes32(pub(crate) [u8; 32]);

impl Serialize for Bytes32 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes32 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let bytes = URL_SAFE_NO_PAD.decode(text.as_bytes()).map_err(serde::de::Error::custom)?;
        bytes.try_into().map(Self).map_err(|_| serde::de::Error::custom("32 bytes are needed"))
    }
}

/// What one login began.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) user: UserId,
    /// The user's epoch at the login.
    epoch: u64,
    /// Seals the session's refresh tokens.
    key: Bytes32,
    /// The hash of the refresh token that works.
    current: String,
    previous: Option<Previous>,
    started_at: Time,
    idle_ends_at: Time,
    pub(crate) ends_at: Time,
    /// When the last access token of it ends.
    tokens_end_at: Time,
    revoked_at: Option<Time>,
}

/// The refresh token that worked before.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Previous {
    hash: String,
    nonce: Bytes32,
    client: String,
    used_at: Time,
}

/// Random bytes for a new session.
#[derive(Clone, Copy)]
pub(crate) struct Seed {
    pub(crate) key: [u8; 32],
    pub(crate) secret: [u8; 32],
}

/// What came of presenting a refresh token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Presented {
    /// It worked; this one works next.
    Rotated(RefreshToken),
    /// It worked a moment ago for the same client; this is what that client was given.
    Repeated(RefreshToken),
    /// It worked once and was used again: somebody has a copy. The session has ended.
    Reused,
    /// It was never a token of this session.
    Unknown,
}

impl Session {
    /// A session of `user` in their present `epoch`, and its first refresh token.
    pub(crate) fn open(id: SessionId, user: UserId, epoch: u64, seed: Seed, now: Time) -> (Self, RefreshToken) {
        let token = RefreshToken::new(id, seed.secret, &seed.key);
        let ends_at = now.plus(LONGEST);
        let session = Self {
            id,
            user,
            epoch,
            key: Bytes32(seed.key),
            current: token.hash(),
            previous: None,
            started_at: now,
            idle_ends_at: now.plus(IDLE),
            ends_at,
            tokens_end_at: now,
            revoked_at: None,
        };
        (session, token)
    }

    /// Whether it can be refreshed, where its user is in `epoch`.
    pub(crate) fn is_live(&self, epoch: u64, now: Time) -> bool {
        self.revoked_at.is_none() && self.epoch == epoch && now < self.idle_ends_at && now < self.ends_at
    }

    /// When an access token that lives for `life` and is issued now ends: never after the session.
    pub(crate) fn issue(&mut self, life: Duration, now: Time) -> Time {
        let end = now.plus(life).min(self.ends_at);
        self.tokens_end_at = self.tokens_end_at.max(end);
        end
    }

    /// Until when an access token of it may be around.
    pub(crate) fn tokens_end_at(&self) -> Time {
        self.tokens_end_at.plus(REPEATABLE)
    }

    /// Takes a refresh token that `client` presents. `nonce` is 32 fresh random bytes.
    pub(crate) fn present(&mut self, token: &RefreshToken, client: &str, nonce: [u8; 32], now: Time) -> Presented {
        let key = self.key.0;
        if token.session() != self.id || !token.is_sealed_with(&key) {
            return Presented::Unknown;
        }
        let hash = token.hash();
        if hash == self.current {
            let next = token.successor(&nonce, &key);
            let client = client.to_owned();
            self.previous = Some(Previous { hash, nonce: Bytes32(nonce), client, used_at: now });
            self.current = next.hash();
            self.idle_ends_at = now.plus(IDLE).min(self.ends_at);
            return Presented::Rotated(next);
        }
        let repeats = |before: &&Previous| {
            before.hash == hash && before.client == client && now.since(before.used_at) <= REPEATABLE
        };
        match self.previous.as_ref().filter(repeats) {
            Some(before) => Presented::Repeated(token.successor(&before.nonce.0, &key)),
            None => {
                self.revoke(now);
                Presented::Reused
            }
        }
    }

    /// Ends it; false where it had ended before.
    pub(crate) fn revoke(&mut self, now: Time) -> bool {
        let first = self.revoked_at.is_none();
        self.revoked_at.get_or_insert(now);
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Time = Time::from_millis(1_795_340_000_000);

    fn session() -> (Session, RefreshToken) {
        let id = format!("ses_{:032x}", 1).parse().unwrap();
        let user = format!("usr_{:032x}", 2).parse().unwrap();
        Session::open(id, user, 0, Seed { key: [1; 32], secret: [2; 32] }, START)
    }

    fn rotated(presented: Presented) -> RefreshToken {
        let Presented::Rotated(token) = presented else { panic!("{presented:?}") };
        token
    }

    #[test]
    fn the_same_client_gets_the_same_successor_for_ten_seconds() {
        let (mut session, first) = session();
        let second = rotated(session.present(&first, "phone", [3; 32], START));
        let in_time = START.plus(REPEATABLE);
        assert_eq!(session.present(&first, "phone", [4; 32], in_time), Presented::Repeated(second.clone()));
        assert!(session.is_live(0, in_time));
        assert_eq!(
            session.present(&first, "phone", [5; 32], in_time.plus(Duration::from_millis(1))),
            Presented::Reused
        );
        assert!(!session.is_live(0, in_time));
    }

    #[test]
    fn a_second_client_with_the_same_token_ends_the_session() {
        let (mut session, first) = session();
        rotated(session.present(&first, "phone", [3; 32], START));
        assert_eq!(session.present(&first, "laptop", [4; 32], START), Presented::Reused);
    }

    #[test]
    fn a_token_older_than_the_previous_one_ends_the_session_and_a_guess_does_not() {
        let (mut session, first) = session();
        let second = rotated(session.present(&first, "phone", [3; 32], START));
        rotated(session.present(&second, "phone", [4; 32], START));
        let guess = RefreshToken::new(session.id, [9; 32], &[9; 32]);
        assert_eq!(session.present(&guess, "phone", [5; 32], START), Presented::Unknown);
        assert!(session.is_live(0, START));
        assert_eq!(session.present(&first, "phone", [5; 32], START), Presented::Reused);
    }

    #[test]
    fn no_refresh_carries_a_session_past_its_end() {
        let (mut session, mut token) = session();
        let mut now = START;
        while now.plus(Duration::from_secs(6 * 24 * 3600)) < session.ends_at {
            now = now.plus(Duration::from_secs(6 * 24 * 3600));
            assert!(session.is_live(0, now));
            token = rotated(session.present(&token, "phone", [3; 32], now));
        }
        assert!(!session.is_live(0, START.plus(LONGEST)));
        assert!(session.issue(LONGEST, now) <= START.plus(LONGEST));
    }
}

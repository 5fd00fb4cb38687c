//! Lets tokens through: one check of the signature, then a look into memory; revoked ones at once, elsewhere in seconds.
//!
//! Memory is bounded. Where there are more revocations than fit, the oldest are forgotten in the safe direction: all
//! tokens issued up to then are refused, and their holders refresh.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use cartwright_contracts::{Revoked, RevokedTokens};
use cartwright_http::{Caller, TokenRefused, Verifier};
use cartwright_runtime::{Clock, Time};
use cartwright_store::{Store, StoreError};
use sha2::{Digest, Sha256};

use crate::documents::Revocation;
use crate::keyring::{Claims, EXPIRED, Keyring, has_ended};

/// Tokens remembered as good, in two generations of half as many.
const REMEMBERED: usize = 8192;
/// Revocations remembered.
const REVOCATIONS: usize = 200_000;
/// How far behind the newest known revocation the poll looks, for clocks that differ and commits that took their time.
const OVERLAP: Duration = Duration::from_secs(30);

const REVOKED: TokenRefused = TokenRefused("The session of this token has ended.");

/// Checks tokens with keys in memory.
pub(crate) struct Gate {
    keyring: Arc<Keyring>,
    clock: Clock,
    seen: RwLock<Seen>,
    revoked: RwLock<Refused>,
}

type Fingerprint = [u8; 32];

/// Tokens that were checked, by their SHA-256 hash.
#[derive(Default)]
struct Seen {
    young: HashMap<Fingerprint, Arc<Good>>,
    old: HashMap<Fingerprint, Arc<Good>>,
}

/// A token whose signature was good.
struct Good {
    caller: Caller,
    epoch: u64,
    issued: i64,
    expires: i64,
}

impl Seen {
    fn get(&self, fingerprint: &Fingerprint) -> Option<Arc<Good>> {
        self.young.get(fingerprint).or_else(|| self.old.get(fingerprint)).cloned()
    }

    fn add(&mut self, fingerprint: Fingerprint, good: Arc<Good>) {
        if self.young.len() >= REMEMBERED / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        drop(self.young.insert(fingerprint, good));
    }
}

/// What was revoked and has not expired.
struct Refused {
    most: usize,
    sessions: HashMap<String, Ended>,
    users: HashMap<String, (u64, Ended)>,
    /// Tokens issued in this second or earlier are refused.
    floor: i64,
    newest: Time,
}

#[derive(Clone, Copy)]
struct Ended {
    at: Time,
    until: Time,
}

impl Refused {
    fn new(most: usize, now: Time) -> Self {
        Self { most, sessions: HashMap::new(), users: HashMap::new(), floor: i64::MIN, newest: now }
    }

    fn includes(&self, good: &Good) -> bool {
        good.issued <= self.floor
            || (!self.sessions.is_empty() && self.sessions.contains_key(&good.caller.session))
            || self.users.get(&good.caller.id).is_some_and(|(epoch, _)| good.epoch < *epoch)
    }

    fn add(&mut self, revoked: &RevokedTokens, now: Time) {
        let ended = Ended { at: revoked.at, until: revoked.until };
        match &revoked.of {
            Revoked::Session(id) => drop(self.sessions.insert(id.clone(), ended)),
            Revoked::User { id, epoch } => {
                let known = self.users.entry(id.to_string()).or_insert((*epoch, ended));
                if known.0 <= *epoch {
                    *known = (*epoch, ended);
                }
            }
        }
        self.newest = self.newest.max(revoked.at.min(now));
        if self.sessions.len() + self.users.len() > self.most {
            self.make_room(now);
        }
    }

    /// Forgets what has expired; where that is not enough, the older half, and refuses every token from before.
    fn make_room(&mut self, now: Time) {
        self.sessions.retain(|_, ended| ended.until > now);
        self.users.retain(|_, (_, ended)| ended.until > now);
        if self.sessions.len() + self.users.len() <= self.most / 2 {
            return;
        }
        let mut times: Vec<Time> = self.sessions.values().map(|ended| ended.at).collect();
        times.extend(self.users.values().map(|(_, ended)| ended.at));
        let middle = times.len() / 2;
        let middle = *times.select_nth_unstable(middle).1;
        self.floor = self.floor.max(middle.seconds());
        self.sessions.retain(|_, ended| ended.at > middle);
        self.users.retain(|_, (_, ended)| ended.at > middle);
        tracing::warn!(%middle, "too many revocations to remember; tokens issued until then are refused");
    }
}

impl Gate {
    /// Checks with the keys of `keyring`.
    pub(crate) fn new(keyring: Arc<Keyring>, clock: Clock) -> Self {
        let revoked = RwLock::new(Refused::new(REVOCATIONS, clock.now()));
        Self { keyring, clock, seen: RwLock::default(), revoked }
    }

    /// Refuses what `revoked` names from now on.
    pub(crate) fn revoke(&self, revoked: &RevokedTokens) {
        let now = self.clock.now();
        self.revoked.write().unwrap_or_else(PoisonError::into_inner).add(revoked, now);
    }

    /// Learns every revocation that still matters.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn learn(&self, store: &Store) -> Result<(), StoreError> {
        let all = store.find::<Revocation>("by-end", Vec::new()).from(self.clock.now()).all().await?;
        all.iter().for_each(|revocation| self.revoke(&revocation.doc.tokens()));
        Ok(())
    }

    /// Learns what other processes revoked since the last time.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn catch_up(&self, store: &Store) -> Result<(), StoreError> {
        let since = store.find::<Revocation>("by-time", Vec::new()).from(self.known_until()).all().await?;
        since.iter().for_each(|revocation| self.revoke(&revocation.doc.tokens()));
        Ok(())
    }

    /// From when on revocations may be unknown here.
    pub(crate) fn known_until(&self) -> Time {
        self.revoked.read().unwrap_or_else(PoisonError::into_inner).newest.minus(OVERLAP)
    }

    fn admit(&self, good: &Good, now: Time) -> Result<Caller, TokenRefused> {
        if has_ended(good.expires, now) {
            return Err(EXPIRED);
        }
        if self.revoked.read().unwrap_or_else(PoisonError::into_inner).includes(good) {
            return Err(REVOKED);
        }
        Ok(good.caller.clone())
    }
}

impl Verifier for Gate {
    fn verify(&self, token: &str) -> Result<Caller, TokenRefused> {
        let now = self.clock.now();
        let fingerprint: Fingerprint = Sha256::digest(token).into();
        let known = self.seen.read().unwrap_or_else(PoisonError::into_inner).get(&fingerprint);
        if let Some(good) = known {
            return self.admit(&good, now);
        }
        let good = Arc::new(Good::from(self.keyring.check(token, now)?));
        let caller = self.admit(&good, now)?;
        self.seen.write().unwrap_or_else(PoisonError::into_inner).add(fingerprint, good);
        Ok(caller)
    }
}

impl From<Claims> for Good {
    fn from(claims: Claims) -> Self {
        let expires_at = Time::from_millis(claims.exp.saturating_mul(1000));
        let caller = Caller { id: claims.sub, role: claims.role, session: claims.sid, expires_at };
        Self { caller, epoch: claims.epoch, issued: claims.iat, expires: claims.exp }
    }
}

#[cfg(test)]
mod tests {
    use cartwright_http::Role;

    use super::*;

    const START: Time = Time::from_millis(1_795_340_000_000);

    fn revocation(number: u32, at: Time) -> RevokedTokens {
        let session = format!("ses_{number:032x}");
        RevokedTokens { of: Revoked::Session(session), at, until: at.plus(Duration::from_secs(900)) }
    }

    fn good(number: u32, issued: Time) -> Good {
        let (id, session) = (String::new(), format!("ses_{number:032x}"));
        let caller = Caller { id, role: Role::Customer, session, expires_at: issued.plus(Duration::from_secs(900)) };
        Good { caller, epoch: 0, issued: issued.seconds(), expires: issued.seconds() + 900 }
    }

    #[test]
    fn more_revocations_than_fit_never_let_a_revoked_token_through() {
        let mut revoked = Refused::new(100, START);
        for number in 0..1000 {
            let at = START.plus(Duration::from_secs(u64::from(number)) / 10);
            revoked.add(&revocation(number, at), at);
            assert!(revoked.sessions.len() <= 100);
        }
        for number in 0..1000 {
            assert!(revoked.includes(&good(number, START)), "{number}");
        }
        assert!(!revoked.includes(&good(5000, START.plus(Duration::from_secs(100)))));
    }

    #[test]
    fn tokens_remembered_as_good_are_bounded() {
        let mut seen = Seen::default();
        let token = Arc::new(good(1, START));
        for number in 0..20_000_u32 {
            seen.add(Sha256::digest(number.to_be_bytes()).into(), Arc::clone(&token));
            assert!(seen.young.len() + seen.old.len() <= REMEMBERED);
        }
        assert!(seen.get(&Sha256::digest(19_999_u32.to_be_bytes()).into()).is_some());
    }
}

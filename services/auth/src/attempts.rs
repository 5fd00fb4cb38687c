//! Slows down guessing: after a few failures an account, or an address, waits longer and longer for the next attempt.
//!
//! Counted before the password is checked, so that attempts side by side count too; unknown accounts are counted alike. In
//! memory and bounded: a process that starts anew forgets.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use cartwright_runtime::Time;

use crate::AuthError;

/// Accounts and addresses remembered.
const REMEMBERED: usize = 20_000;
/// Attempts on one account before it waits.
const PER_ACCOUNT: u32 = 5;
/// Attempts from one address before it waits.
const PER_ADDRESS: u32 = 20;
/// The first wait; it doubles with each failure.
const FIRST_WAIT: Duration = Duration::from_secs(12);
/// The longest wait, after which everything is forgotten.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);

/// Who tries.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Source {
    Account(String),
    Address(IpAddr),
}

#[derive(Clone, Copy)]
struct Tries {
    count: u32,
    last: Time,
}

/// Failed attempts so far.
#[derive(Default)]
pub(crate) struct Attempts(Mutex<HashMap<Source, Tries>>);

impl Attempts {
    /// Counts an attempt on `account` from `address`.
    ///
    /// # Errors
    /// [`AuthError::TooManyAttempts`] where it comes too early; it is not counted then.
    pub(crate) fn begin(&self, account: &str, address: Option<IpAddr>, now: Time) -> Result<(), AuthError> {
        let sources = sources(account, address);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = sources.iter().filter_map(|source| all.get(source).and_then(|tries| tries.wait(source, now)));
        if let Some(retry_after) = waits.max() {
            return Err(AuthError::TooManyAttempts { retry_after });
        }
        for source in sources {
            if all.len() >= REMEMBERED {
                make_room(&mut all, now);
            }
            let tries = all.entry(source).or_insert(Tries { count: 0, last: now });
            let forgotten = now.since(tries.last) > LONGEST_WAIT;
            *tries = Tries { count: if forgotten { 1 } else { tries.count.saturating_add(1) }, last: now };
        }
        Ok(())
    }

    /// The attempt succeeded: the account starts anew, and the address is not blamed for this one.
    pub(crate) fn succeeded(&self, account: &str, address: Option<IpAddr>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&Source::Account(account.to_owned()));
        if let Some(tries) = address.and_then(|address| all.get_mut(&Source::Address(address))) {
            tries.count = tries.count.saturating_sub(1);
        }
    }
}

fn sources(account: &str, address: Option<IpAddr>) -> Vec<Source> {
    let mut sources = vec![Source::Account(account.to_owned())];
    sources.extend(address.map(Source::Address));
    sources
}

impl Tries {
    /// How long the next attempt must still wait.
    fn wait(&self, source: &Source, now: Time) -> Option<Duration> {
        let free = match source {
            Source::Account(_) => PER_ACCOUNT,
            Source::Address(_) => PER_ADDRESS,
        };
        let beyond = self.count.checked_sub(free)?;
        let wait = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(beyond)).min(LONGEST_WAIT);
        let left = wait.saturating_sub(now.since(self.last));
        if left.is_zero() { None } else { Some(left) }
    }
}

/// Forgets what has waited out its time; where that is not enough, those who tried least.
fn make_room(all: &mut HashMap<Source, Tries>, now: Time) {
    all.retain(|_, tries| now.since(tries.last) <= LONGEST_WAIT);
    for most in 1..PER_ADDRESS {
        if all.len() < REMEMBERED {
            return;
        }
        all.retain(|_, tries| tries.count > most);
    }
    if all.len() >= REMEMBERED {
        all.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Time = Time::from_millis(1_795_340_000_000);

    #[test]
    fn the_sixth_failure_waits_and_each_further_one_twice_as_long() {
        let attempts = Attempts::default();
        let mut now = START;
        for _ in 0..5 {
            attempts.begin("ada", None, now).unwrap();
        }
        for seconds in [12, 24, 48] {
            let Err(AuthError::TooManyAttempts { retry_after }) = attempts.begin("ada", None, now) else { panic!() };
            assert_eq!(retry_after, Duration::from_secs(seconds));
            assert!(attempts.begin("bob", None, now).is_ok());
            now = now.plus(retry_after);
            attempts.begin("ada", None, now).unwrap();
        }
        attempts.succeeded("ada", None);
        attempts.begin("ada", None, now).unwrap();
    }

    #[test]
    fn an_address_that_tries_many_accounts_waits_too() {
        let attempts = Attempts::default();
        let address = Some(IpAddr::from([192, 0, 2, 7]));
        for account in 0..20 {
            attempts.begin(&account.to_string(), address, START).unwrap();
        }
        assert!(attempts.begin("another", address, START).is_err());
        assert!(attempts.begin("another", None, START).is_ok());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let attempts = Attempts::default();
        for account in 0..(REMEMBERED + 10) {
            attempts.begin(&account.to_string(), None, START).unwrap();
        }
        assert!(attempts.0.lock().unwrap().len() <= REMEMBERED);
    }
}

//! What auth can be told, with defaults that a shop can run on.

use std::num::NonZero;
use std::time::Duration;

use cartwright_runtime::Secret;

use crate::AuthError;

/// The fewest bytes of a shared secret (RFC 7518, 3.2: as long as the hash).
const SECRET_LEAST: usize = 32;
/// The longest life of an access token.
const LIFE_MOST: Duration = Duration::from_secs(366 * 24 * 3600);

/// What auth can be told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it is set, tokens are signed with it by HS256 and nothing else; at least 32 bytes. Otherwise Ed25519.
    pub jwt_secret: Option<Secret<String>>,
    /// How long an access token lives.
    pub jwt_expires_in: Duration,
    /// `iss` of every token.
    pub issuer: String,
    /// `aud` of every token.
    pub audience: String,
    /// The fewest code points of a password.
    pub password_min: usize,
    /// A key outside the database that goes into every password hash.
    pub pepper: Option<Pepper>,
    /// What hashing a password costs.
    pub hashing: Hashing,
    /// Whether clients on this machine may fail to log in as often as they like.
    pub exempt_loopback: bool,
    /// Origins, beside the shop's own, whose pages may refresh by cookie, for example `http://localhost:5173`.
    pub allowed_origins: Vec<String>,
}

/// A key outside the database that goes into every password hash.
#[derive(Clone, Debug)]
pub struct Pepper {
    /// Stored beside each hash, so that a later pepper can be told from this one.
    pub id: String,
    /// The key.
    pub key: Secret<String>,
}

/// What hashing a password with argon2id costs, and how many do so at once.
#[derive(Clone, Copy, Debug)]
pub struct Hashing {
    /// Memory of one hash in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Hashes computed at once.
    pub at_once: usize,
    /// Requests that may wait for their turn; more are turned away.
    pub waiting: usize,
}

impl Default for Hashing {
    /// OWASP's first choice of a small memory: 19 MiB, two passes, one lane.
    fn default() -> Self {
        let at_once = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self { memory_kib: 19_456, passes: 2, at_once, waiting: 32 }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            jwt_secret: None,
            jwt_expires_in: Duration::from_secs(15 * 60),
            issuer: "cartwright".to_owned(),
            audience: "cartwright".to_owned(),
            password_min: 8,
            pepper: None,
            hashing: Hashing::default(),
            exempt_loopback: false,
            allowed_origins: Vec::new(),
        }
    }
}

impl Settings {
    /// Refuses what cannot work or would not be safe.
    ///
    /// # Errors
    /// [`AuthError::Settings`] with a sentence that names the setting.
    pub(crate) fn check(&self) -> Result<(), AuthError> {
        let refuse = |sentence: String| Err(AuthError::Settings(sentence));
        if let Some(secret) = &self.jwt_secret
            && secret.reveal().len() < SECRET_LEAST
        {
            let bytes = secret.reveal().len();
            return refuse(format!(
                "JWT_SECRET has {bytes} bytes and needs at least {SECRET_LEAST}; make one with `openssl rand -hex 32`, or leave it out."
            ));
        }
        if self.jwt_expires_in < Duration::from_secs(1) || self.jwt_expires_in > LIFE_MOST {
            return refuse("JWT_EXPIRES_IN must lie between one second and 366 days.".to_owned());
        }
        if !(1..=256).contains(&self.password_min) {
            return refuse("The least length of a password must lie between 1 and 256.".to_owned());
        }
        if self.hashing.at_once == 0 {
            return refuse("At least one password must be hashed at a time.".to_owned());
        }
        Ok(())
    }
}

/// Reads a life like `7d`, `12h`, `15m`, `30s` or `2w`; a plain number is seconds.
///
/// # Errors
/// [`AuthError::Settings`] where it is none of these, or too long to count.
pub fn parse_lifetime(text: &str) -> Result<Duration, AuthError> {
    let refused = || {
        let sentence = format!("`{text}` is not a time like `7d`, `12h`, `15m`, `30s` or `3600` (seconds).");
        AuthError::Settings(sentence)
    };
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit: u64 = match unit.trim() {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        "w" => 7 * 24 * 3600,
        _ => return Err(refused()),
    };
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    seconds.map(Duration::from_secs).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_read_as_people_write_them() {
        for (text, seconds) in
            [("7d", 604_800), ("15m", 900), ("3600", 3600), (" 12h ", 43_200), ("30s", 30), ("2w", 1_209_600)]
        {
            assert_eq!(parse_lifetime(text).unwrap(), Duration::from_secs(seconds), "{text}");
        }
        for wrong in ["", "d", "-1", "1.5h", "7 days", "99999999999999999999", "18446744073709551615w"] {
            assert!(parse_lifetime(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_short_secret_is_refused_with_a_sentence_that_names_it() {
        let with = |secret: &str| Settings { jwt_secret: Some(Secret::new(secret.to_owned())), ..Settings::default() };
        let refused = with("short").check().unwrap_err().to_string();
        assert!(refused.contains("JWT_SECRET has 5 bytes") && !refused.contains("short;"), "{refused}");
        assert!(with(&"x".repeat(32)).check().is_ok());
    }
}

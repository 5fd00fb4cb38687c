//! Which passwords are accepted: long enough, and not among the first that an attacker tries.
//!
//! No rules about kinds of characters and no expiry (NIST SP 800-63B, 3.1.1.2).

use std::collections::HashSet;
use std::fmt;
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization;

/// The most code points, so that hashing has a bound.
const MOST: usize = 256;
/// A word of the context counts from so many code points.
const WORD_LEAST: usize = 4;
/// So many code points beside the words of the context make a password of its own.
const BESIDE_LEAST: usize = 4;

/// Passwords that lead every list of leaked ones, in lower case.
static COMMON: LazyLock<HashSet<&str>> = LazyLock::new(|| include_str!("common_passwords.txt").lines().collect());

/// A password in Unicode normalization form KC, so that the same keys typed on two devices are the same password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Password(String);

/// Why a password is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassword {
    /// Too few code points.
    #[error("at least {0} characters are needed")]
    TooShort(usize),
    /// Too many code points.
    #[error("at most 256 characters are possible")]
    TooLong,
    /// Every attacker tries it first.
    #[error("this password is among the first that attackers try")]
    Common,
    /// It is little more than the person's own name or address, or the shop's.
    #[error("this password is too close to the name, the e-mail address or the shop")]
    Guessable,
}

impl Password {
    /// A password as it was typed to log in; `None` where it cannot be anybody's.
    pub(crate) fn typed(text: &str) -> Option<Self> {
        // Bytes first: normalising a huge text would be work without end in sight.
        let bounded = text.len() <= MOST * 4;
        bounded.then(|| Self(text.nfkc().collect())).filter(|password| password.0.chars().count() <= MOST)
    }

    /// A password that somebody of whom `context` is known may choose.
    ///
    /// # Errors
    /// [`WeakPassword`].
    pub(crate) fn chosen(text: &str, least: usize, context: &[&str]) -> Result<Self, WeakPassword> {
        let password = Self::long_enough(text, least)?;
        let lower = password.0.to_lowercase();
        if COMMON.contains(lower.as_str()) || is_run(&lower) {
            return Err(WeakPassword::Common);
        }
        if leftover(lower, context) < BESIDE_LEAST {
            return Err(WeakPassword::Guessable);
        }
        Ok(password)
    }

    /// A password of which only the length is asked.
    ///
    /// # Errors
    /// [`WeakPassword::TooShort`] and [`WeakPassword::TooLong`].
    pub(crate) fn long_enough(text: &str, least: usize) -> Result<Self, WeakPassword> {
        let password = Self::typed(text).ok_or(WeakPassword::TooLong)?;
        if password.0.chars().count() < least { Err(WeakPassword::TooShort(least)) } else { Ok(password) }
    }

    /// The normalised text.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

/// Printed as a placeholder.
impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[password]")
    }
}

/// Whether each character is the one before it, or each its neighbour in the same direction: `aaaaaaaa`, `87654321`.
fn is_run(text: &str) -> bool {
    let steps = || {
        text.chars()
            .zip(text.chars().skip(1))
            .map(|(left, right)| i64::from(u32::from(right)) - i64::from(u32::from(left)))
    };
    [-1, 0, 1].iter().any(|step| steps().all(|taken| taken == *step))
}

/// How many code points are left without the texts of the context and the words in them.
fn leftover(lower: String, context: &[&str]) -> usize {
    let words = context.iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric()));
    let words = context.iter().copied().chain(words).map(str::to_lowercase);
    let words = words.filter(|word| word.chars().count() >= WORD_LEAST);
    words.fold(lower, |left, word| left.replace(&word, "")).chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(text: &str) -> Result<Password, WeakPassword> {
        Password::chosen(text, 8, &["ada.lovelace@example.com", "Ada Lovelace", "cartwright"])
    }

    #[test]
    fn what_every_attacker_tries_first_is_refused() {
        for common in
            ["password", "Password1", "12345678", "87654321", "aaaaaaaa", "abcdefgh", "qwertyuiop", "iloveyou1"]
        {
            assert_eq!(chosen(common), Err(WeakPassword::Common), "{common}");
        }
    }

    #[test]
    fn little_more_than_the_own_name_is_refused() {
        for guessable in ["lovelace", "Lovelace12", "cartwright1", "Ada.Lovelace@example.com"] {
            assert_eq!(chosen(guessable), Err(WeakPassword::Guessable), "{guessable}");
        }
        assert!(chosen("lovelace-engine").is_ok());
    }

    #[test]
    fn length_is_counted_in_code_points() {
        assert_eq!(chosen("kä3öz!q"), Err(WeakPassword::TooShort(8)));
        assert!(chosen("kä3öz!qü").is_ok());
        assert!(chosen(&"kä3öz!qü".repeat(32)).is_ok());
        assert_eq!(chosen(&"kä3öz!qüx".repeat(32)), Err(WeakPassword::TooLong));
    }

    #[test]
    fn the_same_password_typed_on_two_devices_is_the_same() {
        assert_eq!(chosen("Zu\u{308}rich-hb"), chosen("Z\u{fc}rich-hb"));
    }

    #[test]
    fn the_list_is_in_lower_case_and_has_no_line_that_length_refuses_anyway() {
        assert!(COMMON.len() > 150);
        assert!(COMMON.iter().all(|word| word.to_lowercase() == **word && word.chars().count() >= 8));
    }
}

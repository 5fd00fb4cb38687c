//! Passwords of people at a terminal: asked for without an echo, or made.

use std::io::{BufRead, Write};

use anyhow::{Context, Result};
use cartwright_runtime::{Clock, Ids, Secret};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// Letters and digits that cannot be taken for each other: 32 of them, so that a random byte picks one evenly.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// A password of 24 letters and digits, 120 random bits.
pub(crate) fn generated() -> Secret<String> {
    let random = Ids::random(Clock::system()).bytes::<24>();
    let letters = random.iter().filter_map(|byte| LETTERS.get(usize::from(byte % 32)));
    Secret::new(letters.copied().map(char::from).collect())
}

/// Asks at the terminal; what is typed is not shown.
///
/// # Errors
/// When standard input is no terminal, or ends.
pub(crate) fn asked(question: &str) -> Result<Secret<String>> {
    eprint!("{question}");
    std::io::stderr().flush()?;
    let silence = Silence::begin().context("the terminal cannot be silenced")?;
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    drop(silence);
    eprintln!();
    read.context("the password cannot be read")?;
    Ok(Secret::new(line.trim_end_matches(['\r', '\n']).to_owned()))
}

/// A terminal that does not show what is typed, until this is dropped.
struct Silence(Termios);

impl Silence {
    fn begin() -> rustix::io::Result<Self> {
        let before = tcgetattr(std::io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // A terminal that is gone has nothing to restore.
        tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_password_has_24_letters_and_is_another_each_time() {
        let (one, other) = (generated(), generated());
        assert_eq!(one.reveal().len(), 24);
        assert!(one.reveal().bytes().all(|letter| LETTERS.contains(&letter)));
        assert_ne!(one, other);
    }
}

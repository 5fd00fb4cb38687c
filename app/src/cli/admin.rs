//! `cartwright admin`: people who run the shop.

use std::io::{IsTerminal, Read};

use anyhow::{Context, Result, bail};
use cartwright_runtime::Secret;
use cartwright_vocabulary::Email;
use clap::Subcommand;

use super::flags::FewFlags;
use super::operator::Reached;
use super::{Ending, password, say, settings};

/// People who run the shop
#[derive(clap::Args)]
pub(crate) struct Admin {
    #[command(subcommand)]
    verb: AdminVerb,
}

#[derive(Subcommand)]
enum AdminVerb {
    Create(Create),
}

/// Make an admin, or make the user with this address one
///
/// A user who exists already gets this password, and is logged out everywhere. Works on a running shop and on a stopped
/// one.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cartwright admin create anna@shop.example                     asks for the password
  cartwright admin create anna@shop.example --generate          makes one, and prints it once
  pass show shop | cartwright admin create anna@shop.example --password-stdin")]
struct Create {
    /// The address that she or he logs in with
    email: Email,

    /// Read the password from what comes in, up to the end of the line
    #[arg(long, conflicts_with = "generate")]
    password_stdin: bool,

    /// Make a password, and print it once
    #[arg(long)]
    generate: bool,

    #[command(flatten)]
    flags: FewFlags,
}

impl Admin {
    pub(crate) async fn run(self) -> Result<Ending> {
        let AdminVerb::Create(create) = self.verb;
        create.run().await
    }
}

impl Create {
    async fn run(self) -> Result<Ending> {
        let settings = settings(&self.flags.0)?;
        let password = self.password()?;
        let shop = Reached::find(&settings).await?;
        let made = shop.operator.create_admin(self.email.clone(), password.clone()).await;
        shop.leave().await;
        let user = made?;
        say(&format!("{} is an admin now ({user}).\n", self.email.as_str()))?;
        if self.generate {
            say(&format!("Password: {}\nIt is not shown again.\n", password.reveal()))?;
        }
        Ok(Ending::Good)
    }

    fn password(&self) -> Result<Secret<String>> {
        if self.generate {
            return Ok(password::generated());
        }
        if self.password_stdin {
            return first_line(std::io::stdin().lock());
        }
        if !std::io::stdin().is_terminal() {
            bail!("there is nobody to ask for the password: say --password-stdin or --generate");
        }
        let (first, again) = (password::asked("Password: ")?, password::asked("Again: ")?);
        if first != again {
            bail!("these are two passwords; nothing was done");
        }
        Ok(first)
    }
}

fn first_line(mut input: impl Read) -> Result<Secret<String>> {
    let mut text = String::new();
    let read = input.by_ref().take(4096).read_to_string(&mut text);
    read.context("the password that came in is not text")?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(Secret::new(line.to_owned())),
        Some(_) | None => bail!("no password came in"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_that_comes_in_is_its_first_line_with_all_its_spaces() {
        assert_eq!(first_line(&b" two words \nmore\n"[..]).unwrap(), Secret::new(" two words ".to_owned()));
        assert!(first_line(&b"\n"[..]).is_err());
        assert!(first_line(&b""[..]).is_err());
    }
}

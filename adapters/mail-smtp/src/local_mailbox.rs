//! Mails kept in a folder: one `.eml` file each, under a name made of the mail's date and the id of its message.
//!
//! A mail is in the folder whole and for good before it counts as sent. Sent again, it takes its own place again, so a crash
//! between sending and writing that down does not make two.

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use cartwright_notification::{KeptMail, Mail, MailError, Mailbox, MailboxError, Mailer};
use cartwright_runtime::Time;
use mail_parser::MessageParser;

use crate::message::message;

const ENDING: &str = ".eml";

/// How names of mails begin that are still being written.
const UNFINISHED: &str = ".unfinished-";

/// A folder of mails.
#[derive(Clone, Debug)]
pub struct LocalMailbox {
    folder: PathBuf,
}

impl LocalMailbox {
    /// The mailbox in `folder`, which is made where it does not exist, for its owner's eyes only.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = folder.into();
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        remove_unfinished(&folder)?;
        Ok(Self { folder })
    }
}

/// Removes what a crash left of mails that were being written; they are written again under their own name.
fn remove_unfinished(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[async_trait]
impl Mailer for LocalMailbox {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let text = message(mail)?.formatted();
        let (folder, name) = (self.folder.clone(), format!("{}{ENDING}", name_of(mail)));
        let kept = tokio::task::spawn_blocking(move || keep(&folder, &name, &text)).await;
        let kept = kept.map_err(io::Error::other).flatten();
        kept.map_err(|error| MailError::Temporary(format!("the mailbox cannot be written: {error}")))
    }

    fn mailbox(&self) -> Option<&dyn Mailbox> {
        Some(self)
    }
}

#[async_trait]
impl Mailbox for LocalMailbox {
    async fn mails(&self, limit: usize, after: Option<&str>) -> Result<Vec<KeptMail>, MailboxError> {
        let (folder, after) = (self.folder.clone(), after.map(str::to_owned));
        let listed = tokio::task::spawn_blocking(move || list(&folder, limit, after.as_deref())).await;
        let listed = listed.map_err(io::Error::other).flatten();
        listed.map_err(|error| MailboxError(error.to_string()))
    }
}

/// The mail's name: its date first, so that names sort by date; the id of its message, so that it has one place.
fn name_of(mail: &Mail) -> String {
    let date: String = mail.date.to_string().chars().filter(|c| !matches!(c, '-' | ':')).collect();
    format!("{date}-{}", mail.notification)
}

fn keep(folder: &Path, name: &str, text: &[u8]) -> io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder)?;
    file.write_all(text)?;
    file.as_file().sync_all()?;
    drop(file.persist(folder.join(name))?);
    File::open(folder)?.sync_all()
}

fn list(folder: &Path, limit: usize, after: Option<&str>) -> io::Result<Vec<KeptMail>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let file = entry?.file_name();
        names.extend(file.to_str().and_then(|file| file.strip_suffix(ENDING)).map(str::to_owned));
    }
    names.sort_unstable_by(|left, right| right.cmp(left));
    let older = names.into_iter().filter(|name| after.is_none_or(|after| name.as_str() < after));
    older.take(limit).map(|name| read(folder, name)).collect()
}

fn read(folder: &Path, name: String) -> io::Result<KeptMail> {
    let text = std::fs::read(folder.join(format!("{name}{ENDING}")))?;
    let none = || io::Error::other(format!("{name}{ENDING} is no mail"));
    let mail = MessageParser::default().parse(&text).ok_or_else(none)?;
    let to = mail.to().and_then(|to| to.first()).and_then(|to| to.address()).ok_or_else(none)?;
    let date = mail.date().ok_or_else(none)?.to_timestamp();
    Ok(KeptMail {
        message_id: mail.message_id().unwrap_or_default().to_owned(),
        to: to.to_owned(),
        subject: mail.subject().unwrap_or_default().to_owned(),
        text: mail.body_text(0).unwrap_or_default().replace("\r\n", "\n"),
        date: Time::from_millis(date.saturating_mul(1000)),
        name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_crash_left_of_a_mail_is_gone_after_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join(format!("{UNFINISHED}x1"));
        let mail = folder.path().join("20261122T000000Z-ntf_1.eml");
        std::fs::write(&left, "Subject: hal").unwrap();
        std::fs::write(&mail, "Subject: whole").unwrap();

        LocalMailbox::new(folder.path()).unwrap();

        assert!(!left.exists() && mail.exists());
    }
}

//! What the local mailbox keeps.

use std::fs::{read_dir, write};
use std::os::unix::fs::PermissionsExt;

use cartwright_mail_smtp::LocalMailbox;
use cartwright_notification::{MailError, Mailer};
use tempfile::TempDir;

use crate::mail;

#[tokio::test]
async fn a_mail_is_kept_once_however_often_it_is_sent() {
    let folder = TempDir::new().unwrap();
    let mailbox = LocalMailbox::new(folder.path().join("mail")).unwrap();
    let sent = mail("ada@example.com", 7);
    mailbox.send(&sent).await.unwrap();
    mailbox.send(&sent).await.unwrap();

    let files: Vec<_> = read_dir(folder.path().join("mail")).unwrap().map(|entry| entry.unwrap()).collect();
    assert_eq!(files.len(), 1);
    let name = files[0].file_name().into_string().unwrap();
    assert_eq!(name, format!("20261122T093700.000Z-{}.eml", sent.notification));
    assert_eq!(files[0].metadata().unwrap().permissions().mode() & 0o077, 0, "nobody else may read it");

    let [kept] = mailbox.mailbox().unwrap().mails(10, None).await.unwrap().try_into().unwrap();
    assert_eq!((kept.to.as_str(), &kept.subject, &kept.text), ("ada@example.com", &sent.subject, &sent.text));
    assert_eq!((kept.message_id, kept.date), (sent.message_id, sent.date));
}

#[tokio::test]
async fn the_newest_mails_come_first_a_page_at_a_time() {
    let folder = TempDir::new().unwrap();
    let mailbox = LocalMailbox::new(folder.path()).unwrap();
    for number in [2, 3, 1] {
        mailbox.send(&mail(&format!("shopper-{number}@example.com"), number)).await.unwrap();
    }
    write(folder.path().join("notes.txt"), "not a mail").unwrap();

    let mailbox = mailbox.mailbox().unwrap();
    let first = mailbox.mails(2, None).await.unwrap();
    let rest = mailbox.mails(2, Some(&first[1].name)).await.unwrap();
    let to: Vec<&str> = first.iter().chain(&rest).map(|mail| mail.to.as_str()).collect();
    assert_eq!(to, ["shopper-3@example.com", "shopper-2@example.com", "shopper-1@example.com"]);
    assert!(mailbox.mails(2, Some("../../etc")).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_folder_that_is_gone_delays_the_mail() {
    let folder = TempDir::new().unwrap();
    let mailbox = LocalMailbox::new(folder.path().join("mail")).unwrap();
    std::fs::remove_dir(folder.path().join("mail")).unwrap();
    let error = mailbox.send(&mail("ada@example.com", 1)).await.unwrap_err();
    assert!(matches!(error, MailError::Temporary(_)), "{error:?}");
    assert!(mailbox.mailbox().unwrap().mails(1, None).await.is_err());
}

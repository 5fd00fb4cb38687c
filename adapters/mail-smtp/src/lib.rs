//! Mail over SMTP, or kept in a folder on this machine where no mail server is set up.
//!
//! Promises that a mail keeps its `Message-ID` and date however often it is sent, that only a mail server's own refusal of
//! a mail is final, and that no password travels in the clear to another machine.

mod local_mailbox;
mod message;
mod smtp;

pub use local_mailbox::LocalMailbox;
pub use smtp::{InvalidMailUrl, SmtpMailer};

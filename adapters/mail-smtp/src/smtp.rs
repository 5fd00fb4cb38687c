//! Sending over SMTP: pooled connections, a bounded number of them, no reply waited for longer than ten seconds.
//!
//! What the server says about a mail decides: 4xx is later, 5xx is never. Trouble with the connection, with TLS or with the
//! login is no word about the mail, so it is later too. A conversation runs on a thread of its own to its end, also where
//! nobody waits for it any more: one that was cut short in the middle would leave its replies to the next mail.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cartwright_notification::{Mail, MailError, Mailer};
use http::Uri;
use lettre::transport::smtp::{Error, PoolConfig};
use lettre::{SmtpTransport, Transport};
use tokio::sync::Semaphore;

use crate::message::message;

/// The longest that a reply is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many conversations there are at once.
const AT_ONCE: u32 = 8;
/// How long an unused connection is kept.
const KEPT: Duration = Duration::from_secs(30);
/// Replies about the login, not about the mail (RFC 4954, section 6).
const ABOUT_THE_LOGIN: [u16; 5] = [432, 530, 534, 535, 538];

/// Hands mail to a mail server.
pub struct SmtpMailer {
    transport: SmtpTransport,
    room: Arc<Semaphore>,
}

/// The address of a mail server cannot be used. The text does not repeat it, since it may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMailUrl {
    /// Not of a form that is understood.
    #[error(
        "the mail server's address must look like smtps://user:password@host, or \
         smtp://user:password@host:587?tls=required, or smtp://localhost:25 without TLS"
    )]
    Form,
    /// Everybody on the way could read the password.
    #[error("a password goes to another machine over TLS only: use smtps:// or add ?tls=required")]
    PasswordInTheClear,
}

impl SmtpMailer {
    /// A mailer that talks to the server at `url`; `tls` may be `required` or `opportunistic`. Nothing is connected yet.
    ///
    /// # Errors
    /// When the address is none, or would send a password in the clear to another machine.
    pub fn new(url: &str) -> Result<Self, InvalidMailUrl> {
        Self::with_patience(url, PATIENCE)
    }

    /// The same, with another limit for each reply of the server.
    ///
    /// # Errors
    /// As [`SmtpMailer::new`].
    pub fn with_patience(url: &str, patience: Duration) -> Result<Self, InvalidMailUrl> {
        check(url)?;
        let builder = SmtpTransport::from_url(url).map_err(|_| InvalidMailUrl::Form)?;
        let pool = PoolConfig::new().max_size(AT_ONCE).idle_timeout(KEPT);
        let transport = builder.timeout(Some(patience)).pool_config(pool).build();
        Ok(Self { transport, room: Arc::new(Semaphore::new(AT_ONCE as usize)) })
    }
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = message(mail)?;
        let room = Arc::clone(&self.room).acquire_owned().await;
        let room = room.map_err(|error| MailError::Temporary(error.to_string()))?;
        let transport = self.transport.clone();
        let conversation = tokio::task::spawn_blocking(move || {
            let sent = transport.send(&message);
            drop(room);
            sent
        });
        let sent = conversation.await.map_err(|error| MailError::Temporary(error.to_string()))?;
        sent.map(drop).map_err(|error| meaning(&error))
    }
}

/// Whether what went wrong is the server's last word on this mail.
fn meaning(error: &Error) -> MailError {
    let about_the_login = error.status().is_some_and(|code| ABOUT_THE_LOGIN.contains(&code.into()));
    if error.is_permanent() && !about_the_login {
        MailError::Refused(error.to_string())
    } else {
        MailError::Temporary(error.to_string())
    }
}

fn check(url: &str) -> Result<(), InvalidMailUrl> {
    let uri: Uri = url.parse().map_err(|_| InvalidMailUrl::Form)?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(InvalidMailUrl::Form) };
    let required = uri.query().unwrap_or("").split('&').any(|pair| pair == "tls=required");
    let sealed = scheme == "smtps" || required;
    let has_password = authority.as_str().contains('@');
    if has_password && !sealed && !is_here(authority.host()) {
        return Err(InvalidMailUrl::PasswordInTheClear);
    }
    Ok(())
}

fn is_here(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_does_not_leave_this_machine_in_the_clear() {
        for refused in [
            "smtp://shop:hunter2@mail.example",
            "smtp://shop:hunter2@mail.example:587?tls=opportunistic",
            "smtp://shop:hunter2@127.0.0.1.mail.example",
        ] {
            assert_eq!(SmtpMailer::new(refused).err(), Some(InvalidMailUrl::PasswordInTheClear), "{refused}");
        }
        for taken in [
            "smtps://shop:hunter2@mail.example",
            "smtp://shop:hunter2@mail.example:587?tls=required",
            "smtp://shop:hunter2@127.0.0.1:2525",
            "smtp://shop:hunter2@[::1]:2525",
            "smtp://mail.example",
        ] {
            assert_eq!(SmtpMailer::new(taken).err(), None, "{taken}");
        }
    }

    #[test]
    fn an_address_that_is_none_is_refused_without_repeating_it() {
        for wrong in ["", "mail.example", "http://shop:hunter2@mail.example", "smtps://", "smtp://h?tls=perhaps"] {
            let error = SmtpMailer::new(wrong).err().unwrap();
            assert!(!error.to_string().contains("hunter2"), "{wrong}: {error}");
        }
    }
}

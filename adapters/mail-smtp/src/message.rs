//! A mail as RFC 5322 text: plain text and HTML as alternatives, nothing loaded from elsewhere.

use std::time::{Duration, SystemTime};

use cartwright_notification::{Mail, MailError};
use lettre::Message;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};

/// `mail` as it goes over the wire or into a file.
///
/// # Errors
/// Refused where no mail server could take its recipient; temporary where the shop's own address is at fault, which a
/// setting mends.
pub(crate) fn message(mail: &Mail) -> Result<Message, MailError> {
    let own = |_| MailError::Temporary("the shop's own address cannot be used as a sender".to_owned());
    let from = mail.from.as_str().parse().map_err(own)?;
    let their = |_| MailError::Refused("the recipient's address cannot be written to".to_owned());
    let to = mail.to.as_str().parse().map_err(their)?;
    let written = Duration::from_millis(mail.date.millis().max(0).unsigned_abs());
    // RFC 3834: no holiday note should answer a machine.
    let automatic = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
    Message::builder()
        .message_id(Some(format!("<{}>", mail.message_id)))
        .date(SystemTime::UNIX_EPOCH + written)
        .from(Mailbox::new(Some(mail.from_name.clone()), from))
        .to(Mailbox::new(None, to))
        .subject(&mail.subject)
        .raw_header(automatic)
        .multipart(MultiPart::alternative_plain_html(mail.text.clone(), mail.html.clone()))
        .map_err(|error| MailError::Refused(format!("it cannot be written as a mail: {error}")))
}

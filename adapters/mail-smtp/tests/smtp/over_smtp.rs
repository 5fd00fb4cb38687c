//! What a mail server gets, and what its answers mean.

use std::net::TcpListener;
use std::time::Duration;

use cartwright_mail_smtp::SmtpMailer;
use cartwright_notification::{MailError, Mailer};
use cartwright_runtime::Clock;
use futures::future::join_all;
use mail_parser::MessageParser;

use crate::mail;
use crate::server::Server;

fn mailer(server: &Server) -> SmtpMailer {
    SmtpMailer::new(&format!("smtp://127.0.0.1:{}", server.port())).unwrap()
}

#[tokio::test]
async fn a_mail_arrives_whole_and_sent_again_it_is_recognised() {
    let server = Server::start(None);
    let mailer = mailer(&server);
    let sent = mail("ada@example.com", 1);
    mailer.send(&sent).await.unwrap();
    mailer.send(&sent).await.unwrap();

    let mails = server.mails();
    assert_eq!(mails.len(), 2);
    for taken in mails {
        let taken = MessageParser::default().parse(&taken).unwrap();
        assert_eq!(taken.message_id(), Some(sent.message_id.as_str()));
        assert_eq!(taken.date().unwrap().to_timestamp(), sent.date.seconds());
        assert_eq!(taken.subject(), Some(sent.subject.as_str()));
        let from = taken.from().unwrap().first().unwrap();
        assert_eq!((from.name(), from.address()), (Some(sent.from_name.as_str()), Some("shop@tea.example")));
        assert_eq!(taken.to().unwrap().first().unwrap().address(), Some("ada@example.com"));
        assert_eq!(taken.header_raw("Auto-Submitted").map(str::trim), Some("auto-generated"));
        assert_eq!(taken.body_text(0).unwrap().replace("\r\n", "\n"), sent.text);
        assert_eq!(taken.body_html(0).unwrap(), sent.html);
    }
}

#[tokio::test]
async fn a_4xx_is_later_and_a_5xx_is_never() {
    let server = Server::start(None);
    let mailer = mailer(&server);
    let busy = mailer.send(&mail("busy@example.com", 1)).await.unwrap_err();
    assert!(matches!(&busy, MailError::Temporary(text) if text.contains("451")), "{busy:?}");
    let nobody = mailer.send(&mail("nobody@example.com", 2)).await.unwrap_err();
    assert!(matches!(&nobody, MailError::Refused(text) if text.contains("550")), "{nobody:?}");
    mailer.send(&mail("ada@example.com", 3)).await.unwrap();
    assert_eq!(server.mails().len(), 1);
}

#[tokio::test]
async fn a_hundred_mails_at_once_all_arrive() {
    let server = Server::start(None);
    let mailer = mailer(&server);
    let mails: Vec<_> = (0..100).map(|number| mail("ada@example.com", number)).collect();
    let sent = join_all(mails.iter().map(|mail| mailer.send(mail))).await;
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    assert_eq!(server.mails().len(), 100);
}

#[tokio::test]
async fn a_mail_that_nobody_waits_for_any_more_does_not_confuse_the_next_one() {
    let server = Server::start(None);
    let mailer = mailer(&server);
    mailer.send(&mail("ada@example.com", 1)).await.unwrap();
    let clock = Clock::system();
    let slow = mail("slow@example.com", 2);
    assert_eq!(clock.timeout(Duration::from_millis(50), mailer.send(&slow)).await, None, "it takes longer than that");
    mailer.send(&mail("ada@example.com", 3)).await.unwrap();
    let refused = mailer.send(&mail("nobody@example.com", 4)).await;
    assert!(matches!(refused, Err(MailError::Refused(_))), "each answer belongs to its mail: {refused:?}");

    let watch = clock.stopwatch();
    while server.mails().len() < 3 {
        assert!(watch.elapsed() < Duration::from_secs(10), "the slow mail was not sent to its end");
        clock.pause(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up_and_tried_later() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("smtp://{}", silent.local_addr().unwrap());
    let mailer = SmtpMailer::with_patience(&url, Duration::from_millis(100)).unwrap();
    let mail = mail("ada@example.com", 1);
    let error =
        Clock::system().timeout(Duration::from_secs(10), mailer.send(&mail)).await.expect("it gives up").unwrap_err();
    assert!(matches!(error, MailError::Temporary(_)), "{error:?}");
}

#[tokio::test]
async fn a_server_that_is_away_is_tried_later() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mailer = SmtpMailer::new(&format!("smtp://127.0.0.1:{port}")).unwrap();
    let error = mailer.send(&mail("ada@example.com", 1)).await.unwrap_err();
    assert!(matches!(error, MailError::Temporary(_)), "{error:?}");
}

#[tokio::test]
async fn a_wrong_password_is_the_shops_trouble_and_no_refusal_of_the_mail() {
    let server = Server::start(Some("shop:right"));
    let with = |login: &str| SmtpMailer::new(&format!("smtp://{login}@127.0.0.1:{}", server.port())).unwrap();
    let error = with("shop:wrong").send(&mail("ada@example.com", 1)).await.unwrap_err();
    assert!(matches!(&error, MailError::Temporary(text) if text.contains("535")), "{error:?}");
    assert!(server.mails().is_empty());
    with("shop:right").send(&mail("ada@example.com", 1)).await.unwrap();
    assert_eq!(server.mails().len(), 1);
}

#[tokio::test]
async fn where_tls_is_required_nothing_goes_over_a_connection_without_it() {
    let server = Server::start(None);
    let mailer = SmtpMailer::new(&format!("smtp://127.0.0.1:{}?tls=required", server.port())).unwrap();
    let error = mailer.send(&mail("ada@example.com", 1)).await.unwrap_err();
    assert!(matches!(error, MailError::Temporary(_)), "{error:?}");
    assert!(server.mails().is_empty());
}

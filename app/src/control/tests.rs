//! Both ends of the socket, with an operator between them that notes what it is asked.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use cartwright_runtime::{Clock, Tasks};
use cartwright_vocabulary::UserId;
use futures::{StreamExt, stream};
use tokio::net::UnixListener;

use super::*;

/// Notes what it is asked, and imports one product a line; a line `bad` is rejected and a line `stop` ends it all.
#[derive(Default)]
struct Clerk {
    asked: Mutex<Vec<String>>,
}

impl Clerk {
    fn note(&self, asked: String) {
        self.asked.lock().unwrap().push(asked);
    }
}

fn anna() -> UserId {
    UserId::new("0199f6a26f2b7c419d0e0d3c8f1f6a55".parse().unwrap())
}

#[async_trait]
impl Operator for Clerk {
    async fn import(
        &self,
        format: ImportFormat,
        mut file: File,
        progress: watch::Sender<ImportProgress>,
    ) -> Result<ImportReport, Refused> {
        self.note(format!("import {format:?}"));
        let mut report = ImportReport::default();
        let mut bytes = 0;
        while let Some(piece) = file.next().await {
            let piece = piece.map_err(Refused::because)?;
            bytes += piece.len() as u64;
            for line in piece.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                match line {
                    b"bad" => report.rejected.push(Rejection { line: report.created + 1, reason: "bad".to_owned() }),
                    b"stop" => return Err(Refused("It says stop.".to_owned())),
                    _ => report.created += 1,
                }
            }
            let now = ImportProgress { bytes, created: report.created, ..ImportProgress::default() };
            progress.send_replace(now);
        }
        Ok(report)
    }

    async fn create_admin(&self, email: Email, password: Secret<String>) -> Result<UserId, Refused> {
        if password.reveal().len() < 8 {
            return Err(Refused("That password is too short.".to_owned()));
        }
        self.note(format!("admin {}", email.as_str()));
        Ok(anna())
    }

    async fn service_token(&self, name: &str, life_s: u64) -> Result<Secret<String>, Refused> {
        Ok(Secret::new(format!("{name} for {life_s}")))
    }

    async fn dead_letters(&self) -> Result<Vec<Letter>, Refused> {
        Ok(vec![Letter {
            id: "inventory:1".to_owned(),
            consumer: "inventory".to_owned(),
            event: "order.created".to_owned(),
            subject: "ord_1".to_owned(),
            tries: 10,
            cause: "the store is \"odd\"".to_owned(),
            at: Time::from_millis(1_795_340_000_120),
        }])
    }

    async fn replay(&self, which: Which) -> Result<Vec<Replayed>, Refused> {
        self.note(format!("replay {which:?}"));
        Ok(vec![Replayed { id: "inventory:1".to_owned(), failed: Some("again".to_owned()) }])
    }
}

/// A shop's socket in a folder of its own.
struct Running {
    folder: tempfile::TempDir,
    clerk: Arc<Clerk>,
    tasks: Tasks,
}

impl Running {
    async fn start() -> Self {
        let running =
            Self { folder: tempfile::tempdir().unwrap(), clerk: Arc::new(Clerk::default()), tasks: Tasks::new() };
        running.serve().await;
        running
    }

    async fn serve(&self) {
        let (socket, tasks) = (self.socket(), self.tasks.clone());
        let clerk: Arc<dyn Operator> = Arc::<Clerk>::clone(&self.clerk);
        self.tasks.spawn(async move { serve(&socket, clerk, tasks).await.unwrap() });
        let clock = Clock::system();
        let listening = async {
            while reach(&self.socket()).await.is_none() {
                clock.pause(Duration::from_millis(2)).await;
            }
        };
        clock.timeout(Duration::from_secs(10), listening).await.expect("the socket is there within 10 s");
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("control.sock")
    }

    async fn reached(&self) -> Arc<dyn Operator> {
        reach(&self.socket()).await.unwrap()
    }

    async fn stop(&self) {
        assert!(self.tasks.drain(&Clock::system(), Duration::from_secs(10)).await);
    }
}

fn file(pieces: &[&'static str]) -> File {
    let pieces: Vec<io::Result<Bytes>> = pieces.iter().map(|piece| Ok(Bytes::from_static(piece.as_bytes()))).collect();
    stream::iter(pieces).boxed()
}

#[tokio::test]
async fn what_an_operator_asks_reaches_the_running_shop_and_its_answer_comes_back() {
    let running = Running::start().await;
    let shop = running.reached().await;

    let user = shop.create_admin("Anna@Shop.example".parse().unwrap(), Secret::new("long enough".to_owned())).await;
    assert_eq!(user, Ok(anna()));
    let token = shop.service_token("warehouse", 60).await;
    assert_eq!(token, Ok(Secret::new("warehouse for 60".to_owned())));
    assert_eq!(shop.dead_letters().await, running.clerk.dead_letters().await);
    let replayed = shop.replay(Which::One("inventory:1".to_owned())).await.unwrap();
    assert_eq!(replayed[0].failed.as_deref(), Some("again"));
    drop(shop.replay(Which::All).await.unwrap());

    let asked = running.clerk.asked.lock().unwrap().clone();
    assert_eq!(asked, ["admin anna@shop.example", "replay One(\"inventory:1\")", "replay All"]);
}

#[tokio::test]
async fn a_refusal_comes_back_in_the_shops_own_words() {
    let running = Running::start().await;
    let refused =
        running.reached().await.create_admin("a@b.example".parse().unwrap(), Secret::new("short".to_owned())).await;
    assert_eq!(refused, Err(Refused("That password is too short.".to_owned())));
}

#[tokio::test]
async fn an_imported_file_is_streamed_and_its_report_comes_back() {
    let running = Running::start().await;
    let (progress, seen) = watch::channel(ImportProgress::default());

    let report = running
        .reached()
        .await
        .import(ImportFormat::JsonLines, file(&["one\ntwo\n", "bad\n", "three\n"]), progress)
        .await;

    let report = report.unwrap();
    assert_eq!((report.created, report.rejected.len()), (3, 1));
    assert!(seen.borrow().bytes <= 18);
    assert_eq!(*running.clerk.asked.lock().unwrap(), ["import JsonLines"]);
}

#[tokio::test]
async fn a_file_larger_than_any_request_may_be_is_taken_while_it_is_read() {
    const PIECE: &[u8] = &[b'x'; 64 * 1024];
    let running = Running::start().await;
    let (progress, seen) = watch::channel(ImportProgress::default());
    let pieces = stream::iter((0..256).map(|_| Ok(Bytes::from_static(PIECE)))).boxed();

    let report = running.reached().await.import(ImportFormat::ShopifyCsv, pieces, progress).await.unwrap();

    assert!(report.created >= 256);
    assert!(seen.has_changed().unwrap_or(true), "progress is told on the way");
}

#[tokio::test]
async fn an_import_that_ends_early_says_why() {
    let running = Running::start().await;
    let (progress, _seen) = watch::channel(ImportProgress::default());
    let ended = running.reached().await.import(ImportFormat::JsonLines, file(&["one\n", "stop\n"]), progress).await;
    assert_eq!(ended, Err(Refused("It says stop.".to_owned())));
}

#[tokio::test]
async fn nobody_but_the_owner_may_open_the_socket() {
    let running = Running::start().await;
    let mode = std::fs::metadata(running.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_socket_that_a_killed_process_left_is_no_shop_and_is_replaced_at_the_next_start() {
    let running =
        Running { folder: tempfile::tempdir().unwrap(), clerk: Arc::new(Clerk::default()), tasks: Tasks::new() };
    drop(UnixListener::bind(running.socket()).unwrap());
    assert!(running.socket().exists());
    assert!(reach(&running.socket()).await.is_none());

    running.serve().await;
    assert_eq!(running.reached().await.dead_letters().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_shop_that_stops_takes_its_socket_away() {
    let running = Running::start().await;
    running.stop().await;
    assert!(!running.socket().exists());
    assert!(reach(&running.socket()).await.is_none());
    assert!(reach(Path::new("/nowhere/control.sock")).await.is_none());
}

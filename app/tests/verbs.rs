//! The verbs of the command line, tried on the binary itself: beside a running shop, on a stopped one, and one too many.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use cartwright_runtime::Clock;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(60);

/// A folder with nothing in it, and the verbs run there.
struct Folder(TempDir);

/// What a verb printed, and how it ended.
#[derive(Debug)]
struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cartwright"));
        command.args(arguments).current_dir(self.0.path()).env_clear().kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    async fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with(arguments, "").await
    }

    async fn run_with(&self, arguments: &[&str], input: &str) -> Ended {
        end(self.command(arguments), input).await
    }

    /// Starts the shop on a port of its own choice and waits until it is open.
    async fn start(&self) -> Running {
        let mut child = self.command(&["up", "--port", "0"]).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let opened = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some((_, address)) = line.split_once(" is open at http://") {
                    return address.to_owned();
                }
            }
            panic!("the shop ended before it was open");
        };
        let address = within(opened).await;
        within(is_served(&address)).await;
        within(self.appearance("data/control.sock")).await;
        Running { child, _out: lines }
    }

    async fn appearance(&self, name: &str) {
        while !self.path(name).exists() {
            Clock::system().pause(Duration::from_millis(5)).await;
        }
    }
}

/// Asks whether the shop is well; resolves when it has answered.
async fn is_served(address: &str) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /health HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

async fn end(mut command: Command, input: &str) -> Ended {
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A verb that reads nothing may have ended already.
    stdin.write_all(input.as_bytes()).await.ok();
    drop(stdin);
    let output = within(child.wait_with_output()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

async fn within<F: Future>(work: F) -> F::Output {
    Clock::system().timeout(LIMIT, work).await.expect("it takes less than a minute")
}

/// A shop, and the end of its standard output that it may write to.
struct Running {
    child: Child,
    _out: Lines<BufReader<ChildStdout>>,
}

impl Running {
    async fn end_by(mut self, signal: Signal) -> Option<i32> {
        let pid = Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        within(self.child.wait()).await.unwrap().code()
    }
}

const PRODUCTS: &str = r#"{"sku":"TEA-1","name":"A tea","price":3.50,"currency":"USD","category":"Tea","openingStock":4}
{"sku":"TEA-2","name":"Another tea","price":4,"currency":"USD","category":"Tea","openingStock":2}
"#;

#[tokio::test]
async fn verbs_reach_a_running_shop_and_the_store_of_a_stopped_one() {
    let folder = Folder::new();
    folder.write("products.jsonl", PRODUCTS);
    folder.write(
        "wrong.jsonl",
        "{\"sku\":\"TEA-1\",\"name\":\"A tea\",\"price\":3.505,\"currency\":\"USD\",\"category\":\"Tea\"}\n",
    );
    let shop = folder.start().await;

    let imported = folder.run(&["import", "products.jsonl"]).await;
    assert_eq!((imported.code, imported.out.as_str()), (0, "2 created, 0 updated, 0 unchanged, 0 rejected\n"));
    let rejected = folder.run(&["import", "wrong.jsonl"]).await;
    assert_eq!(rejected.code, 1);
    assert!(rejected.out.contains("1 rejected\n  line 1: price"), "{rejected:?}");
    let admin =
        folder.run_with(&["admin", "create", "anna@shop.example", "--password-stdin"], "a long password\n").await;
    assert!(admin.code == 0 && admin.out.contains("anna@shop.example is an admin now"), "{admin:?}");
    assert_eq!(shop.end_by(Signal::TERM).await, Some(0));
    assert!(!folder.path("data/control.sock").exists());

    let again = folder.run(&["import", "-", "--format", "jsonl"]).await;
    assert_eq!((again.code, again.out.as_str()), (0, "0 created, 0 updated, 0 unchanged, 0 rejected\n"));
    let again = folder.run_with(&["import", "-", "--format", "jsonl"], PRODUCTS).await;
    assert_eq!((again.code, again.out.as_str()), (0, "0 created, 0 updated, 2 unchanged, 0 rejected\n"));
    let letters = folder.run(&["dead-letters", "list"]).await;
    assert_eq!((letters.code, letters.out.as_str()), (0, "No dead letters.\n"));
    let token = folder.run(&["token", "service", "warehouse"]).await;
    assert_eq!((token.code, token.out.trim().split('.').count()), (0, 3));
    let verified = folder.run(&["verify"]).await;
    assert!(verified.code == 0 && verified.out.contains("All of it holds."), "{verified:?}");
}

#[tokio::test]
async fn a_second_shop_on_the_same_store_is_refused_in_a_sentence() {
    let folder = Folder::new();
    let shop = folder.start().await;

    let second = folder.run(&["up", "--port", "0"]).await;
    assert_eq!(second.code, 1);
    assert!(second.err.contains("is open in process"), "{second:?}");

    std::fs::remove_file(folder.path("data/control.sock")).unwrap();
    let verb = folder.run(&["dead-letters", "list"]).await;
    assert_eq!(verb.code, 1);
    assert!(verb.err.contains("its store cannot be opened") && verb.err.contains("is open in process"), "{verb:?}");
    assert_eq!(shop.end_by(Signal::TERM).await, Some(0));
}

#[tokio::test]
async fn the_socket_of_a_killed_shop_is_in_nobodys_way() {
    let folder = Folder::new();
    assert_eq!(folder.start().await.end_by(Signal::KILL).await, None);
    assert!(folder.path("data/control.sock").exists());

    let letters = folder.run(&["dead-letters", "list"]).await;
    assert_eq!(letters.code, 0, "{letters:?}");
    assert!(!folder.path("data/control.sock").exists());

    assert_eq!(folder.start().await.end_by(Signal::KILL).await, None);
    assert_eq!(folder.start().await.end_by(Signal::INT).await, Some(0));
}

#[tokio::test]
async fn check_tells_every_mistake_at_once_and_no_secret() {
    let folder = Folder::new();
    folder.write("cartwright.toml", "shop_name = \"Anna's teas\"\nprot = 3001\n");
    folder.write(".env", "CURRENCY=XYZZY\nJWT_SECRET=hunter2\nSOMETHING_ELSE=1\n");
    let mut command = folder.command(&["check", "--payment-deadline", "soon"]);
    command.env("PORT", "70000").env("SHOP_NAME", "Bob's teas");

    let checked = end(command, "").await;

    assert_eq!(checked.code, 1);
    for told in ["`prot`", "CURRENCY in .env", "JWT_SECRET in .env", "--payment-deadline", "PORT in the environment"] {
        assert!(checked.out.contains(told), "{told} is missing in {}", checked.out);
    }
    let shop_name = checked.out.lines().find(|line| line.starts_with("SHOP_NAME")).unwrap();
    assert!(shop_name.contains("Bob's teas") && shop_name.ends_with("environment"), "{shop_name}");
    assert!(!checked.out.contains("hunter2") && !checked.err.contains("hunter2"));
    assert!(!folder.path("data").exists(), "a check changes nothing");
}

#[tokio::test]
async fn a_shop_with_wrong_settings_does_not_start_and_makes_nothing() {
    let folder = Folder::new();
    let started = folder.run(&["up", "--mongodb-uri", "mysql://localhost/shop"]).await;
    assert_eq!(started.code, 1);
    assert!(started.err.contains("a URL that begins with mongodb://"), "{started:?}");
    assert!(!folder.path("data").exists());
}

#[tokio::test]
async fn the_example_of_settings_is_what_the_program_prints() {
    let printed = Folder::new().run(&["check", "--example"]).await.out;
    let kept = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.env.example")).unwrap();
    assert_eq!(kept, printed, "write it anew: cargo run --package cartwright -- check --example > .env.example");
}

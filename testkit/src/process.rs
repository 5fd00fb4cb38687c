//! The real program in a process of its own, on data in a folder, to be asked, stopped and killed.
//!
//! Every wait has a deadline, and no process outlives the value that stands for it.

use std::fs::File;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cartwright_runtime::{Clock, Stopwatch};
use rustix::process::{Pid, Signal, kill_process};

/// How long a start may take.
const START: Duration = Duration::from_secs(60);
/// How long a verb that is no shop may take.
const VERB: Duration = Duration::from_secs(120);
/// How often something awaited is looked for.
const LOOK: Duration = Duration::from_millis(5);

/// A shop that can be started, again and again: a binary, a folder of data, an address, and what it is told.
#[derive(Clone, Debug)]
pub struct ProcessPlan {
    binary: PathBuf,
    data: PathBuf,
    port: u16,
    demo: bool,
    variables: Vec<(String, String)>,
}

impl ProcessPlan {
    /// A shop of the program at `binary` with its store in `data`, and beside that its log. It keeps its port, so that
    /// clients find it again.
    ///
    /// # Panics
    /// When no port is free.
    pub fn new(binary: impl Into<PathBuf>, data: impl Into<PathBuf>) -> Self {
        Self { binary: binary.into(), data: data.into(), port: free_port(), demo: false, variables: Vec::new() }
    }

    /// With the demo catalogue.
    #[must_use]
    pub const fn demo(mut self) -> Self {
        self.demo = true;
        self
    }

    /// With a setting, as a variable of its environment.
    #[must_use]
    pub fn with(mut self, variable: &str, text: &str) -> Self {
        self.variables.push((variable.to_owned(), text.to_owned()));
        self
    }

    /// Where it answers, for example `http://127.0.0.1:14234`.
    pub fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The folder of its store.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// What all its processes have printed so far, one after the other.
    pub fn log(&self) -> String {
        let text = std::fs::read(self.log_file()).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Starts it without waiting for anything.
    ///
    /// # Panics
    /// When the program cannot be started.
    pub fn spawn(&self) -> ShopProcess {
        let log = File::options().create(true).append(true).open(self.log_file()).expect("a log file can be made");
        let mut command = self.command(&["up"]);
        if self.demo {
            command.arg("--demo");
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file can be opened twice")).stderr(log);
        let started = Clock::system().stopwatch();
        ShopProcess { child: Killed(command.spawn().expect("the program can be started")), base: self.base(), started }
    }

    /// Starts it and waits until it is healthy.
    ///
    /// # Panics
    /// When it ends meanwhile, or is not healthy within a minute. The text holds its log.
    pub async fn start(&self) -> ShopProcess {
        let mut shop = self.spawn();
        match shop.healthy().await {
            Ok(_) => shop,
            Err(why) => panic!("{why}; its log:\n{}", self.log()),
        }
    }

    /// Runs another verb on the same data, beside the shop or without it, and gives what came of it.
    ///
    /// # Panics
    /// When it does not end within two minutes.
    pub async fn verb(&self, arguments: &[&str]) -> VerbOutput {
        self.verb_with(arguments, "").await
    }

    /// The same with `input` coming in.
    ///
    /// # Panics
    /// When it does not end within two minutes.
    pub async fn verb_with(&self, arguments: &[&str], input: &str) -> VerbOutput {
        run_verb(self.command(arguments), input).await
    }

    fn log_file(&self) -> PathBuf {
        self.data.with_extension("log")
    }

    /// The program told what this plan says and nothing that the test's own environment says.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).env_clear().current_dir(self.data.parent().unwrap_or(&self.data));
        command.env("PORT", self.port.to_string()).env("DATA_DIR", &self.data);
        command.envs(self.variables.iter().map(|(name, text)| (name, text)));
        command
    }
}

/// What a verb printed, and how it ended.
#[derive(Clone, Debug)]
pub struct VerbOutput {
    /// Its exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub out: String,
    /// What it complained of.
    pub err: String,
}

/// A running `cartwright up`. It is killed when this is dropped.
pub struct ShopProcess {
    child: Killed,
    base: String,
    started: Stopwatch,
}

impl ShopProcess {
    /// Starts the program at `binary` on the data in `data`, and waits until it is healthy.
    ///
    /// # Panics
    /// When it does not become healthy in time.
    pub async fn start(binary: &Path, data: &Path) -> Self {
        ProcessPlan::new(binary, data).start().await
    }

    /// Where it answers, for example `http://127.0.0.1:14234`.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.0.id()
    }

    /// Waits until it is healthy and gives the time since its start.
    ///
    /// # Errors
    /// When it ends meanwhile, or a minute passes.
    pub async fn healthy(&mut self) -> Result<Duration, String> {
        let (clock, client) = (Clock::system(), reqwest::Client::new());
        while self.started.elapsed() < START {
            if let Ok(answer) = client.get(format!("{}/health", self.base)).send().await
                && answer.status().is_success()
            {
                return Ok(self.started.elapsed());
            }
            if let Ok(Some(status)) = self.child.0.try_wait() {
                return Err(format!("the shop ended while it started: {status}"));
            }
            clock.pause(LOOK).await;
        }
        Err(format!("the shop is not healthy after {START:?}"))
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.0.try_wait(), Ok(None))
    }

    /// Kills it at once, and waits until it is gone.
    pub fn kill(mut self) {
        self.child.end();
    }

    /// Asks it to stop, as a service manager does.
    ///
    /// # Panics
    /// When it cannot be asked.
    pub fn terminate(&self) {
        signal_end(&self.child.0);
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// When it still runs after `limit`.
    pub async fn ended_within(mut self, limit: Duration) -> ExitStatus {
        let status = self.child.ended(limit).await;
        status.unwrap_or_else(|| panic!("the shop still runs after {limit:?}"))
    }
}

/// Runs a command with `input` coming in until it ends, and gives what came of it.
pub(crate) async fn run_verb(mut command: Command, input: &str) -> VerbOutput {
    let (out, err) = (tempfile::tempfile(), tempfile::tempfile());
    let (out, err) = (out.expect("a temporary file"), err.expect("a temporary file"));
    command.stdin(Stdio::piped());
    command.stdout(out.try_clone().expect("a file can be opened twice"));
    command.stderr(err.try_clone().expect("a file can be opened twice"));
    let mut child = Killed(command.spawn().expect("the program can be started"));
    if let Some(mut stdin) = child.0.stdin.take() {
        // A verb that reads nothing may have ended already.
        stdin.write_all(input.as_bytes()).ok();
    }
    let status = child.ended(VERB).await;
    let status = status.unwrap_or_else(|| panic!("{command:?} did not end: {}{}", text(&out), text(&err)));
    VerbOutput { code: status.code(), out: text(&out), err: text(&err) }
}

/// Asks a process to stop, as a service manager does.
pub(crate) fn signal_end(child: &Child) {
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process has an id");
    kill_process(id, Signal::TERM).expect("an own child can be signalled");
}

/// A child process that does not outlive this.
pub(crate) struct Killed(pub(crate) Child);

impl Killed {
    /// How it ended, or `None` where it still runs after `limit`.
    pub(crate) async fn ended(&mut self, limit: Duration) -> Option<ExitStatus> {
        let clock = Clock::system();
        let watch = clock.stopwatch();
        loop {
            if let Some(status) = self.0.try_wait().expect("an own child can be waited for") {
                return Some(status);
            }
            if watch.elapsed() > limit {
                return None;
            }
            clock.pause(LOOK).await;
        }
    }

    pub(crate) fn end(&mut self) {
        // A process that has ended already cannot be killed, and that is as good.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        self.end();
    }
}

fn text(mut file: &File) -> String {
    use std::io::{Read, Seek};
    let mut bytes = Vec::new();
    let read = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
    read.expect("a temporary file can be read");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A port below those that the system hands out to outgoing connections: one of them could take it between two starts,
/// and a client that calls a dead port of its own range can be answered by itself.
fn free_port() -> u16 {
    const FIRST: u32 = 12_000;
    const COUNT: u32 = 20_000;
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let earlier = TAKEN.fetch_add(1, Ordering::Relaxed);
    let from = std::process::id().wrapping_mul(97).wrapping_add(earlier);
    let mut candidates = (0..COUNT).map(|step| FIRST + from.wrapping_add(step) % COUNT);
    let free = candidates.find_map(|port| {
        let port = u16::try_from(port).ok()?;
        TcpListener::bind(("127.0.0.1", port)).ok().map(|_| port)
    });
    free.expect("loopback has a free port")
}

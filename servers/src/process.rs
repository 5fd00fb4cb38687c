//! A server as a process: where it lives, how it is started, and who ends it when nobody can any more.
//!
//! Every server runs under a small keeper that outlives its users by seconds: as long as somebody holds the lock of its
//! folder, it lives. So nothing is left behind by a test that was killed.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as LocalAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use cartwright_runtime::Clock;
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process_group};

/// How often something awaited is looked for.
pub(crate) const LOOK: Duration = Duration::from_millis(20);
/// How long anything may take: also the start of a server on a machine that compiles meanwhile.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Keeps a server: `sh -c KEEPER keeper FOLDER AFTERWARDS PROGRAM ARGUMENT…`.
///
/// It ends the server when its lock has been free at three looks, and the folder with it; where the server ends first, it
/// waits for the users and removes the folder after them.
const KEEPER: &str = r#"
folder=$1; afterwards=$2; shift 2
exec 9>>"$folder/users"
setsid "$@" >>"$folder/log" 2>&1 </dev/null 9>&- &
server=$!
echo $server >"$folder/pid.new" && mv "$folder/pid.new" "$folder/pid"
free=0
while kill -0 $server 2>/dev/null; do
    sleep 2
    if flock -n -x 9; then
        free=$((free + 1))
        [ $free -ge 3 ] && break
        flock -u 9
    else
        free=0
    fi
done
rm -f "$folder/ready"
kill -KILL -$server 2>/dev/null
wait $server 2>/dev/null
flock -x 9
sh -c "$afterwards" 9>&-
rm -rf "$folder" || { sleep 1; rm -rf "$folder"; }
"#;

/// How a server is started in its folder.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Variables of its environment beside those of the test.
    pub variables: Vec<(String, String)>,
    /// The ports that it listens on; the first is the one that tells whether it lives.
    pub ports: Vec<u16>,
    /// A shell command that ends what the server started outside its own process group; often empty.
    pub afterwards: String,
}

impl Plan {
    /// A program that listens on `ports`.
    pub fn new(program: impl Into<PathBuf>, ports: Vec<u16>) -> Self {
        let (arguments, variables, afterwards) = (Vec::new(), Vec::new(), String::new());
        Self { program: program.into(), arguments, variables, ports, afterwards }
    }

    /// With more arguments.
    #[must_use]
    pub fn args<A: Into<String>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// With a variable of its environment.
    #[must_use]
    pub fn with(mut self, variable: &str, text: impl Into<String>) -> Self {
        self.variables.push((variable.to_owned(), text.into()));
        self
    }
}

/// The folder where servers live and are installed: `target/servers`.
///
/// # Panics
/// When it cannot be made.
pub fn root() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in a workspace");
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), |dir| workspace.join(dir));
    let root = target.join("servers");
    fs::create_dir_all(&root).expect("target/servers can be made");
    root
}

/// A port of loopback that nobody else is given as long as this process lives.
///
/// It lies below those that the system hands out to outgoing connections: one of them could take it between two starts,
/// and a client that calls a dead port of its own range can be answered by itself. The claim is a name in the kernel's
/// own table, which forgets it with the process.
///
/// # Panics
/// When no port is free.
pub fn free_port() -> u16 {
    const FIRST: u32 = 12_000;
    const COUNT: u32 = 20_000;
    static EARLIER: AtomicU32 = AtomicU32::new(0);
    static CLAIMS: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());
    let from = std::process::id().wrapping_mul(97).wrapping_add(EARLIER.fetch_add(1, Ordering::Relaxed));
    let mut candidates = (0..COUNT).map(|step| FIRST + from.wrapping_add(step) % COUNT);
    let (port, claim) = candidates
        .find_map(|port| {
            let port = u16::try_from(port).ok()?;
            let name = LocalAddr::from_abstract_name(format!("cartwright-port-{port}")).ok()?;
            let claim = UnixListener::bind_addr(&name).ok()?;
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok().map(|_| (port, claim))
        })
        .expect("loopback has a free port");
    CLAIMS.lock().unwrap_or_else(PoisonError::into_inner).push(claim);
    port
}

/// Whether somebody listens on a port of loopback.
pub fn listens(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok()
}

/// The end of a text file, for the message of a panic.
pub fn tail(file: &Path) -> String {
    let text = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text[text.len().saturating_sub(4000)..]).into_owned();
    format!("the end of {}:\n{text}", file.display())
}

/// Waits until `check` holds.
///
/// # Errors
/// When it does not within two minutes.
pub(crate) async fn until<F: Future<Output = bool>>(check: impl Fn() -> F) -> Result<(), String> {
    let clock = Clock::system();
    let watch = clock.stopwatch();
    while !check().await {
        if watch.elapsed() > PATIENCE {
            return Err(format!("not within {PATIENCE:?}"));
        }
        clock.pause(LOOK).await;
    }
    Ok(())
}

/// Runs `work` while no other process of this machine runs work of the same name.
///
/// # Panics
/// When the turn does not come within two minutes.
pub async fn alone<T>(name: &str, work: impl Future<Output = T>) -> T {
    let path = root().join(format!("{name}.lock"));
    let lock = File::options().create(true).append(true).open(&path).expect("a lock file can be made");
    let taken = until(|| async { flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() }).await;
    taken.unwrap_or_else(|why| panic!("{} is not free: {why}", path.display()));
    work.await
}

/// Where servers that many tests share keep their data: in memory, where there is room. What such a test asks is never
/// whether a disk holds what it was given; a test that asks this has a server of its own.
pub(crate) fn in_memory() -> PathBuf {
    const ROOM: u64 = 4 << 30;
    let memory = Path::new("/dev/shm");
    let free = rustix::fs::statvfs(memory).map_or(0, |found| found.f_bavail.saturating_mul(found.f_frsize));
    if free < ROOM {
        return root();
    }
    let folder = memory.join("cartwright-servers");
    if fs::create_dir_all(&folder).is_ok() { folder } else { root() }
}

/// Makes a new folder for a server in `base`.
pub(crate) fn new_folder(base: &Path, name: &str) -> PathBuf {
    static EARLIER: AtomicU32 = AtomicU32::new(0);
    let number = EARLIER.fetch_add(1, Ordering::Relaxed);
    let stamp = Clock::system().now().millis();
    let folder = base.join(format!("{name}-{}-{number}-{stamp}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder can be made");
    folder
}

/// The right to use the server in `folder`, held until it is dropped; `None` where the server is on its way out.
pub(crate) fn user_of(folder: &Path) -> Option<File> {
    let lock = File::options().append(true).open(folder.join("users")).ok()?;
    flock(&lock, FlockOperation::NonBlockingLockShared).ok()?;
    Some(lock)
}

/// Starts `plan` in `folder` under a keeper of its own, and waits until it has a process id.
pub(crate) async fn spawn(folder: &Path, plan: &Plan) -> (Child, i32) {
    // A start after another one in the same folder must not read the number of the dead.
    fs::remove_file(folder.join("pid")).ok();
    let log = File::options().create(true).append(true).open(folder.join("keeper.log")).expect("a log can be made");
    let mut keeper = Command::new("setsid");
    keeper.args(["sh", "-c", KEEPER, "keeper"]).arg(folder).arg(&plan.afterwards).arg(&plan.program);
    keeper.args(&plan.arguments).envs(plan.variables.iter().map(|(name, text)| (name, text))).current_dir(folder);
    keeper.stdin(Stdio::null()).stdout(log.try_clone().expect("a file can be opened twice")).stderr(log);
    let child = keeper.spawn().expect("setsid and sh are there");
    let file = folder.join("pid");
    let started = until(|| async { file.exists() }).await;
    started.unwrap_or_else(|why| panic!("no server: {why}; {}", tail(&folder.join("keeper.log"))));
    let pid = fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
    (child, pid.expect("a process id is a number"))
}

/// A server of one test alone. It is killed, and its folder removed, when this is dropped.
#[derive(Debug)]
pub struct Server {
    folder: PathBuf,
    plan: Plan,
    user: Option<File>,
    running: Option<(Child, i32)>,
}

impl Server {
    /// Starts what `plan` says for a new folder, and waits until it listens on its first port.
    ///
    /// # Panics
    /// When it does not. The text holds the end of its log.
    pub async fn start(name: &str, plan: impl FnOnce(&Path) -> Plan) -> Self {
        let folder = new_folder(&root(), name);
        File::create(folder.join("users")).expect("a lock file can be made");
        let (user, plan) = (user_of(&folder), plan(&folder));
        let mut server = Self { folder, plan, user, running: None };
        server.start_again().await;
        server
    }

    /// Starts it again on what it left, after [`Server::kill`].
    ///
    /// # Panics
    /// When it does not listen within two minutes.
    pub async fn start_again(&mut self) {
        self.kill();
        self.running = Some(spawn(&self.folder, &self.plan).await);
        let (port, log) = (self.port(), self.folder.join("log"));
        let up = until(|| async { listens(port) }).await;
        up.unwrap_or_else(|why| panic!("port {port} is silent: {why}; {}", tail(&log)));
    }

    /// Kills it at once (SIGKILL) and waits until its port is silent. Its data stay.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub fn kill(&mut self) {
        let Some((keeper, pid)) = self.running.take() else { return };
        end_group(pid);
        drop(keeper);
        // The system closes its sockets a moment later. A refused connection costs nothing, so this only has to be bounded.
        let (clock, port) = (Clock::system(), self.port());
        let watch = clock.stopwatch();
        while watch.elapsed() < Duration::from_secs(10) && listens(port) {
            std::thread::yield_now();
        }
    }

    /// Whether it was started and not killed.
    pub const fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Its first port.
    ///
    /// # Panics
    /// When its plan names none.
    pub fn port(&self) -> u16 {
        *self.plan.ports.first().expect("a server listens somewhere")
    }

    /// All its ports.
    pub fn ports(&self) -> &[u16] {
        &self.plan.ports
    }

    /// Where its data and its log are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The end of its log, for the message of a panic.
    pub fn log_tail(&self) -> String {
        tail(&self.folder.join("log"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        // The keepers remove the folder when the lock is free; what runs afterwards needs it until then.
        drop(self.user.take());
    }
}

/// Kills a server and what it started. One that has ended already cannot be killed, and that is as good.
fn end_group(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        kill_process_group(pid, Signal::KILL).ok();
    }
}

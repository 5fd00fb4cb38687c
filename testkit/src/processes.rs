//! The shop as processes of their own: gateways and some of each service, each with a port, a folder, a log and an identity,
//! to be asked, stopped and killed one by one.
//!
//! Every wait has a deadline, and no process outlives the value that stands for it.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, header};
use cartwright::callers::GATEWAY;
use cartwright::role::Role;
use cartwright_runtime::{Clock, Ids};
use cartwright_servers::process::{free_port, tail};
use cartwright_tls::{Authority, Identity, IdentityFiles};
use cartwright_upstream::{CallError, Options, Targets, Upstream};

use crate::VerbOutput;
use crate::process::{Killed, run_verb, signal_end};

/// How long a process may take to come up, beside others that do, on a machine that compiles meanwhile.
const START: Duration = Duration::from_secs(90);
/// How long a process may take to answer a question of a test.
const ANSWER: Duration = Duration::from_secs(10);
/// How often something awaited is looked for.
const LOOK: Duration = Duration::from_millis(20);
/// How long the certificates of a test are good.
const CERTIFICATE_LIFE: Duration = Duration::from_secs(24 * 3600);

/// A shop of processes that can be laid out: which there are, and what they are told.
#[derive(Clone, Debug)]
pub struct ClusterPlan {
    binary: PathBuf,
    folder: PathBuf,
    processes: Vec<Vec<Role>>,
    gateways: usize,
    has_certificates: bool,
    variables: BTreeMap<String, String>,
}

impl ClusterPlan {
    /// A gateway and one process of each service of the program at `binary`, with their data in `folder`; they prove to
    /// each other who they are.
    pub fn new(binary: impl Into<PathBuf>, folder: impl Into<PathBuf>) -> Self {
        Self {
            binary: binary.into(),
            folder: folder.into(),
            processes: Role::ALL.into_iter().map(|role| vec![role]).collect(),
            gateways: 1,
            has_certificates: true,
            variables: BTreeMap::new(),
        }
    }

    /// With a second process of `role`.
    #[must_use]
    pub fn two_of(mut self, role: Role) -> Self {
        self.processes.push(vec![role]);
        self
    }

    /// With another number of gateways.
    #[must_use]
    pub const fn gateways(mut self, gateways: usize) -> Self {
        self.gateways = gateways;
        self
    }

    /// With these services in these processes instead, and without certificates, which name one service each.
    #[must_use]
    pub fn grouped(mut self, processes: &[&[Role]]) -> Self {
        self.processes = processes.iter().map(|roles| roles.to_vec()).collect();
        self.has_certificates = false;
        self
    }

    /// With a setting of all processes, as a variable of their environment.
    #[must_use]
    pub fn with(mut self, variable: &str, text: impl Into<String>) -> Self {
        self.variables.insert(variable.to_owned(), text.into());
        self
    }

    /// Gives everybody ports, folders and certificates. Nothing is started yet.
    ///
    /// # Panics
    /// When no ports are free, or the folder cannot be written to.
    pub fn lay_out(self) -> ProcessCluster {
        let mut processes: Vec<Process> = Vec::new();
        for roles in &self.processes {
            let earlier = processes.iter().filter(|it| it.roles.first() == roles.first()).count();
            let name = format!("{}-{}", roles.first().expect("a process has a service"), earlier + 1);
            processes.push(Process::new(name, roles.clone()));
        }
        processes.extend((1..=self.gateways).map(|number| Process::new(format!("{GATEWAY}-{number}"), Vec::new())));
        let shared = self.folder.join("shared");
        std::fs::create_dir_all(&shared).expect("the folder can be written to");
        let mut common = self.variables.clone();
        common.insert("SHARED_DIR".to_owned(), text(&shared));
        if self.has_certificates {
            certify(&self.certificates());
            common.insert("CERTS_DIR".to_owned(), text(&self.certificates()));
        }
        for role in Role::ALL {
            let scheme = if self.has_certificates { "https" } else { "http" };
            let all = |peers: bool| {
                let ports = processes.iter().filter_map(|process| process.port_of(role, peers));
                ports.map(|port| format!("{scheme}://127.0.0.1:{port}")).collect::<Vec<_>>().join(",")
            };
            common.insert(role.url_setting().to_ascii_uppercase(), all(false));
            common.insert(role.peer_url_setting().to_ascii_uppercase(), all(true));
        }
        for process in &mut processes {
            process.variables = common.clone();
            process.told("PORT", &process.port.to_string());
            process.told("PEER_PORT", &process.peer_port.to_string());
            process.told("DATA_DIR", &text(&self.folder.join(&process.name)));
        }
        ProcessCluster { plan: self, common, processes, clock: Clock::system() }
    }

    fn certificates(&self) -> PathBuf {
        self.folder.join("certs")
    }
}

/// A certificate for everybody, from an authority in `folder`.
fn certify(folder: &Path) {
    let authority = Authority::open_or_create(folder, &Clock::system()).expect("an authority can be made");
    for name in Role::ALL.iter().map(|role| role.name()).chain([GATEWAY]) {
        authority.issue(name, CERTIFICATE_LIFE).expect("a certificate can be made");
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("paths are UTF-8").to_owned()
}

/// The first of `count` free ports in a row.
fn free_ports(count: usize) -> u16 {
    let mut row: Vec<u16> = Vec::new();
    for _ in 0..1000 {
        let port = free_port();
        if row.last().is_some_and(|last| last.wrapping_add(1) != port) {
            row.clear();
        }
        row.push(port);
        if row.len() >= count.max(1) {
            return row.swap_remove(0);
        }
    }
    panic!("loopback has no {count} free ports in a row");
}

/// One of the processes, running or not. A gateway has no services.
struct Process {
    name: String,
    roles: Vec<Role>,
    port: u16,
    peer_port: u16,
    variables: BTreeMap<String, String>,
    running: Option<Killed>,
}

impl Process {
    fn new(name: String, roles: Vec<Role>) -> Self {
        let (port, peer_port) = (free_ports(roles.len()), free_ports(roles.len()));
        Self { name, roles, port, peer_port, variables: BTreeMap::new(), running: None }
    }

    fn told(&mut self, variable: &str, text: &str) {
        self.variables.insert(variable.to_owned(), text.to_owned());
    }

    /// Where it answers for `role`, shoppers or peers.
    fn port_of(&self, role: Role, peers: bool) -> Option<u16> {
        let first = if peers { self.peer_port } else { self.port };
        (first..).zip(&self.roles).find(|(_, it)| **it == role).map(|(port, _)| port)
    }
}

/// A shop of processes. All of them are killed when this is dropped.
pub struct ProcessCluster {
    plan: ClusterPlan,
    common: BTreeMap<String, String>,
    processes: Vec<Process>,
    clock: Clock,
}

impl ProcessCluster {
    /// Starts all of them and waits until the gateways say that everything is well.
    ///
    /// # Panics
    /// When one ends meanwhile, or they are not well in time. The text holds the ends of the logs.
    pub async fn start(&mut self) {
        let names: Vec<String> = self.names().map(str::to_owned).collect();
        names.iter().for_each(|name| self.spawn(name));
        for name in &names {
            self.ready(name).await;
        }
        self.healthy().await;
    }

    /// The names of all processes: `order-1`, `gateway-1`.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.processes.iter().map(|process| process.name.as_str())
    }

    /// Where shoppers find the first gateway, for example `http://127.0.0.1:14234`.
    pub fn base(&self) -> String {
        self.bases().swap_remove(0)
    }

    /// Where shoppers find the gateways.
    pub fn bases(&self) -> Vec<String> {
        let gateways = self.processes.iter().filter(|process| process.roles.is_empty());
        gateways.map(|process| format!("http://127.0.0.1:{}", process.port)).collect()
    }

    /// The port on which the process `name` answers the gateway; that of a gateway is the one for shoppers.
    pub fn port(&self, name: &str) -> u16 {
        self.process(name).port
    }

    /// The port on which the process `name` answers its peers.
    pub fn peer_port(&self, name: &str) -> u16 {
        self.process(name).peer_port
    }

    /// The folder that all of them share.
    pub fn shared(&self) -> PathBuf {
        self.plan.folder.join("shared")
    }

    /// The folder of the certificates.
    pub fn certificates(&self) -> PathBuf {
        self.plan.certificates()
    }

    /// Changes a setting of one process, for its next start.
    pub fn tell(&mut self, name: &str, variable: &str, text: &str) {
        self.process_mut(name).told(variable, text);
    }

    /// Starts the process `name` without waiting for anything.
    ///
    /// # Panics
    /// When the program cannot be started.
    pub fn spawn(&mut self, name: &str) {
        let log = File::options().create(true).append(true).open(self.log_file(name)).expect("a log file can be made");
        let process = self.process(name);
        let arguments = arguments(&process.roles);
        let mut command = self.command(&arguments, &process.variables);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file can be opened twice")).stderr(log);
        let child = Killed(command.spawn().expect("the program can be started"));
        self.process_mut(name).running = Some(child);
    }

    /// Starts the process `name` and waits until it takes requests. Gives how long that took.
    ///
    /// # Panics
    /// When it does not in time.
    pub async fn start_again(&mut self, name: &str) -> Duration {
        let watch = self.clock.stopwatch();
        self.spawn(name);
        self.ready(name).await;
        watch.elapsed()
    }

    /// Waits until the process `name` takes requests.
    ///
    /// # Panics
    /// When it ends meanwhile, or does not in time.
    pub async fn ready(&mut self, name: &str) {
        let watch = self.clock.stopwatch();
        while !self.is_ready(name).await {
            let ended = self.process_mut(name).running.as_mut().and_then(|child| child.0.try_wait().ok().flatten());
            assert!(ended.is_none(), "{name} ended: {ended:?}; {}", tail(&self.log_file(name)));
            assert!(watch.elapsed() < START, "{name} is not ready after {START:?}; {}", tail(&self.log_file(name)));
            self.clock.pause(LOOK).await;
        }
    }

    /// Whether the process `name` says that it takes requests.
    pub async fn is_ready(&self, name: &str) -> bool {
        let process = self.process(name);
        let asked = match process.roles.first() {
            Some(_) if self.plan.has_certificates => {
                let request = Request::get("/readyz").body(Body::empty()).expect("a request without a body");
                return self.ask(GATEWAY, name, false, request).await.is_ok_and(|answer| answer.status().is_success());
            }
            Some(_) | None => format!("http://127.0.0.1:{}/readyz", process.port),
        };
        reqwest::get(asked).await.is_ok_and(|answer| answer.status().is_success())
    }

    /// Asks one process itself, as the service `caller` would: on its port for peers or on the other one.
    ///
    /// # Errors
    /// When there is no answer.
    ///
    /// # Panics
    /// When `caller` has no certificate.
    pub async fn ask(
        &self,
        caller: &str,
        name: &str,
        peers: bool,
        request: Request<Body>,
    ) -> Result<Response<Body>, CallError> {
        self.ask_as(IdentityFiles::in_folder(&self.certificates(), caller), name, peers, request).await
    }

    /// The same with any identity.
    ///
    /// # Errors
    /// When there is no answer.
    ///
    /// # Panics
    /// When the files are no identity.
    pub async fn ask_as(
        &self,
        identity: IdentityFiles,
        name: &str,
        peers: bool,
        request: Request<Body>,
    ) -> Result<Response<Body>, CallError> {
        let process = self.process(name);
        let role = process.roles.first().expect("a process with a service").name();
        let port = if peers { process.peer_port } else { process.port };
        let identity = Identity::load(identity, &self.clock).expect("an identity of the test");
        let tls = Some(identity.client_config(role));
        let targets = Targets::parse(&format!("https://127.0.0.1:{port}")).expect("an address");
        let (clock, ids) = (self.clock.clone(), Ids::random(self.clock.clone()));
        let upstream = Upstream::new(role, targets, Options::default(), tls, clock, ids).expect("TLS is there");
        let (mut head, body) = request.into_parts();
        head.headers.entry(header::HOST).or_insert(HeaderValue::from_static(role));
        upstream.call(Request::from_parts(head, body), ANSWER).await
    }

    /// Waits until every gateway says that the whole shop is well. Gives how long that took.
    ///
    /// # Panics
    /// When they do not in time.
    pub async fn healthy(&self) -> Duration {
        let watch = self.clock.stopwatch();
        for base in self.bases() {
            while !is_healthy(&base).await {
                assert!(watch.elapsed() < START, "{base} is not healthy after {START:?}:\n{}", self.ends_of_logs());
                self.clock.pause(LOOK).await;
            }
        }
        watch.elapsed()
    }

    /// Kills the process `name` at once (SIGKILL), and waits until it is gone.
    pub fn kill(&mut self, name: &str) {
        if let Some(mut child) = self.process_mut(name).running.take() {
            child.end();
        }
    }

    /// Asks the process `name` to stop, as a service manager does, without waiting for it.
    ///
    /// # Panics
    /// When it does not run.
    pub fn terminate(&self, name: &str) {
        signal_end(&self.process(name).running.as_ref().expect("the process runs").0);
    }

    /// Waits until the process `name`, which was asked to stop, has ended with 0. Gives how long that took.
    ///
    /// # Panics
    /// When it does not, or still runs after `limit`.
    pub async fn ended(&mut self, name: &str, limit: Duration) -> Duration {
        let watch = self.clock.stopwatch();
        let mut child = self.process_mut(name).running.take().expect("the process runs");
        let status = child.ended(limit).await.unwrap_or_else(|| panic!("{name} still runs after {limit:?}"));
        assert_eq!(status.code(), Some(0), "{name}; {}", tail(&self.log_file(name)));
        watch.elapsed()
    }

    /// What the process `name` has printed so far, in all its lives.
    pub fn log(&self, name: &str) -> String {
        let text = std::fs::read(self.log_file(name)).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// The ends of all logs, for the message of a panic.
    pub fn ends_of_logs(&self) -> String {
        self.names().map(|name| tail(&self.log_file(name))).collect::<Vec<_>>().join("\n")
    }

    /// Runs a verb of the operator with what all processes are told, and gives what came of it.
    ///
    /// # Panics
    /// When it does not end within two minutes.
    pub async fn verb(&self, arguments: &[&str], input: &str) -> VerbOutput {
        let mut variables = self.common.clone();
        variables.insert("DATA_DIR".to_owned(), text(&self.plan.folder.join("operator")));
        let owned: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        run_verb(self.command(&owned, &variables), input).await
    }

    fn command(&self, arguments: &[String], variables: &BTreeMap<String, String>) -> Command {
        // The system kills what a killed test leaves behind.
        let mut command = Command::new("/usr/bin/setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(&self.plan.binary).args(arguments);
        command.env_clear().envs(variables).current_dir(&self.plan.folder);
        command
    }

    fn log_file(&self, name: &str) -> PathBuf {
        self.plan.folder.join(format!("{name}.log"))
    }

    fn process(&self, name: &str) -> &Process {
        let found = self.processes.iter().find(|process| process.name == name);
        found.unwrap_or_else(|| panic!("there is no process {name}"))
    }

    fn process_mut(&mut self, name: &str) -> &mut Process {
        let found = self.processes.iter_mut().find(|process| process.name == name);
        found.unwrap_or_else(|| panic!("there is no process {name}"))
    }
}

/// The arguments of a process with these services; of a gateway, where there are none.
fn arguments(roles: &[Role]) -> Vec<String> {
    if roles.is_empty() {
        return vec![GATEWAY.to_owned()];
    }
    ["serve"].into_iter().chain(roles.iter().map(|role| role.name())).map(str::to_owned).collect()
}

/// Whether the gateway at `base` says that the whole shop is well.
async fn is_healthy(base: &str) -> bool {
    reqwest::get(format!("{base}/health")).await.is_ok_and(|answer| answer.status().is_success())
}

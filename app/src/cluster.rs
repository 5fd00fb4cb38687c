//! `cartwright cluster up`: the shop as separate processes of one machine, started, watched and stopped together.
//!
//! It is a development tool: it makes its own certificates, gives each process a port and a folder, and starts again what
//! ended. What the processes do is what they do anywhere.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use cartwright_runtime::{Clock, Tasks};
use cartwright_tls::Authority;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::callers::GATEWAY;
use crate::control::Opened;
use crate::process::Stop;
use crate::role::Role;
use crate::settings::{Setting, Settings};
use crate::up;

/// How long a certificate of a development cluster is good.
const CERTIFICATE_LIFE: Duration = Duration::from_secs(24 * 3600);
/// How often certificates are made anew while the cluster runs.
const RENEW_EVERY: Duration = Duration::from_secs(6 * 3600);
/// The pause before a process that ended is started again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How long processes get to end before they are killed.
const END_WITHIN: Duration = Duration::from_secs(30);
/// How far apart the first ports of two services are.
const PORTS_EACH: u16 = 10;

/// Runs the cluster until it is told to stop. `said` is what the settings were read from, for the processes to read too.
///
/// # Errors
/// In a sentence that says how to mend it.
pub async fn run(settings: &Settings, said: Vec<(Setting, String)>, each: u16, demo: bool) -> Result<()> {
    let mut stop = Stop::listen()?;
    if settings.places.mongodb_uri.is_none() || settings.places.broker.is_none() {
        bail!("a shop of many processes needs MONGODB_URI, and AMQP_URL or REDIS_URL for its events");
    }
    let admin = prepare(settings, demo).await?;
    let certificates = settings.data_dir.join("certs");
    issue(&certificates)?;
    let clock = Clock::system();
    let tasks = Tasks::new();
    let plans = plans(settings, &said, each, &certificates)?;
    for plan in plans {
        let (clock, stopping) = (clock.clone(), tasks.clone());
        tasks.spawn(async move { keep_running(plan, clock, stopping).await });
    }
    welcome(settings, each, admin.as_ref());
    loop {
        tokio::select! {
            () = stop.wished() => break,
            () = clock.sleep(RENEW_EVERY) => {
                if let Err(error) = issue(&certificates) {
                    tracing::error!(%error, "the certificates could not be made anew");
                }
            }
        }
    }
    if !tasks.drain(&clock, END_WITHIN + Duration::from_secs(5)).await {
        tracing::error!("not every process has ended");
    }
    Ok(())
}

/// Makes what a new shop starts with, before anybody is served.
async fn prepare(settings: &Settings, demo: bool) -> Result<Option<up::DemoAdmin>> {
    let opened = Opened::open(settings).await?;
    let admin = up::make_admins(settings, &opened, demo).await?;
    if demo {
        up::fill(settings, &opened).await?;
    }
    opened.close().await;
    Ok(admin)
}

fn issue(folder: &Path) -> Result<()> {
    let authority = Authority::open_or_create(folder, &Clock::system())?;
    for name in Role::ALL.iter().map(|role| role.name()).chain([GATEWAY]) {
        authority.issue(name, CERTIFICATE_LIFE)?;
    }
    Ok(())
}

/// One process to be kept running.
struct Plan {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    variables: BTreeMap<String, String>,
}

fn plans(settings: &Settings, said: &[(Setting, String)], each: u16, certificates: &Path) -> Result<Vec<Plan>> {
    let program = std::env::current_exe().context("this program's own file")?;
    let folder = std::path::absolute(&settings.data_dir)?;
    let mut common: BTreeMap<String, String> =
        said.iter().map(|(setting, text)| (setting.env(), text.clone())).collect();
    common.insert("CERTS_DIR".to_owned(), text(&std::path::absolute(certificates)?)?);
    common.insert("SHARED_DIR".to_owned(), text(&folder)?);
    for (role, first) in Role::ALL.iter().zip(first_ports(settings.port)) {
        let places: Vec<String> = (0..each).map(|number| format!("https://127.0.0.1:{}", first + number)).collect();
        common.insert(role.url_setting().to_ascii_uppercase(), places.join(","));
    }
    let mut plans = Vec::new();
    for (role, first) in Role::ALL.iter().zip(first_ports(settings.port)) {
        for number in 0..each {
            let name = format!("{role}-{}", number + 1);
            let mut variables = common.clone();
            variables.insert("HOST".to_owned(), "127.0.0.1".to_owned());
            variables.insert("PORT".to_owned(), (first + number).to_string());
            variables.insert("DATA_DIR".to_owned(), text(&folder.join(&name))?);
            let arguments = vec!["serve".to_owned(), role.name().to_owned()];
            plans.push(Plan { name, program: program.clone(), arguments, variables });
        }
    }
    let mut variables = common;
    variables.insert("PORT".to_owned(), settings.port.to_string());
    variables.insert("DATA_DIR".to_owned(), text(&folder.join(GATEWAY))?);
    plans.push(Plan { name: GATEWAY.to_owned(), program, arguments: vec![GATEWAY.to_owned()], variables });
    Ok(plans)
}

/// The first port of each service, in the order of [`Role::ALL`].
fn first_ports(gateway: u16) -> impl Iterator<Item = u16> {
    (1..).map(move |place| gateway.saturating_add(place * PORTS_EACH))
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).with_context(|| format!("{} is not UTF-8", path.display()))
}

/// Starts the process, and again whenever it ends, until the cluster stops.
async fn keep_running(plan: Plan, clock: Clock, stopping: Tasks) {
    while !stopping.is_stopping() {
        let mut child = match start(&plan) {
            Ok(child) => child,
            Err(error) => return tracing::error!(process = plan.name, %error, "a process cannot be started"),
        };
        tokio::select! {
            ended = child.wait() => {
                let status = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
                tracing::warn!(process = plan.name, status, "a process ended; it is started again");
            }
            () = stopping.stopped() => return end(&plan, child, &clock).await,
        }
        clock.pause(AGAIN_AFTER).await;
    }
}

fn start(plan: &Plan) -> std::io::Result<Child> {
    let mut command = Command::new(&plan.program);
    command.args(&plan.arguments).envs(&plan.variables).stdin(Stdio::null()).kill_on_drop(true);
    command.spawn()
}

async fn end(plan: &Plan, mut child: Child, clock: &Clock) {
    let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(Err(error)) = id.map(|id| kill_process(id, Signal::TERM)) {
        tracing::debug!(process = plan.name, %error, "a process had ended");
    }
    if clock.timeout(END_WITHIN, child.wait()).await.is_none() {
        tracing::error!(process = plan.name, "a process did not end in time and is killed");
    }
}

fn welcome(settings: &Settings, each: u16, admin: Option<&up::DemoAdmin>) {
    let mut lines = vec![
        format!("{} opens at http://{} in a moment", settings.shop_name, settings.address()),
        format!("  processes       the gateway and {each} of each service, from port {} on", settings.port),
        format!("  data            MongoDB, and {} for logs of mails and certificates", settings.data_dir.display()),
    ];
    lines.extend(admin.map(up::DemoAdmin::line));
    lines.push("Stop it with Ctrl-C.".to_owned());
    // Nobody may be reading, and a shop does not close for that.
    drop(writeln!(std::io::stdout(), "{}", lines.join("\n")));
}

//! One server for many test processes: the first that needs it starts it, the others find it.
//!
//! Each user holds a lock on the server's folder as long as its process lives. The server's keeper ends it a few seconds
//! after the last one. Whoever starts holds a second lock, so that two never start at once.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use cartwright_runtime::Clock;

use crate::process::{LOOK, Plan, alone, in_memory, listens, new_folder, root, spawn, tail, until, user_of};

/// A server that other processes use, too. It runs for as long as this process lives.
#[derive(Debug)]
pub struct SharedServer {
    name: String,
    folder: PathBuf,
    ports: Vec<u16>,
    _user: File,
}

impl SharedServer {
    /// Its first port.
    ///
    /// # Panics
    /// When its plan named none.
    pub fn port(&self) -> u16 {
        *self.ports.first().expect("a server listens somewhere")
    }

    /// All its ports.
    pub fn ports(&self) -> &[u16] {
        &self.ports
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

/// The shared server called `name`, started as `plan` says where none runs. `prepare` is run once, on a server that
/// listens, before anybody else sees it.
///
/// # Panics
/// When it cannot be started. The text holds the end of its log.
pub async fn shared<F: Future<Output = Result<(), String>>>(
    name: &str,
    plan: impl FnOnce(&Path) -> Plan,
    prepare: impl FnOnce(Vec<u16>) -> F,
) -> Arc<SharedServer> {
    if let Some(server) = known(name) {
        return server;
    }
    alone(name, async {
        // Another task of this process may have been first.
        if let Some(server) = known(name) {
            return server;
        }
        let server = match running(name).await {
            Some(server) => server,
            None => start(name, plan, prepare).await,
        };
        let server = Arc::new(server);
        in_use().push(Arc::clone(&server));
        server
    })
    .await
}

fn in_use() -> std::sync::MutexGuard<'static, Vec<Arc<SharedServer>>> {
    static IN_USE: Mutex<Vec<Arc<SharedServer>>> = Mutex::new(Vec::new());
    IN_USE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn known(name: &str) -> Option<Arc<SharedServer>> {
    in_use().iter().find(|server| server.name == name).map(Arc::clone)
}

/// The file that names the folder of the server that runs, or ran last.
fn pointer(name: &str) -> PathBuf {
    root().join(format!("{name}.current"))
}

/// The server that another process started, if it runs.
async fn running(name: &str) -> Option<SharedServer> {
    let folder = PathBuf::from(fs::read_to_string(pointer(name)).ok()?);
    let clock = Clock::system();
    let watch = clock.stopwatch();
    // The keeper looks at the lock now and then, which holds it for a moment; when it goes, so does the folder.
    let user = loop {
        match user_of(&folder) {
            Some(user) => break user,
            None if folder.join("ready").exists() && watch.elapsed() < crate::process::PATIENCE => {
                clock.pause(LOOK).await
            }
            None => return None,
        }
    };
    let ready = fs::read_to_string(folder.join("ready")).ok()?;
    let ports: Vec<u16> = ready.split_whitespace().map_while(|port| port.parse().ok()).collect();
    let listens = ports.first().is_some_and(|port| listens(*port));
    listens.then(|| SharedServer { name: name.to_owned(), folder, ports, _user: user })
}

async fn start<F: Future<Output = Result<(), String>>>(
    name: &str,
    plan: impl FnOnce(&Path) -> Plan,
    prepare: impl FnOnce(Vec<u16>) -> F,
) -> SharedServer {
    let folder = new_folder(&in_memory(), name);
    drop(File::create(folder.join("users")).expect("a lock file can be made"));
    let user = user_of(&folder).expect("a new lock is free");
    let plan = plan(&folder);
    let (keeper, _) = spawn(&folder, &plan).await;
    // It outlives this process.
    drop(keeper);
    let port = *plan.ports.first().expect("a server listens somewhere");
    let log = folder.join("log");
    let up = until(|| async { listens(port) }).await;
    up.unwrap_or_else(|why| panic!("{name} does not listen on {port}: {why}; {}", tail(&log)));
    let prepared = prepare(plan.ports.clone()).await;
    prepared.unwrap_or_else(|why| panic!("{name} is not ready: {why}; {}", tail(&log)));
    let ports: Vec<String> = plan.ports.iter().map(u16::to_string).collect();
    let written = replace(&folder.join("ready"), &ports.join(" ")).and_then(|()| {
        let folder = folder.to_str().expect("paths are UTF-8");
        replace(&pointer(name), folder)
    });
    written.expect("target/servers can be written to");
    SharedServer { name: name.to_owned(), folder, ports: plan.ports, _user: user }
}

/// Writes a file that others see whole or not at all.
fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    let new = file.with_extension("new");
    fs::write(&new, text)?;
    fs::rename(new, file)
}

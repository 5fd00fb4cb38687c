//! RabbitMQ: one node for everybody, and nodes of a test's own that can be killed.
//!
//! Tests on the shared node take names of their own, because exchanges and queues are seen by all.

use std::fs;
use std::path::{Path, PathBuf};

use crate::debian;
use crate::process::{Plan, Server, free_port, until};
use crate::shared::shared as shared_server;

const PROGRAM: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// Erlang's name server runs in the foreground beside the node, so that both are ended together.
const START: &str = "epmd & while ! epmd -names >/dev/null 2>&1; do sleep 0.05; done; exec \"$0\"";

/// The address of a node that all tests share.
///
/// # Panics
/// When it cannot be installed or started.
pub async fn shared() -> String {
    debian::installed(PROGRAM, "rabbitmq-server").await;
    let node = |folder: &Path| plan(folder, None);
    address(shared_server("rabbitmq", node, |_| async { Ok(()) }).await.port())
}

/// A node of one test alone.
#[derive(Debug)]
pub struct RabbitMq {
    server: Server,
}

/// What a node needs to speak TLS: files in PEM.
#[derive(Clone, Copy, Debug)]
pub struct Tls<'a> {
    /// Its certificate.
    pub certificate: &'a str,
    /// The key of the certificate.
    pub key: &'a str,
}

impl RabbitMq {
    /// Starts one.
    ///
    /// # Panics
    /// When it cannot be installed or started.
    pub async fn start() -> Self {
        debian::installed(PROGRAM, "rabbitmq-server").await;
        Self { server: Server::start("rabbitmq-node", |folder| plan(folder, None)).await }
    }

    /// Starts one that listens on a second port with TLS.
    ///
    /// # Panics
    /// When it cannot be installed or started.
    pub async fn start_with_tls(tls: Tls<'_>) -> Self {
        debian::installed(PROGRAM, "rabbitmq-server").await;
        Self { server: Server::start("rabbitmq-node", |folder| plan(folder, Some(tls))).await }
    }

    /// Its address.
    pub fn url(&self) -> String {
        address(self.server.port())
    }

    /// Its address with TLS, where it was started so.
    pub fn tls_url(&self) -> String {
        let port = self.server.ports().last().expect("a node listens somewhere");
        format!("amqps://guest:guest@localhost:{port}/%2f")
    }

    /// Waits until the node has written down which quorum queues it has, and kills it (SIGKILL); its data stay.
    ///
    /// The list is written half a second after a queue was declared. A node that is killed before has forgotten the queue
    /// and all that is in it, confirmed or not: a shop declares its queues once, and tests do it all the time.
    ///
    /// # Panics
    /// When it is not written down within two minutes.
    pub async fn kill(&mut self) {
        let data = self.server.folder().join("data");
        let written = until(|| async { tables(&data).iter().all(|table| is_saved(table)) }).await;
        written.unwrap_or_else(|why| panic!("the list of queues is not written down: {why}"));
        self.server.kill();
    }

    /// Starts it again on its data.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_again(&mut self) {
        self.server.start_again().await;
    }
}

/// The tables in which a node keeps what quorum queues it has.
fn tables(data: &Path) -> Vec<PathBuf> {
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let nodes = entries(data).flat_map(|node| entries(&node.join("quorum")).collect::<Vec<_>>());
    let files = nodes.flat_map(|node| entries(&node).collect::<Vec<_>>());
    files.filter(|file| file.extension().is_some_and(|extension| extension == "dets")).collect()
}

/// Whether everything in a table of Erlang's `dets` is on disk: the third word of its header is 1 then, and 0 after a change.
fn is_saved(table: &Path) -> bool {
    fs::read(table).is_ok_and(|bytes| bytes.get(8..12) == Some(&[0, 0, 0, 1]))
}

fn address(port: u16) -> String {
    format!("amqp://guest:guest@127.0.0.1:{port}/%2f")
}

/// A node whose files, ports and name server are its own. It listens on loopback only.
fn plan(folder: &Path, tls: Option<Tls<'_>>) -> Plan {
    let (clients, names, nodes, encrypted) = (free_port(), free_port(), free_port(), free_port());
    let at = |name: &str| folder.join(name).to_str().expect("paths are UTF-8").to_owned();
    let mut settings = format!(
        "listeners.tcp.1 = 127.0.0.1:{clients}\nlog.file = false\nlog.console = true\nlog.console.level = error\n"
    );
    let mut ports = vec![clients, names, nodes];
    if let Some(Tls { certificate, key }) = tls {
        fs::write(at("certificate.pem"), certificate).expect("the folder can be written to");
        fs::write(at("key.pem"), key).expect("the folder can be written to");
        settings += &format!(
            "listeners.ssl.1 = 127.0.0.1:{encrypted}\nssl_options.certfile = {}\nssl_options.keyfile = {}\n",
            at("certificate.pem"),
            at("key.pem")
        );
        ports.push(encrypted);
    }
    fs::write(at("rabbitmq.conf"), settings).expect("the folder can be written to");
    fs::write(at("plugins"), "[].").expect("the folder can be written to");
    Plan::new("sh", ports)
        .args(["-c", START, PROGRAM])
        .with("HOME", at(""))
        .with("ERL_EPMD_ADDRESS", "127.0.0.1")
        .with("ERL_EPMD_PORT", names.to_string())
        .with("RABBITMQ_CONF_ENV_FILE", at("no-environment"))
        .with("RABBITMQ_CONFIG_FILE", at("rabbitmq.conf"))
        .with("RABBITMQ_ENABLED_PLUGINS_FILE", at("plugins"))
        .with("RABBITMQ_DIST_PORT", nodes.to_string())
        .with("RABBITMQ_NODENAME", format!("cartwright-{clients}@localhost"))
        .with("RABBITMQ_MNESIA_BASE", at("data"))
        .with("RABBITMQ_LOG_BASE", at("logs"))
        .with("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2")
}

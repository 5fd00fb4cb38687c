//! A RabbitMQ node of the run's own: Debian's program on loopback, with its data in the work folder.
//!
//! Its name server is a process of its own here, so that both are known by their ids and nothing else is ended.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, ensure};

use crate::{
    http,
    process::{self, Process, free_address},
};

const PROGRAM: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// A node that is laid out: its ports and its folder stay the same over all rounds.
pub(crate) struct RabbitMq {
    folder: PathBuf,
    clients: SocketAddr,
    names: SocketAddr,
    nodes: SocketAddr,
}

impl RabbitMq {
    /// Gives a node its ports and writes its settings to `folder`.
    ///
    /// # Errors
    /// It is not installed, or the folder cannot be written to.
    pub(crate) fn lay_out(folder: PathBuf) -> Result<Self> {
        ensure!(
            Path::new(PROGRAM).exists(),
            "RabbitMQ is missing; install with: apt-get install --no-install-recommends rabbitmq-server"
        );
        fs::create_dir_all(&folder)?;
        let (clients, names, nodes) = (free_address()?, free_address()?, free_address()?);
        let settings =
            format!("listeners.tcp.1 = {clients}\nlog.file = false\nlog.console = true\nlog.console.level = error\n");
        fs::write(folder.join("rabbitmq.conf"), settings)?;
        fs::write(folder.join("plugins"), "[].")?;
        Ok(Self { folder, clients, names, nodes })
    }

    /// Where clients find it.
    pub(crate) fn url(&self) -> String {
        format!("amqp://guest:guest@{}/%2f", self.clients)
    }

    /// Starts the node and its name server, which comes last in the list, to be ended last.
    ///
    /// # Errors
    /// One of the two does not come up.
    pub(crate) async fn start(&self) -> Result<Vec<Process>> {
        let mut names = Process::start("epmd", self.command("epmd"), &self.folder.join("names.log"))?;
        http::wait_until_listening(self.names, || names.check_alive()).await?;
        let mut node = Process::start("RabbitMQ", self.command(PROGRAM), &self.folder.join("node.log"))?;
        http::wait_until_listening(self.clients, || node.check_alive()).await?;
        Ok(vec![node, names])
    }

    fn command(&self, program: &str) -> Command {
        let at = |name: &str| self.folder.join(name);
        let mut command = process::command(program);
        command.current_dir(&self.folder).env("HOME", &self.folder);
        command
            .env("ERL_EPMD_ADDRESS", self.names.ip().to_string())
            .env("ERL_EPMD_PORT", self.names.port().to_string());
        // The script becomes the node then, instead of waiting for a child of another id.
        command.env("RUNNING_UNDER_SYSTEMD", "1");
        command.env("RABBITMQ_CONF_ENV_FILE", at("no-environment")).env("RABBITMQ_CONFIG_FILE", at("rabbitmq.conf"));
        command.env("RABBITMQ_ENABLED_PLUGINS_FILE", at("plugins")).env("RABBITMQ_LOG_BASE", at("logs"));
        command.env("RABBITMQ_MNESIA_BASE", at("data")).env("RABBITMQ_DIST_PORT", self.nodes.port().to_string());
        command.env("RABBITMQ_NODENAME", format!("bench-{}@localhost", self.clients.port()));
        command.env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}");
        command
    }
}

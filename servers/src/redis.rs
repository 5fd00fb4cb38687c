//! Redis: one server for everybody, and servers of a test's own that can be killed. Each write is synced before its answer.
//!
//! Tests on the shared server take names of their own, because keys are seen by all.

use std::path::Path;

use crate::debian;
use crate::process::{Plan, Server, free_port};
use crate::shared::shared as shared_server;

const PROGRAM: &str = "/usr/bin/redis-server";

/// The address of a server that all tests share.
///
/// # Panics
/// When it cannot be installed or started.
pub async fn shared() -> String {
    debian::installed(PROGRAM, "redis-server").await;
    address(shared_server("redis", plan, |_| async { Ok(()) }).await.port())
}

/// A server of one test alone.
#[derive(Debug)]
pub struct Redis {
    server: Server,
}

impl Redis {
    /// Starts one.
    ///
    /// # Panics
    /// When it cannot be installed or started.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts one with more arguments, which override those that it has.
    ///
    /// # Panics
    /// When it cannot be installed or started.
    pub async fn start_with(arguments: &[&str]) -> Self {
        debian::installed(PROGRAM, "redis-server").await;
        let plan = |folder: &Path| plan(folder).args(arguments.iter().copied());
        Self { server: Server::start("redis-alone", plan).await }
    }

    /// Its address.
    pub fn url(&self) -> String {
        address(self.server.port())
    }

    /// Kills it (SIGKILL); its data stay.
    pub fn kill(&mut self) {
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

fn address(port: u16) -> String {
    format!("redis://127.0.0.1:{port}/")
}

fn plan(folder: &Path) -> Plan {
    let port = free_port();
    Plan::new(PROGRAM, vec![port])
        .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
        .args(["--dir", folder.to_str().expect("paths are UTF-8")])
        .args(["--save", "", "--appendonly", "yes", "--appendfsync", "always"])
}

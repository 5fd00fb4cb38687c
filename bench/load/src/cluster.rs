//! The shop as processes: a gateway and one process of each service, on MongoDB and RabbitMQ.
//!
//! They run without certificates, as they may on loopback: with them the cart answers its gateway alone, and asking it
//! directly, to see what the gateway costs, would not be the same question.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use crate::{
    cart::Door,
    http,
    process::{self, Process, Running, free_address},
    rabbitmq::RabbitMq,
    shop::Admin,
};

const SERVICES: [&str; 7] = ["auth", "cart", "product", "inventory", "payment", "order", "notification"];
const CART: &str = "cart";

/// A shop of processes that is laid out: its ports and its folder stay the same over all rounds.
pub(crate) struct Cluster {
    program: PathBuf,
    folder: PathBuf,
    database: SocketAddr,
    rabbitmq: RabbitMq,
    gateway: SocketAddr,
    services: Vec<Service>,
    admin: Admin,
}

/// Where one service answers shoppers and its peers.
struct Service {
    name: &'static str,
    public: SocketAddr,
    peers: SocketAddr,
}

impl Cluster {
    /// Gives everybody a port. `database` is a MongoDB replica set, which others may use too.
    ///
    /// # Errors
    /// No port is free, or RabbitMQ is not installed.
    pub(crate) fn lay_out(program: &Path, folder: PathBuf, database: SocketAddr, admin: Admin) -> Result<Self> {
        let service = |name| Ok(Service { name, public: free_address()?, peers: free_address()? });
        let services = SERVICES.into_iter().map(service).collect::<Result<_>>()?;
        let rabbitmq = RabbitMq::lay_out(folder.join("rabbitmq"))?;
        Ok(Self { program: program.to_owned(), folder, database, rabbitmq, gateway: free_address()?, services, admin })
    }

    /// Where shoppers ask.
    pub(crate) fn gateway(&self) -> Door {
        Door::of_shop(self.gateway)
    }

    /// Where the cart answers without the gateway.
    pub(crate) fn cart(&self) -> Option<Door> {
        self.services.iter().find(|service| service.name == CART).map(|service| Door::of_cart(service.public))
    }

    /// Starts the broker and the shop; its database must run.
    ///
    /// # Errors
    /// Somebody does not come up.
    pub(crate) async fn start(&self) -> Result<Running> {
        let servers = self.rabbitmq.start().await?;
        if !self.folder.join("filled").exists() {
            self.fill().await?;
        }
        let mut own = vec![self.start_one("gateway", &["gateway"], self.gateway)?];
        for service in &self.services {
            own.push(self.start_one(service.name, &["serve", service.name], service.public)?);
        }
        // A gateway that answers too early is only asked again.
        http::wait_until_healthy(self.gateway, "/health", || own.iter_mut().try_for_each(Process::check_alive)).await?;
        Ok(Running { own, servers })
    }

    /// Takes over the demo catalogue, with the shop in one process for a moment.
    async fn fill(&self) -> Result<()> {
        let mut shop = self.start_one("filling", &["up", "--demo"], self.gateway)?;
        http::wait_until_healthy(self.gateway, "/health", || shop.check_alive()).await?;
        shop.stop().await?;
        Ok(fs::write(self.folder.join("filled"), "")?)
    }

    fn start_one(&self, name: &'static str, arguments: &[&str], address: SocketAddr) -> Result<Process> {
        let mut command = self.command(name);
        command.args(arguments).env("HOST", address.ip().to_string()).env("PORT", address.port().to_string());
        if let Some(service) = self.services.iter().find(|service| service.name == name) {
            command.env("PEER_PORT", service.peers.port().to_string());
        }
        Process::start(name, command, &self.folder.join(format!("{name}.log")))
    }

    /// The program, told what all of its processes are.
    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = process::command(&self.program);
        command.current_dir(&self.folder).env("DATA_DIR", self.folder.join(name)).env("SHARED_DIR", &self.folder);
        command.env("MONGODB_URI", format!("mongodb://{}/shop?replicaSet=rs0", self.database));
        command.env("AMQP_URL", self.rabbitmq.url()).env("JWT_EXPIRES_IN", "7d");
        command.env("ADMIN_EMAIL", &self.admin.email).env("ADMIN_PASSWORD", &self.admin.password);
        for Service { name, public, peers } in &self.services {
            let name = name.to_ascii_uppercase();
            command.env(format!("{name}_URL"), format!("http://{public}"));
            command.env(format!("{name}_PEER_URL"), format!("http://{peers}"));
        }
        command
    }
}

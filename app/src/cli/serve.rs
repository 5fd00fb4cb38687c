//! `cartwright serve`: one or more services of a shop.

use anyhow::{Result, bail};
use cartwright::role::Role;

use super::flags::AllFlags;
use super::{Ending, settings};

/// Run some services of a shop in this process, for a gateway and other processes to reach
///
/// Needs a broker (AMQP_URL or REDIS_URL), a store that several processes can share (MONGODB_URI) where a service runs more
/// than once, and the address of every service that those here ask (ORDER_URL and the like). Other services ask on a port
/// of their own, PEER_PORT. On SIGTERM it says that it is not ready, finishes what it has accepted, and ends with 0.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cartwright serve order --port 4006
  cartwright serve auth notification --port 4001
  CERTS_DIR=/etc/cartwright/certs cartwright serve cart --host 0.0.0.0 --port 4002")]
pub(crate) struct Serve {
    /// The services: auth, cart, product, inventory, payment, order, notification
    #[arg(required = true, value_name = "SERVICE")]
    services: Vec<String>,

    #[command(flatten)]
    flags: AllFlags,
}

impl Serve {
    pub(crate) async fn run(self) -> Result<Ending> {
        let settings = settings(&self.flags.0)?;
        let mut roles = self.services.iter().map(|name| role(name)).collect::<Result<Vec<Role>>>()?;
        roles.sort_unstable();
        roles.dedup();
        cartwright_runtime::start_telemetry(settings.log_format, &settings.log);
        cartwright::serve::run(settings, roles).await?;
        Ok(Ending::Good)
    }
}

fn role(name: &str) -> Result<Role> {
    let found = Role::ALL.into_iter().find(|role| role.name() == name);
    match found {
        Some(role) => Ok(role),
        None => {
            let known: Vec<&str> = Role::ALL.iter().map(|role| role.name()).collect();
            bail!("there is no service `{name}`; the services are {}", known.join(", "))
        }
    }
}

//! `cartwright gateway`: the one address for shoppers, in front of services in other processes.

use anyhow::Result;

use super::flags::AllFlags;
use super::{Ending, settings};

/// Run the address for shoppers, in front of services in other processes
///
/// Needs the addresses of all seven services (AUTH_URL and the like); several instances of each are balanced. It keeps
/// nothing, so it can run any number of times.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  AUTH_URL=http://127.0.0.1:4001 CART_URL=http://127.0.0.1:4002,http://127.0.0.1:4012 … cartwright gateway
  cartwright gateway --config /etc/cartwright/gateway.toml --host 0.0.0.0 --port 443 \\
    --tls-certificate shop.pem --tls-key shop.key")]
pub(crate) struct Gateway {
    #[command(flatten)]
    flags: AllFlags,
}

impl Gateway {
    pub(crate) async fn run(self) -> Result<Ending> {
        let settings = settings(&self.flags.0)?;
        cartwright_runtime::start_telemetry(settings.log_format, &settings.log);
        cartwright::edge::run(settings).await?;
        Ok(Ending::Good)
    }
}

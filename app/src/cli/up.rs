//! `cartwright up`: the shop.

use anyhow::Result;

use super::flags::AllFlags;
use super::{Ending, settings};

/// Run the shop until it is told to stop (Ctrl-C, SIGTERM)
///
/// All seven services, the gateway and the embedded store in this one process. On SIGTERM it finishes what it has
/// accepted, and ends with 0; whatever it was in the middle of goes on at the next start.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cartwright up --demo                          a demo catalogue, and an admin that is printed once
  cartwright up --port 8080 --data-dir /srv/shop
  ADMIN_EMAIL=anna@shop.example ADMIN_PASSWORD=… cartwright up
  cartwright up --host 0.0.0.0 --frontend-url https://shop.example --log-format json --exempt-loopback false")]
pub(crate) struct Up {
    /// Fill an empty shop with a demo catalogue, and make an admin where none is named
    #[arg(long)]
    demo: bool,

    #[command(flatten)]
    flags: AllFlags,
}

impl Up {
    pub(crate) async fn run(self) -> Result<Ending> {
        let settings = settings(&self.flags.0)?;
        cartwright_runtime::start_telemetry(settings.log_format, &settings.log);
        cartwright::up::run(settings, self.demo).await?;
        Ok(Ending::Good)
    }
}

//! `cartwright cluster`: a shop of many processes on one machine.

use anyhow::Result;

use super::flags::AllFlags;
use super::{Ending, settings};

/// Run a shop as many processes on this machine, for development and tests
#[derive(clap::Args)]
pub(crate) struct Cluster {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    Up(Up),
}

/// Run the gateway and two processes of each service until told to stop
///
/// Needs MONGODB_URI and a broker (AMQP_URL or REDIS_URL), which must run already. The processes prove to each other who
/// they are by certificates that are made in DATA_DIR/certs. One that ends is started again.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  MONGODB_URI=mongodb://localhost/shop?replicaSet=rs0 AMQP_URL=amqp://localhost cartwright cluster up --demo
  cartwright cluster up --each 3 --port 8080")]
struct Up {
    /// Fill an empty shop with a demo catalogue, and make an admin where none is named
    #[arg(long)]
    demo: bool,

    /// How many processes each service gets
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=9))]
    each: u16,

    #[command(flatten)]
    flags: AllFlags,
}

impl Cluster {
    pub(crate) async fn run(self) -> Result<Ending> {
        let Verb::Up(Up { demo, each, flags }) = self.verb;
        let settings = settings(&flags.0)?;
        cartwright_runtime::start_telemetry(settings.log_format, &settings.log);
        let said = flags.0.sources().strongest();
        cartwright::cluster::run(&settings, said, each, demo).await?;
        Ok(Ending::Good)
    }
}

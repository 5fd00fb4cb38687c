//! `cartwright token`: tokens for programs.

use std::time::Duration;

use anyhow::Result;
use clap::Subcommand;

use super::flags::FewFlags;
use super::operator::Reached;
use super::{Ending, say, settings};

/// Tokens for programs
#[derive(clap::Args)]
pub(crate) struct Token {
    #[command(subcommand)]
    verb: TokenVerb,
}

#[derive(Subcommand)]
enum TokenVerb {
    Service(Service),
}

/// Print a token with which a program may call the routes of services
///
/// Whoever has the token is a service: it may reserve stock and act for every shopper. It cannot be revoked before it
/// ends, so give it a short life. Works on a running shop and on a stopped one.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cartwright token service warehouse
  curl -H \"Authorization: Bearer $(cartwright token service warehouse --life 1h)\" …")]
struct Service {
    /// The program's name, as the log shows it
    name: String,

    /// How long it is good for, like 15m, 24h or 30d
    #[arg(long, default_value = "24h", value_parser = life)]
    life: Duration,

    #[command(flatten)]
    flags: FewFlags,
}

fn life(text: &str) -> Result<Duration, String> {
    let life = cartwright_auth::parse_lifetime(text).map_err(|error| error.to_string())?;
    let allowed = Duration::from_secs(1)..=Duration::from_secs(366 * 24 * 3600);
    if allowed.contains(&life) { Ok(life) } else { Err("between one second and 366 days".to_owned()) }
}

impl Token {
    pub(crate) async fn run(self) -> Result<Ending> {
        let TokenVerb::Service(service) = self.verb;
        let settings = settings(&service.flags.0)?;
        let shop = Reached::find(&settings).await?;
        let token = shop.operator.service_token(&service.name, service.life.as_secs()).await;
        shop.leave().await;
        say(&format!("{}\n", token?.reveal()))?;
        Ok(Ending::Good)
    }
}

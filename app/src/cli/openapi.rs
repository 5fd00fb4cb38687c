//! `cartwright openapi`: the public contract, made from the routes.

use anyhow::Result;

use super::{Ending, say};

/// Print the OpenAPI 3.1 document of the gateway
///
/// It is made from the routes themselves, so it cannot say anything else than they do. Needs no store.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cartwright openapi > openapi.json
  cartwright openapi | jq '.paths | keys'")]
pub(crate) struct Openapi {}

impl Openapi {
    pub(crate) async fn run(self) -> Result<Ending> {
        say(&format!("{}\n", cartwright::up::openapi().await?))?;
        Ok(Ending::Good)
    }
}

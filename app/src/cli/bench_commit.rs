//! `cartwright bench-commit`: how long one durable commit takes on this disk, as a measure for everything else.

use anyhow::Result;
use cartwright_store_sqlite::commit_probe;

use super::flags::FewFlags;
use super::{Ending, say, settings};

/// Measure durable commits on a store of its own in `DATA_DIR`, one after the other; print the figures as JSON
#[derive(clap::Args)]
#[command(hide = true)]
pub(crate) struct BenchCommit {
    /// For how long
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,

    #[command(flatten)]
    flags: FewFlags,
}

impl BenchCommit {
    pub(crate) async fn run(self) -> Result<Ending> {
        let settings = settings(&self.flags.0)?;
        std::fs::create_dir_all(&settings.data_dir)?;
        let report = commit_probe(&settings.data_dir, self.seconds).await?;
        say(&format!("{}\n", serde_json::to_string(&report)?))?;
        Ok(Ending::Good)
    }
}

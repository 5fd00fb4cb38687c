//! `cargo xtask prove`: the long runs, by hand.
//!
//! A proof is an ignored test whose name starts with `prove_`. It shares its code with the scaled-down test that
//! the pipeline runs, and takes its length (kills, seeds, minutes) from the environment variable that its doc comment names.

use anyhow::Result;

use crate::{
    debian,
    tools::NEXTEST,
    workspace::{Workspace, run as run_command},
};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only the proofs whose name contains one of these
    names: Vec<String>,
    /// List the proofs and do not run them
    #[arg(long)]
    list: bool,
}

/// Runs or lists the proofs.
///
/// # Errors
/// There is none of that name, or one failed.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    debian::require(workspace, debian::TO_BUILD)?;
    NEXTEST.require(workspace)?;
    let verb: &[&str] = if options.list { &["list"] } else { &["run", "--no-tests=fail", "--profile", "prove"] };
    run_command(
        workspace
            .cargo(["nextest"])
            .args(verb)
            .args(["--workspace", "--run-ignored=only", "-E", "test(/(^|::)prove_/)"])
            .args(&options.names),
    )
}

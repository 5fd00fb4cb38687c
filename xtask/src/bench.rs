//! `cargo xtask bench`: builds in release what is measured and what measures, and hands over.
//!
//! The comparison itself is `cartwright-load compare`, in `bench/load`.

use std::os::unix::process::CommandExt;

use anyhow::{Context, Result};

use crate::{
    debian,
    workspace::{Workspace, run as run_command},
};

/// Builds and becomes `cartwright-load compare` with `arguments`.
///
/// # Errors
/// Something does not build. On success this does not return.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    debian::require(workspace, debian::TO_BUILD)?;
    debian::require(workspace, debian::TO_BENCH)?;
    run_command(&mut workspace.cargo([
        "build",
        "--release",
        "--package",
        "cartwright",
        "--package",
        "cartwright-load",
    ]))?;
    let mut bench = workspace.program(workspace.target("release/cartwright-load"));
    bench.arg("compare").arg("--shop").arg(workspace.target("release/cartwright"));
    bench.arg("--work").arg(workspace.target("bench")).args(arguments);
    Err(bench.exec()).context("cannot start the comparison")
}

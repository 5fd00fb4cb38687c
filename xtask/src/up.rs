//! `cargo xtask up`: from a fresh clone to a running demo shop.
//!
//! Builds the web client, where there is one, and the binary in release; then this process becomes the shop.

use std::{os::unix::process::CommandExt, path::Path};

use anyhow::{Context, Result};

use crate::{
    debian,
    workspace::{Workspace, run as run_command},
};

const NODE: &[debian::Needed] = &[
    debian::Needed { program: "node", probe: &[], package: "nodejs" },
    debian::Needed { program: "npm", probe: &[], package: "npm" },
];

/// Builds and becomes `cartwright up --demo` with `arguments`, in the folder that the caller stands in.
///
/// # Errors
/// Something does not build. On success this does not return.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    debian::require(workspace, debian::TO_BUILD)?;
    build_web(workspace)?;
    // Without Kafka, whose C library takes longer to compile than the demo to be looked at.
    let build = ["build", "--release", "--package", "cartwright", "--no-default-features"];
    run_command(&mut workspace.cargo(build))?;
    let mut shop = workspace.program(workspace.target("release/cartwright"));
    shop.current_dir(std::env::current_dir()?).args(["up", "--demo"]).args(arguments);
    Err(shop.exec()).context("cannot start the shop")
}

/// The client is embedded into the binary, so it is built first.
fn build_web(workspace: &Workspace) -> Result<()> {
    let web = workspace.path("web");
    if !web.join("package.json").exists() {
        return Ok(());
    }
    debian::require(workspace, NODE)?;
    if !is_newer(&web.join("node_modules/.package-lock.json"), &web.join("package-lock.json")) {
        run_command(workspace.program("npm").arg("ci").current_dir(&web))?;
    }
    run_command(workspace.program("npm").args(["run", "build"]).current_dir(&web))
}

/// Whether `made` exists and is at least as new as `source`.
fn is_newer(made: &Path, source: &Path) -> bool {
    let modified = |path: &Path| path.metadata().and_then(|file| file.modified());
    matches!((modified(made), modified(source)), (Ok(made), Ok(source)) if made >= source)
}

//! Programs of Debian packages: found, or installed by root.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::process::alone;

/// Forbids packages to start services of their own while they are installed (`invoke-rc.d(8)`).
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Sees to it that `program`, which `package` holds, is there.
///
/// # Panics
/// When it is missing and cannot be installed; the text says what to run.
pub(crate) async fn installed(program: &str, package: &str) {
    if Path::new(program).exists() {
        return;
    }
    alone("debian-install", async {
        if !Path::new(program).exists() {
            let by_hand = format!("apt-get install --no-install-recommends {package}");
            install(package).unwrap_or_else(|why| panic!("{program} is missing; run `{by_hand}` as root ({why})"));
        }
    })
    .await;
}

fn install(package: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| error.to_string();
    let forbidden_before = Path::new(POLICY).exists();
    if !forbidden_before {
        fs::write(POLICY, "#!/bin/sh\nexit 101\n").map_err(failed)?;
        fs::set_permissions(POLICY, PermissionsExt::from_mode(0o755)).map_err(failed)?;
    }
    let installed = apt_get(&["update"]).and_then(|()| apt_get(&["install", "--no-install-recommends", package]));
    if !forbidden_before {
        fs::remove_file(POLICY).map_err(failed)?;
    }
    installed
}

fn apt_get(arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new("apt-get");
    let output = command.args(["--yes", "--quiet"]).args(arguments).env("DEBIAN_FRONTEND", "noninteractive").output();
    let output = output.map_err(|error| format!("apt-get: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

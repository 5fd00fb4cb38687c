//! The Debian packages that a task needs beyond a Rust toolchain.
//!
//! As root what is missing is installed; otherwise the task stops and prints the one line that installs it.

use std::os::unix::fs::MetadataExt;

use anyhow::{Result, bail};

use crate::workspace::{Workspace, is_installed, run};

/// A program, and the Debian package that brings it.
pub(crate) struct Needed {
    pub(crate) program: &'static str,
    /// Arguments with which the program succeeds where the package is installed; none where being there is enough.
    pub(crate) probe: &'static [&'static str],
    pub(crate) package: &'static str,
}

impl Needed {
    fn is_there(&self) -> bool {
        let answers = || std::process::Command::new(self.program).args(self.probe).output();
        is_installed(self.program) && (self.probe.is_empty() || answers().is_ok_and(|output| output.status.success()))
    }
}

/// What the pipeline needs: a C compiler, for SQLite and the cryptography.
pub(crate) const TO_BUILD: &[Needed] = &[Needed { program: "cc", probe: &[], package: "build-essential" }];

/// What the tests need besides: they run a real mail server and a real MongoDB from PyPI.
pub(crate) const TO_TEST: &[Needed] = &[
    Needed { program: "python3", probe: &["-c", "import ensurepip"], package: "python3-venv" },
    Needed { program: "python3", probe: &["-m", "pip", "--version"], package: "python3-pip" },
];

/// Servers that the tests run privately. As root the tests install them themselves, so that no service of theirs is started.
pub(crate) const RUN_BY_TESTS: &[Needed] = &[
    Needed { program: "/usr/sbin/rabbitmq-server", probe: &[], package: "rabbitmq-server" },
    Needed { program: "/usr/bin/redis-server", probe: &[], package: "redis-server" },
];

/// What the comparison with the reference implementation needs besides.
pub(crate) const TO_BENCH: &[Needed] = &[
    Needed { program: "node", probe: &[], package: "nodejs" },
    Needed { program: "npm", probe: &[], package: "npm" },
    Needed { program: "python3", probe: &[], package: "python3" },
    Needed { program: "pip3", probe: &[], package: "python3-pip" },
];

/// Sees to it that every program in `needed` is there.
///
/// # Errors
/// One is missing and this is not root on a Debian machine, or `apt-get` failed.
pub(crate) fn require(workspace: &Workspace, needed: &[Needed]) -> Result<()> {
    let missing: Vec<&str> = needed.iter().filter(|need| !need.is_there()).map(|need| need.package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !(is_root() && is_installed("apt-get")) {
        bail!("missing on this machine; install with: sudo apt-get install {}", missing.join(" "));
    }
    println!("installing {}", missing.join(" "));
    run(workspace.program("apt-get").args(["update", "-qq"]))?;
    run(workspace
        .program("apt-get")
        .args(["install", "-y", "-qq", "--no-install-recommends"])
        .args(missing)
        .env("DEBIAN_FRONTEND", "noninteractive"))
}

/// The same for what the tests install themselves where they may.
///
/// # Errors
/// One is missing and this is not root.
pub(crate) fn require_unless_root(workspace: &Workspace, needed: &[Needed]) -> Result<()> {
    if is_root() { Ok(()) } else { require(workspace, needed) }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

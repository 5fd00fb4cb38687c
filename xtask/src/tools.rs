//! The cargo tools that the tasks use, pinned.
//!
//! One that is on the path in a usable version is used as it is. Otherwise the pinned version is built into
//! `target/tools`: nothing is installed outside this repository.

use anyhow::Result;

use crate::workspace::{Workspace, output, run};

/// A cargo subcommand from crates.io.
pub(crate) struct Tool {
    name: &'static str,
    version: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version(u32, u32, u32);

pub(crate) const NEXTEST: Tool = Tool { name: "cargo-nextest", version: Version(0, 9, 143) };
pub(crate) const DENY: Tool = Tool { name: "cargo-deny", version: Version(0, 20, 2) };

impl Tool {
    /// Sees to it that the tool can be called as a cargo subcommand.
    ///
    /// # Errors
    /// It had to be built and that failed.
    pub(crate) fn require(&self, workspace: &Workspace) -> Result<()> {
        let present = output(workspace.program(self.name).arg("--version").stderr(std::process::Stdio::null()));
        let present = present.ok().and_then(|text| Version::first_in(&text));
        if present.is_some_and(|present| present.serves_as(self.version)) {
            return Ok(());
        }
        self.install(workspace)
    }

    /// Without optimisation: a tool that runs for seconds should not be compiled for minutes.
    fn install(&self, workspace: &Workspace) -> Result<()> {
        let Version(major, minor, patch) = self.version;
        println!("installing {} {major}.{minor}.{patch} into target/tools", self.name);
        let root = workspace.target("tools");
        run(workspace
            .cargo(["install", "--locked", "--quiet", "--force", "--debug", "--config", "profile.dev.debug=false"])
            .arg("--root")
            .arg(root)
            .arg(format!("{}@{major}.{minor}.{patch}", self.name)))
    }
}

impl Version {
    /// The first `a.b.c` in the words of what `--version` prints.
    fn first_in(text: &str) -> Option<Self> {
        text.split_whitespace().find_map(|word| {
            let mut parts = word.split('.').map(str::parse);
            match (parts.next(), parts.next(), parts.next(), parts.next()) {
                (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch)), None) => Some(Self(major, minor, patch)),
                _ => None,
            }
        })
    }

    /// A later patch of the same minor version understands the same configuration.
    fn serves_as(self, wanted: Self) -> bool {
        (self.0, self.1) == (wanted.0, wanted.1) && self.2 >= wanted.2
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn a_version_is_found_in_what_a_tool_prints() {
        let printed = "cargo-nextest 0.9.143 (60fa45f63 2026-08-04)\nrelease: 0.9.143\n";
        assert_eq!(Version::first_in(printed), Some(Version(0, 9, 143)));
        assert_eq!(Version::first_in("error: no such command"), None);
    }

    #[test]
    fn an_older_or_a_foreign_version_does_not_serve() {
        let wanted = Version(0, 9, 143);
        assert!(Version(0, 9, 151).serves_as(wanted));
        assert!(!Version(0, 9, 142).serves_as(wanted));
        assert!(!Version(0, 10, 200).serves_as(wanted));
    }
}

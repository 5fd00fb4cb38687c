//! The servers as processes: started with a clean environment, measured through /proc, ended with SIGTERM.
//!
//! Only what was started here is ended here.

use std::{
    fs::File,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::clock;

/// The kernel's clock tick, in microseconds.
const TICK_US: u64 = 10_000;
const PATIENCE_S: u64 = 20;

pub(crate) struct Process {
    name: &'static str,
    child: Child,
}

impl Process {
    /// Starts `command` with no environment but `PATH` and what it sets, its output in `log`.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start(name: &'static str, mut command: Command, log: &Path) -> Result<Self> {
        let log = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name, child })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// # Errors
    /// It has ended.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended with {status}; its log says why", self.name),
        }
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// It has not within 20 s (then it is killed).
    pub(crate) async fn stop(mut self) -> Result<()> {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), rustix::process::Signal::TERM)?;
        let deadline = clock::now() + Duration::from_secs(PATIENCE_S);
        while self.child.try_wait()?.is_none() {
            if clock::now() > deadline {
                bail!("{} did not end within {PATIENCE_S} s of SIGTERM", self.name);
            }
            clock::pause(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait()
            && self.child.kill().is_ok()
        {
            // Reaped, so that no zombie stays; its status is of no interest any more.
            self.child.wait().ok();
        }
    }
}

/// A command that inherits nothing but the search path.
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// User and system time of these processes so far, in microseconds.
///
/// # Errors
/// One of them is gone.
pub(crate) fn cpu_us(processes: &[u32]) -> Result<u64> {
    let mut ticks = 0;
    for process in processes {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
        // The second field is the name in parentheses, which may hold anything; utime and stime are the 14th and 15th.
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        for field in after_name.split_whitespace().skip(11).take(2) {
            ticks += field.parse::<u64>()?;
        }
    }
    Ok(ticks * TICK_US)
}

/// Resident memory of these processes, in KiB: now, and the most that each ever had.
///
/// # Errors
/// One of them is gone.
pub(crate) fn resident_kib(processes: &[u32]) -> Result<(u64, u64)> {
    let mut sums = (0, 0);
    for process in processes {
        let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()).and_then(|text| text.parse::<u64>().ok())
        };
        let (Some(now), Some(peak)) = (field("VmRSS:"), field("VmHWM:")) else {
            bail!("/proc/{process}/status has no memory figures");
        };
        sums = (sums.0 + now, sums.1 + peak);
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::{cpu_us, resident_kib};

    #[test]
    fn this_process_uses_memory_and_a_missing_one_is_an_error() {
        let (now, peak) = resident_kib(&[std::process::id()]).unwrap();
        assert!(now > 0 && peak >= now);
        assert!(cpu_us(&[std::process::id()]).is_ok());
        assert!(cpu_us(&[u32::MAX]).is_err());
    }
}

//! The servers as processes: started with a clean environment, measured through /proc, ended with SIGTERM.
//!
//! Only what was started here is ended here.

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
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

    pub(crate) fn name(&self) -> &'static str {
        self.name
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

    /// Asks it to end.
    ///
    /// # Errors
    /// It cannot be asked.
    fn ask_to_end(&self) -> Result<()> {
        let id = rustix::process::Pid::from_child(&self.child);
        Ok(rustix::process::kill_process(id, rustix::process::Signal::TERM)?)
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// It has not within 20 s (then it is killed).
    pub(crate) async fn stop(self) -> Result<()> {
        self.ask_to_end()?;
        self.ended().await
    }

    async fn ended(mut self) -> Result<()> {
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

/// A peer that runs: its own processes, and the servers that these stand on.
pub(crate) struct Running {
    pub(crate) own: Vec<Process>,
    pub(crate) servers: Vec<Process>,
}

impl Running {
    /// All of them, always in the same order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Process> {
        self.own.iter().chain(&self.servers)
    }

    /// Ends its own processes together, then the servers one after the other.
    ///
    /// # Errors
    /// One does not end in time.
    pub(crate) async fn stop(self) -> Result<()> {
        self.own.iter().try_for_each(Process::ask_to_end)?;
        for process in self.own {
            process.ended().await?;
        }
        for server in self.servers {
            server.stop().await?;
        }
        Ok(())
    }
}

/// A command that inherits nothing but the search path.
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// An address of loopback that nobody uses at this moment, and that is given once in this run.
///
/// Its port lies below those that the system hands out to outgoing connections: one of them could take it between two
/// starts of a server.
///
/// # Errors
/// There is none.
pub(crate) fn free_address() -> Result<SocketAddr> {
    const FIRST: u32 = 12_000;
    const COUNT: u32 = 20_000;
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let from = std::process::id().wrapping_mul(97);
    for _ in 0..COUNT {
        let step = GIVEN.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(FIRST + from.wrapping_add(step) % COUNT)?;
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return Ok(listener.local_addr()?);
        }
    }
    bail!("loopback has no free port")
}

/// User and system time of a process so far, in microseconds.
///
/// # Errors
/// It is gone.
pub(crate) fn cpu_us(process: u32) -> Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The second field is the name in parentheses, which may hold anything; utime and stime are the 14th and 15th.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut ticks = 0;
    for field in after_name.split_whitespace().skip(11).take(2) {
        ticks += field.parse::<u64>()?;
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
    use super::{cpu_us, free_address, resident_kib};

    #[test]
    fn this_process_uses_memory_and_a_missing_one_is_an_error() {
        let (now, peak) = resident_kib(&[std::process::id()]).unwrap();
        assert!(now > 0 && peak >= now);
        assert!(cpu_us(std::process::id()).is_ok());
        assert!(cpu_us(u32::MAX).is_err());
    }

    #[test]
    fn no_address_is_given_twice() {
        let given: std::collections::BTreeSet<_> = (0..50).map(|_| free_address().unwrap()).collect();
        assert_eq!(given.len(), 50);
    }
}

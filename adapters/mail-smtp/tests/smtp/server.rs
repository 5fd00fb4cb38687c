//! A mail server of the test's own: aiosmtpd in a folder of its own below `target`, installed the first time.

use std::fs::{File, create_dir_all, exists, read, read_dir, remove_dir_all, write};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/smtp");

/// A running mail server; it ends with this value.
pub(crate) struct Server {
    process: Child,
    port: u16,
    mails: TempDir,
}

impl Server {
    /// A server that takes mail from everybody, or from `login` (`user:password`) only.
    pub(crate) fn start(login: Option<&str>) -> Self {
        let mails = TempDir::new().unwrap();
        let mut process = python()
            .arg(format!("{HERE}/server.py"))
            .arg(mails.path())
            .args(login)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, port) = mpsc::channel();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        drop(std::thread::spawn(move || {
            let mut line = String::new();
            drop(output.read_line(&mut line).map(|_| sender.send(line)));
        }));
        let line = port.recv_timeout(Duration::from_secs(30)).expect("the mail server says its port within 30 s");
        let port = line.trim().parse().expect("the mail server starts; its error stands above");
        Self { process, port, mails }
    }

    /// Where it answers.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What it took, in no order.
    pub(crate) fn mails(&self) -> Vec<Vec<u8>> {
        read_dir(self.mails.path()).unwrap().map(|entry| read(entry.unwrap().path()).unwrap()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The server ends by itself when its input closes; this is for one that hangs.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// A Python that knows aiosmtpd.
fn python() -> Command {
    let folder = installed();
    let own = folder.join("bin/python");
    if own.exists() {
        return Command::new(own);
    }
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", folder);
    python
}

/// The folder where aiosmtpd is; one test installs it while the others wait.
fn installed() -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR"));
    create_dir_all(home).unwrap();
    let lock = File::create(home.join("mail-server.lock")).unwrap();
    lock.lock().unwrap();
    let requirements = format!("{HERE}/requirements.txt");
    let wanted = read(&requirements).unwrap();
    let (folder, mark) = (home.join("mail-server"), home.join("mail-server/installed.txt"));
    if exists(&mark).unwrap() && read(&mark).unwrap() == wanted {
        return folder;
    }
    if folder.exists() {
        remove_dir_all(&folder).unwrap();
    }
    install(&folder, &requirements);
    write(mark, wanted).unwrap();
    folder
}

/// Installs into a virtual environment, or where Python comes without the means to make one, into a plain folder.
fn install(folder: &Path, requirements: &str) {
    let options = ["install", "--quiet", "--disable-pip-version-check", "--retries", "2", "--timeout", "30"];
    let succeeds = |command: &mut Command| command.status().is_ok_and(|status| status.success());
    let own = succeeds(Command::new("python3").args(["-m", "venv"]).arg(folder))
        && succeeds(
            Command::new(folder.join("bin/python")).args(["-m", "pip"]).args(options).args(["-r", requirements]),
        );
    if own {
        return;
    }
    drop(remove_dir_all(folder));
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip"]).args(options).arg("--target").arg(folder).args(["-r", requirements]);
    assert!(
        succeeds(&mut pip),
        "this test starts a mail server in Python and could not install it; on Debian: apt-get install python3-venv"
    );
}

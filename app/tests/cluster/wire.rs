//! A wire between two processes that can be cut: a port of its own that hands everything on to another one.

use std::sync::Arc;

use cartwright_runtime::Tasks;
use cartwright_servers::process::free_port;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The wire. While it is cut, connections are reset and new ones are, too.
pub(crate) struct Wire {
    port: u16,
    is_cut: Arc<watch::Sender<bool>>,
    _tasks: Tasks,
}

impl Wire {
    /// A wire to a port of this machine.
    pub(crate) async fn to(port: u16) -> Self {
        let own = free_port();
        let listener = TcpListener::bind(("127.0.0.1", own)).await.unwrap();
        let (tasks, is_cut) = (Tasks::new(), Arc::new(watch::Sender::new(false)));
        let (spawner, state) = (tasks.clone(), Arc::clone(&is_cut));
        tasks.spawn(async move {
            // The test's runtime ends it.
            while let Ok((stream, _)) = listener.accept().await {
                spawner.spawn(hand_on(stream, port, state.subscribe()));
            }
        });
        Self { port: own, is_cut, _tasks: tasks }
    }

    /// Where it begins.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Cuts it.
    pub(crate) fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    /// Heals it.
    pub(crate) fn heal(&self) {
        self.is_cut.send_replace(false);
    }
}

async fn hand_on(mut stream: TcpStream, port: u16, mut is_cut: watch::Receiver<bool>) {
    if !*is_cut.borrow()
        && let Ok(mut other) = TcpStream::connect(("127.0.0.1", port)).await
    {
        tokio::select! {
            _ = is_cut.wait_for(|is_cut| *is_cut) => reset(other),
            _ = tokio::io::copy_bidirectional(&mut stream, &mut other) => return,
        }
    }
    reset(stream);
}

/// Closes it as a broken network does: nobody hears of an orderly end.
fn reset(stream: TcpStream) {
    stream.set_zero_linger().ok();
    drop(stream);
}

//! A wire that loses answers: it lets a command through, and closes the connection instead of bringing its reply.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use cartwright_runtime::Tasks;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A wire to one server.
#[derive(Clone)]
pub(crate) struct Wire {
    port: u16,
    command: Arc<Mutex<String>>,
    left: Arc<AtomicU32>,
}

impl Wire {
    /// A wire to the server at `port` that loses nothing yet.
    pub(crate) async fn to(server: u16, tasks: &Tasks) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let wire = Self { port, command: Arc::default(), left: Arc::default() };
        let (accepting, each) = (wire.clone(), tasks.clone());
        tasks.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let wire = accepting.clone();
                each.spawn(async move { drop(wire.carry(client, server).await) });
            }
        });
        wire
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Loses the replies to the next `times` commands of this name.
    pub(crate) fn lose(&self, command: &str, times: u32) {
        command.clone_into(&mut self.command.lock().unwrap());
        self.left.store(times, Ordering::SeqCst);
    }

    /// How many replies are still to be lost.
    pub(crate) fn left(&self) -> u32 {
        self.left.load(Ordering::SeqCst)
    }

    async fn carry(&self, mut client: TcpStream, server: u16) -> std::io::Result<()> {
        let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await?;
        let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        let mut severing = false;
        loop {
            tokio::select! {
                read = client.read(&mut asked) => match read? {
                    0 => return Ok(()),
                    length => {
                        severing = severing || self.severs(&asked[..length]);
                        server.write_all(&asked[..length]).await?;
                    }
                },
                read = server.read(&mut answered) => match read? {
                    0 => return Ok(()),
                    _ if severing => return Ok(()),
                    length => client.write_all(&answered[..length]).await?,
                },
            }
        }
    }

    /// Whether this is the command to lose: its name is the first of the BSON document behind the message's header.
    fn severs(&self, message: &[u8]) -> bool {
        let command = self.command.lock().unwrap();
        let body = message.get(26..).unwrap_or_default();
        let is_it = body.strip_prefix(command.as_bytes()).is_some_and(|rest| rest.first() == Some(&0));
        let takes = || self.left.try_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        !command.is_empty() && is_it && takes()
    }
}

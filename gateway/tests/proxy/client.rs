//! A client that speaks bytes.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use cartwright_runtime::Clock;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// Longer than anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A client at an address of its own on this machine.
pub(crate) async fn connect(from: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
    socket.connect(to).await.unwrap()
}

/// Sends `request` as it is, and reads to the end of the connection.
pub(crate) async fn exchange(to: SocketAddr, request: &[u8]) -> Vec<u8> {
    exchange_from("127.0.0.1", to, request).await
}

pub(crate) async fn exchange_from(from: &str, to: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut stream = connect(from, to).await;
    stream.write_all(request).await.unwrap();
    let mut bytes = Vec::new();
    let read = Clock::system().timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    read.expect("the connection ends in time").unwrap();
    bytes
}

/// An answer, parsed.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: HashMap<String, String>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("an answer has a head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let fields = lines.filter_map(|line| line.split_once(": "));
        let headers: HashMap<_, _> = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let body = &bytes[end + 4..];
        let body = if headers.contains_key("transfer-encoding") { unchunked(body) } else { body.to_vec() };
        Self { status, headers, body: String::from_utf8(body).unwrap() }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The code of the problem, which names the request.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let document = self.json();
        assert_eq!(
            (&document["status"], &document["instance"]),
            (&self.status.into(), &self.header("x-request-id").into())
        );
        document["code"].as_str().unwrap().to_owned()
    }
}

fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    loop {
        let end = bytes.windows(2).position(|window| window == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return whole;
        }
        whole.extend_from_slice(&bytes[end + 2..end + 2 + size]);
        bytes = &bytes[end + 4 + size..];
    }
}

/// Asks once, with these header lines and this body.
pub(crate) async fn ask(to: SocketAddr, method: &str, path: &str, fields: &str, body: &str) -> Answer {
    ask_from("127.0.0.1", to, method, path, fields, body).await
}

pub(crate) async fn ask_from(from: &str, to: SocketAddr, method: &str, path: &str, fields: &str, body: &str) -> Answer {
    let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let request =
        format!("{method} {path} HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n{length}{fields}\r\n{body}");
    Answer::parse(&exchange_from(from, to, request.as_bytes()).await)
}

pub(crate) async fn get(to: SocketAddr, path: &str) -> Answer {
    ask(to, "GET", path, "", "").await
}

/// Waits until `condition` holds.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    let clock = Clock::system();
    let watch = clock.stopwatch();
    while !condition() {
        assert!(watch.elapsed() < PATIENCE, "it did not come about");
        clock.pause(Duration::from_millis(5)).await;
    }
}

//! HTTP/1.1 over one keep-alive connection, as cheaply as it goes.
//!
//! Requests are bytes that were made before the clock started. An answer must carry `content-length`; a server that
//! closes the connection, or that answers in chunks, is an error.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const BUFFER: usize = 32 * 1024;
const MAX_ANSWER: usize = 4 * 1024 * 1024;
const POLL: Duration = Duration::from_millis(1);

/// A request without its connection.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) token: Option<&'a str>,
    pub(crate) body: Option<String>,
}

impl Request<'_> {
    /// The request as it goes over the wire to `address`.
    pub(crate) fn to_bytes(&self, address: SocketAddr) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\nhost: {address}\r\n", self.method, self.path).into_bytes();
        if let Some(token) = self.token {
            bytes.extend_from_slice(format!("authorization: Bearer {token}\r\n").as_bytes());
        }
        match &self.body {
            Some(body) => {
                let head = format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
                bytes.extend_from_slice(head.as_bytes());
                bytes.extend_from_slice(body.as_bytes());
            }
            None => bytes.extend_from_slice(b"\r\n"),
        }
        bytes
    }
}

/// What came back.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

impl Answer<'_> {
    /// The body, if the status is `wanted`.
    ///
    /// # Errors
    /// Another status; the message shows what the server said.
    pub(crate) fn expect(&self, wanted: u16) -> Result<&[u8]> {
        if self.status != wanted {
            let said = String::from_utf8_lossy(self.body);
            bail!("status {} instead of {wanted}: {}", self.status, said.chars().take(500).collect::<String>());
        }
        Ok(self.body)
    }
}

/// One keep-alive connection: one request at a time.
pub(crate) struct Connection {
    stream: TcpStream,
    address: SocketAddr,
    buffer: Vec<u8>,
}

struct Head {
    status: u16,
    body_at: usize,
    length: usize,
}

impl Connection {
    /// # Errors
    /// Nobody listens there.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, address, buffer: vec![0; BUFFER] })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends `request` and reads the whole answer.
    ///
    /// # Errors
    /// The connection broke, or the answer is not HTTP/1.1 with a length.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.stream.write_all(request).await?;
        let mut filled = 0;
        let head = loop {
            filled += self.read_more(filled).await?;
            if let Some(head) = parse_head(&self.buffer[..filled])? {
                break head;
            }
        };
        let end = head.body_at + head.length;
        if end > self.buffer.len() {
            self.buffer.resize(end, 0);
        }
        while filled < end {
            filled += self.read_more(filled).await?;
        }
        Ok(Answer { status: head.status, body: &self.buffer[head.body_at..end] })
    }

    /// Sends `request`, checks the status and reads the body as `T`. For preparations; the measured loop reads without copies.
    ///
    /// # Errors
    /// As [`Connection::exchange`], another status, or another body.
    pub(crate) async fn ask<T: DeserializeOwned>(&mut self, request: &Request<'_>, status: u16) -> Result<T> {
        let bytes = request.to_bytes(self.address);
        let answer = self.exchange(&bytes).await?;
        let what = || format!("{} {}", request.method, request.path);
        let body = answer.expect(status).with_context(what)?;
        serde_json::from_slice(body).with_context(what)
    }

    async fn read_more(&mut self, filled: usize) -> Result<usize> {
        if filled == self.buffer.len() {
            if filled >= MAX_ANSWER {
                bail!("the answer is larger than {MAX_ANSWER} bytes");
            }
            self.buffer.resize(filled * 2, 0);
        }
        let read = self.stream.read(&mut self.buffer[filled..]).await?;
        if read == 0 {
            bail!("the server closed the connection");
        }
        Ok(read)
    }
}

/// The head, once it is there whole.
fn parse_head(received: &[u8]) -> Result<Option<Head>> {
    let Some(head_length) = received.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = &received[..head_length];
    let status = head.get(9..12).and_then(number).filter(|_| head.starts_with(b"HTTP/1.1 "));
    let Some(status) = status else { bail!("this is not HTTP/1.1: {}", String::from_utf8_lossy(head)) };
    let status = u16::try_from(status)?;
    let length = match head.split(|byte| *byte == b'\n').find_map(content_length) {
        Some(length) => length,
        None if status == 204 => 0,
        None => bail!("an answer without content-length: {}", String::from_utf8_lossy(head)),
    };
    if length > MAX_ANSWER {
        bail!("an answer of {length} bytes");
    }
    Ok(Some(Head { status, body_at: head_length + 4, length }))
}

fn content_length(line: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    let (name, value) = line.split_at_checked(NAME.len())?;
    if name.eq_ignore_ascii_case(NAME) { number(value.trim_ascii()) } else { None }
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Waits until `GET path` answers 200, asking every millisecond.
///
/// # Errors
/// `still_runs` says no.
pub(crate) async fn wait_until_healthy(
    address: SocketAddr,
    path: &str,
    mut still_runs: impl FnMut() -> Result<()>,
) -> Result<()> {
    let request = Request { method: "GET", path, token: None, body: None }.to_bytes(address);
    loop {
        if let Ok(mut connection) = Connection::open(address).await
            && let Ok(answer) = connection.exchange(&request).await
            && answer.status == 200
        {
            return Ok(());
        }
        still_runs()?;
        crate::clock::pause(POLL).await;
    }
}

/// Waits until somebody listens at `address`.
///
/// # Errors
/// `still_runs` says no.
pub(crate) async fn wait_until_listening(
    address: SocketAddr,
    mut still_runs: impl FnMut() -> Result<()>,
) -> Result<()> {
    while TcpStream::connect(address).await.is_err() {
        still_runs()?;
        crate::clock::pause(POLL).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::parse_head;

    #[test]
    fn a_head_is_parsed_once_it_is_whole() {
        let whole = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\nx: y\r\n\r\n{}";
        assert!(parse_head(&whole[..30]).unwrap().is_none());
        let head = parse_head(whole).unwrap().unwrap();
        assert_eq!((head.status, head.length, &whole[head.body_at..]), (201, 2, &b"{}"[..]));
    }

    #[test]
    fn an_answer_without_a_length_is_an_error() {
        assert!(parse_head(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
        assert!(parse_head(b"SSH-2.0-x\r\n\r\n").is_err());
    }
}

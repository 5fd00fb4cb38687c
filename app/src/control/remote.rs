//! The verb's end of the socket.

use std::io;
use std::path::PathBuf;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Method, Request, Response, header};
use cartwright_http::Problem;
use cartwright_runtime::{Secret, Tasks};
use cartwright_vocabulary::{Email, UserId};
use futures::TryStreamExt;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::AsyncBufReadExt;
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio_util::io::StreamReader;

use super::wire::{self, ImportNews, MadeAdmin, MadeToken, NewAdmin, WantedToken};
use super::{File, ImportFormat, ImportProgress, ImportReport, Letter, Operator, Refused, Replayed, Which};

/// A running shop, asked over its socket. One connection a question.
pub struct RemoteOperator {
    socket: PathBuf,
    tasks: Tasks,
}

impl RemoteOperator {
    /// The shop whose socket this is.
    pub fn new(socket: PathBuf) -> Self {
        Self { socket, tasks: Tasks::new() }
    }

    /// Whether a shop listens there. A socket that nobody listens on was left by a process that is gone.
    pub async fn is_there(&self) -> bool {
        UnixStream::connect(&self.socket).await.is_ok()
    }

    async fn send(&self, method: Method, path: &str, body: Body) -> Result<Response<Incoming>, Refused> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| self.unreachable(&error))?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| self.unreachable(&error))?;
        self.tasks.spawn(async move {
            // What ends a connection early ends the answer too, and is told there.
            connection.await.ok();
        });
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json");
        let request = request.body(body).map_err(Refused::because)?;
        let response = sender.send_request(request).await.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let body = response.into_body().collect().await.map_err(|error| self.unreachable(&error))?.to_bytes();
        let told = serde_json::from_slice::<Problem>(&body).map(|problem| problem.detail);
        Err(Refused(told.unwrap_or_else(|_| "The shop refused, and did not say why.".to_owned())))
    }

    async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, body: &impl Serialize) -> Result<T, Refused> {
        let body = serde_json::to_vec(body).map_err(Refused::because)?;
        let response = self.send(method, path, Body::from(body)).await?;
        let body = response.into_body().collect().await.map_err(|error| self.unreachable(&error))?.to_bytes();
        serde_json::from_slice(&body).map_err(|_| self.unreachable(&"it speaks another version"))
    }

    fn unreachable(&self, cause: &dyn std::fmt::Display) -> Refused {
        Refused(format!("The running shop does not answer on {}: {cause}.", self.socket.display()))
    }
}

#[async_trait]
impl Operator for RemoteOperator {
    async fn import(
        &self,
        format: ImportFormat,
        file: File,
        progress: watch::Sender<ImportProgress>,
    ) -> Result<ImportReport, Refused> {
        let path = format!("{}?format={}", wire::IMPORT, wire::name(format));
        let response = self.send(Method::POST, &path, Body::from_stream(file)).await?;
        let pieces = response.into_body().into_data_stream().map_err(io::Error::other);
        let mut lines = StreamReader::new(pieces).lines();
        while let Some(line) = lines.next_line().await.map_err(|error| self.unreachable(&error))? {
            match serde_json::from_str(&line).map_err(|_| self.unreachable(&"it speaks another version"))? {
                ImportNews::Progress(now) => {
                    progress.send_replace(now);
                }
                ImportNews::Done(report) => return Ok(report),
                ImportNews::Failed(sentence) => return Err(Refused(sentence)),
            }
        }
        Err(Refused(
            "The shop stopped before the import was done; what it took over stays. Import the file again.".to_owned(),
        ))
    }

    async fn create_admin(&self, email: Email, password: Secret<String>) -> Result<UserId, Refused> {
        let admin = NewAdmin { email, password: password.reveal().clone() };
        let MadeAdmin { user } = self.ask(Method::POST, wire::ADMINS, &admin).await?;
        Ok(user)
    }

    async fn service_token(&self, name: &str, life_s: u64) -> Result<Secret<String>, Refused> {
        let wanted = WantedToken { service: name.to_owned(), life_s };
        let MadeToken { token } = self.ask(Method::POST, wire::SERVICE_TOKENS, &wanted).await?;
        Ok(Secret::new(token))
    }

    async fn dead_letters(&self) -> Result<Vec<Letter>, Refused> {
        self.ask(Method::GET, wire::DEAD_LETTERS, &()).await
    }

    async fn replay(&self, which: Which) -> Result<Vec<Replayed>, Refused> {
        self.ask(Method::POST, wire::REPLAY, &which).await
    }
}

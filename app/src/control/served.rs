//! The running shop's end of the socket.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::{get, post};
use cartwright_http::{Json, Problem};
use cartwright_runtime::{Secret, Tasks};
use futures::future::BoxFuture;
use futures::{Stream, StreamExt, stream};
use tokio::net::UnixListener;
use tokio::sync::watch;

use super::wire::{self, ImportNews, ImportQuery, MadeAdmin, MadeToken, NewAdmin, WantedToken};
use super::{ImportFormat, ImportProgress, ImportReport, Letter, Operator, Refused, Replayed, Which};

/// Answers on `socket` until the program stops, then removes it. A socket that an earlier process left is replaced.
///
/// # Errors
/// When the socket cannot be made, for example because its path is longer than the system takes.
pub async fn serve(socket: &Path, operator: Arc<dyn Operator>, tasks: Tasks) -> io::Result<()> {
    let listener = bind(socket)?;
    let stopped = async move { tasks.stopped().await };
    let result = axum::serve(listener, router(operator)).with_graceful_shutdown(stopped).await;
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => result,
    }
}

/// Makes the socket beside its place and moves it there when its mode is right, so that nobody else ever gets in.
fn bind(socket: &Path) -> io::Result<UnixListener> {
    let new = socket.with_extension("new");
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&new)?;
    std::fs::set_permissions(&new, Permissions::from_mode(0o600))?;
    std::fs::rename(&new, socket)?;
    Ok(listener)
}

type Shop = State<Arc<dyn Operator>>;

fn router(operator: Arc<dyn Operator>) -> Router {
    Router::new()
        .route(wire::IMPORT, post(import))
        .route(wire::ADMINS, post(create_admin))
        .route(wire::SERVICE_TOKENS, post(make_service_token))
        .route(wire::DEAD_LETTERS, get(list_dead_letters))
        .route(wire::REPLAY, post(replay))
        .with_state(operator)
}

impl From<Refused> for Problem {
    fn from(Refused(sentence): Refused) -> Self {
        Self::conflict("refused", sentence)
    }
}

async fn create_admin(State(shop): Shop, Json(admin): Json<NewAdmin>) -> Result<Json<MadeAdmin>, Problem> {
    let user = shop.create_admin(admin.email, Secret::new(admin.password)).await?;
    Ok(Json(MadeAdmin { user }))
}

async fn make_service_token(State(shop): Shop, Json(wanted): Json<WantedToken>) -> Result<Json<MadeToken>, Problem> {
    let token = shop.service_token(&wanted.service, wanted.life_s).await?;
    Ok(Json(MadeToken { token: token.reveal().clone() }))
}

async fn list_dead_letters(State(shop): Shop) -> Result<Json<Vec<Letter>>, Problem> {
    Ok(Json(shop.dead_letters().await?))
}

async fn replay(State(shop): Shop, Json(which): Json<Which>) -> Result<Json<Vec<Replayed>>, Problem> {
    Ok(Json(shop.replay(which).await?))
}

/// Answers while the file is still being read: a line for how far it is, now and then, and one for how it ended.
async fn import(State(shop): Shop, Query(query): Query<ImportQuery>, body: Body) -> Result<Response, Problem> {
    let format = ImportFormat::named(&query.format).ok_or_else(|| Problem::invalid("format", "shopify or jsonl"))?;
    let (progress, seen) = watch::channel(ImportProgress::default());
    let file = body.into_data_stream().map(|piece| piece.map_err(io::Error::other)).boxed();
    let work = async move { shop.import(format, file, progress).await };
    Ok(Response::new(Body::from_stream(news(Box::pin(work), seen).map(|news| line(&news)))))
}

type Import = BoxFuture<'static, Result<ImportReport, Refused>>;

fn news(work: Import, seen: watch::Receiver<ImportProgress>) -> impl Stream<Item = ImportNews> {
    stream::unfold(Some((work, seen)), |underway| async move {
        let (mut work, mut seen) = underway?;
        let ended = tokio::select! {
            biased;
            ended = &mut work => ended,
            Ok(()) = seen.changed() => {
                let progress = *seen.borrow_and_update();
                return Some((ImportNews::Progress(progress), Some((work, seen))));
            }
        };
        let last = match ended {
            Ok(report) => ImportNews::Done(report),
            Err(Refused(sentence)) => ImportNews::Failed(sentence),
        };
        Some((last, None))
    })
}

fn line(news: &ImportNews) -> io::Result<Bytes> {
    let mut line = serde_json::to_vec(news)?;
    line.push(b'\n');
    Ok(line.into())
}

//! Auth on the memory store, and a client that talks to its routes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::{Extension, Router};
use cartwright_auth::{Auth, AuthError, Hashing, Settings};
use cartwright_http::{Caller, TokenRefused};
use cartwright_runtime::{Clock, Ids, Time};
use cartwright_store::{Backend, Bookmark, Database, MemoryBackend};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

pub(crate) const START: Time = Time::from_millis(1_795_340_000_000);
pub(crate) const PASSWORD: &str = "correct-horse-battery";

/// One process of auth.
pub(crate) struct Desk {
    pub(crate) auth: Auth,
    pub(crate) clock: Clock,
    pub(crate) database: Database,
    pub(crate) backend: MemoryBackend,
    router: Router,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

/// Hashing that costs next to nothing.
pub(crate) fn settings() -> Settings {
    let hashing = Hashing { memory_kib: 8, passes: 1, at_once: 2, waiting: 100 };
    Settings { hashing, ..Settings::default() }
}

impl Desk {
    pub(crate) async fn open() -> Self {
        Self::with(settings()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let clock = Clock::manual(START);
        let backend = MemoryBackend::new();
        let ids = Ids::seeded(clock.clone(), 7);
        let database = Database::new(Arc::new(backend.clone()), clock.clone(), ids);
        Self::start(database, backend, clock, settings).await.unwrap()
    }

    /// Another process on the same database.
    pub(crate) async fn second(&self, settings: Settings) -> Result<Self, AuthError> {
        let ids = Ids::seeded(self.clock.clone(), 8);
        let database = Database::new(Arc::new(self.backend.clone()), self.clock.clone(), ids);
        Self::start(database, self.backend.clone(), self.clock.clone(), settings).await
    }

    async fn start(
        database: Database,
        backend: MemoryBackend,
        clock: Clock,
        settings: Settings,
    ) -> Result<Self, AuthError> {
        let store = cartwright_auth::open(&database).await?;
        let auth = cartwright_auth::start(store, settings).await?;
        let router: Router = auth.service().routes.split_for_parts().0;
        let router = router.layer(Extension(auth.verifier()));
        Ok(Self { auth, clock, database, backend, router })
    }

    pub(crate) fn verify(&self, token: &str) -> Result<Caller, TokenRefused> {
        self.auth.verifier().verify(token)
    }

    pub(crate) fn wait(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(crate) async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<Value>) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "shop.example");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        self.send(request.body(body).unwrap()).await
    }

    pub(crate) async fn send(&self, mut request: Request<Body>) -> Answer {
        let address = SocketAddr::from(([192, 0, 2, 1], 4711));
        if request.extensions().get::<ConnectInfo<SocketAddr>>().is_none() {
            request.extensions_mut().insert(ConnectInfo(address));
        }
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, &[], Some(body)).await
    }

    pub(crate) async fn post_as(&self, token: &str, path: &str, body: Option<Value>) -> Answer {
        self.call("POST", path, &[("authorization", &format!("Bearer {token}"))], body).await
    }

    pub(crate) async fn me(&self, token: &str) -> Answer {
        self.call("GET", "/me", &[("authorization", &format!("Bearer {token}"))], None).await
    }

    pub(crate) async fn register(&self, email: &str) -> Answer {
        self.post("/register", json!({ "email": email, "password": PASSWORD })).await.expect(201)
    }

    pub(crate) async fn login(&self, email: &str, password: &str) -> Answer {
        self.post("/login", json!({ "email": email, "password": password })).await
    }

    pub(crate) async fn refresh(&self, token: &str) -> Answer {
        self.post("/refresh", json!({ "refreshToken": token })).await
    }

    /// The events committed so far, by name and subject.
    pub(crate) async fn events(&self) -> Vec<(String, String)> {
        let unsent = self.backend.unsent(&Bookmark::default(), 100).await.unwrap();
        unsent.into_iter().map(|(_, event)| (event.name, event.subject)).collect()
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{:?}", self.body);
        self
    }

    #[track_caller]
    pub(crate) fn problem(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status.as_u16(), self.body["code"].as_str()), (status, Some(code)), "{:?}", self.body);
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json");
        self
    }

    #[track_caller]
    pub(crate) fn text(&self, field: &str) -> String {
        self.body[field].as_str().unwrap_or_else(|| panic!("no {field} in {}", self.body)).to_owned()
    }

    pub(crate) fn token(&self) -> String {
        self.text("token")
    }

    pub(crate) fn refresh_token(&self) -> String {
        self.text("refreshToken")
    }

    pub(crate) fn cookie(&self) -> String {
        self.headers[header::SET_COOKIE].to_str().unwrap().to_owned()
    }
}

//! The ways from this process to the services of other processes.
//!
//! Promises that nothing leaves this machine in the clear: without certificates only loopback addresses are accepted, and
//! with them every way is TLS and ends at the service that is meant.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use axum::body::Body;
use axum::http::{HeaderValue, Request, StatusCode, header};
use cartwright_contracts::over_http::Line;
use cartwright_runtime::{Clock, Ids, Tasks};
use cartwright_tls::{Identity, IdentityFiles};
use cartwright_upstream::{Options, Repeatable, Targets, Upstream};
use http_body_util::{BodyExt as _, Limited};

use crate::callers;
use crate::role::Role;
use crate::settings::Settings;

/// How long a peer's answer is waited for (reliability R-L 3).
const ANSWER_WITHIN: Duration = Duration::from_secs(4);
/// The largest answer of a peer, bytes.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// How much of a refusal the log shows, characters.
const REFUSAL_SHOWN: usize = 300;
/// How often certificate files are looked at.
const CERTIFICATES_EVERY: Duration = Duration::from_secs(10);

/// What a process needs to reach others.
#[derive(Clone)]
pub struct Ways {
    /// Who this process is to others, where it has a certificate.
    pub identity: Option<Arc<Identity>>,
    clock: Clock,
    ids: Ids,
    tasks: Tasks,
}

impl Ways {
    /// The ways of the process that others know as `name`.
    ///
    /// # Errors
    /// When its certificate cannot be used.
    pub fn of(name: &str, settings: &Settings, clock: &Clock, ids: &Ids, tasks: &Tasks) -> Result<Self> {
        let identity = match &settings.places.certs_dir {
            Some(folder) => {
                let identity = Identity::load(IdentityFiles::in_folder(folder, name), clock);
                let identity = identity.with_context(|| format!("CERTS_DIR {}", folder.display()))?;
                identity.keep_fresh(CERTIFICATES_EVERY, tasks);
                Some(identity)
            }
            None => None,
        };
        Ok(Self { identity, clock: clock.clone(), ids: ids.clone(), tasks: tasks.clone() })
    }

    /// The service `role` at `targets`, which the setting `setting` named.
    ///
    /// # Errors
    /// When that would leave the machine in the clear.
    pub fn to(&self, role: Role, targets: &Targets, setting: &str) -> Result<Upstream> {
        let setting = setting.to_ascii_uppercase();
        match &self.identity {
            None if !targets.are_loopback() => bail!(
                "{setting} names another machine, and processes talk to other machines by certificates only: make them \
                 with `cartwright certs` and set CERTS_DIR, or use 127.0.0.1"
            ),
            Some(_) if !targets.all_use_tls() => {
                bail!(
                    "{setting} has an address that begins with http://; where CERTS_DIR is set, all begin with https://"
                )
            }
            None | Some(_) => {}
        }
        let tls = self.identity.as_ref().map(|identity| identity.client_config(role.name()));
        let (clock, ids) = (self.clock.clone(), self.ids.clone());
        let upstream = Upstream::new(role.name(), targets.clone(), Options::default(), tls, clock, ids)
            .with_context(|| setting.clone())?;
        upstream.start(&self.tasks);
        Ok(upstream)
    }

    /// The lines to whatever those that run here, whom others know as `here`, ask in other processes, as far as the settings
    /// say where that is.
    ///
    /// # Errors
    /// See [`Ways::to`].
    pub fn lines(&self, settings: &Settings, here: &[&str]) -> Result<Vec<(Role, Arc<dyn Line>)>> {
        let is_elsewhere = |role: Role| !here.contains(&role.name());
        let is_asked = |role: Role| here.iter().any(|caller| callers::asks(caller, role));
        let places = settings.places.services.iter();
        let asked = places.filter(|(role, _)| is_elsewhere(*role) && is_asked(*role));
        let line = |(role, place): &(Role, crate::settings::ServicePlace)| {
            let upstream = self.to(*role, &place.peers, role.peer_url_setting())?;
            Ok((*role, Arc::new(PeerLine(upstream)) as Arc<dyn Line>))
        };
        asked.map(line).collect()
    }
}

/// Questions to one service, over HTTP.
pub struct PeerLine(pub Upstream);

#[async_trait]
impl Line for PeerLine {
    async fn ask(&self, path: &'static str, question: Vec<u8>) -> Result<Vec<u8>, String> {
        let request = Request::post(path)
            .header(header::HOST, self.0.name())
            .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .extension(Repeatable)
            .body(Body::from(question));
        let request = request.map_err(|error| error.to_string())?;
        let answer = self.0.call(request, ANSWER_WITHIN).await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        if status == StatusCode::OK {
            return Ok(body.into());
        }
        let said: String = String::from_utf8_lossy(&body).chars().take(REFUSAL_SHOWN).collect();
        Err(format!("{} answered {status}: {said}", self.0.name()))
    }
}

//! The address for shoppers: its certificate, its limits, and `cartwright gateway`, which is nothing else.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use cartwright_auth::TokenChecker;
use cartwright_bus_redis::RedisQuota;
use cartwright_contracts::TokenGuard;
use cartwright_contracts::over_http::Remote;
use cartwright_gateway::{GatewaySettings, Limiter, Proxied, RateLimits, gateway, limited};
use cartwright_http::{EdgeSettings, Leaving, LocalQuota, Quota, Tls, Verifier, layers};
use cartwright_runtime::{Clock, Ids, Tasks};
use cartwright_tls::{EdgeCertificate, EdgeFiles};

use crate::callers::GATEWAY;
use crate::neighbours::Ways;
use crate::process::{SHOPPER, Served, Stop, drain, listen, serve_until_stopped};
use crate::role::Role;
use crate::serve::NOTICE;
use crate::settings::Settings;
use crate::shop::{StartError, awaited_checker, waits};

/// How often the certificate's files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How the address for shoppers speaks TLS, where a certificate is named; a new certificate is taken over as it appears.
///
/// # Errors
/// When the certificate cannot be used.
pub fn edge_tls(settings: &Settings, clock: &Clock, tasks: &Tasks) -> Result<Option<Tls>> {
    let Some((certificate, key)) = settings.places.edge_certificate.clone() else { return Ok(None) };
    let edge = EdgeCertificate::load(EdgeFiles { certificate, key }, clock).context("TLS_CERTIFICATE and TLS_KEY")?;
    edge.keep_fresh(LOOK_EVERY, tasks);
    Ok(Some(Tls::edge(edge.server_config())))
}

/// How the address for shoppers is guarded: as often as R-L 6 says, counted over Redis where one is named, so that all
/// gateways count together.
///
/// # Errors
/// When the Redis can never work.
pub fn guarded(router: Router, settings: &Settings, verifier: Arc<dyn Verifier>, clock: &Clock) -> Result<Router> {
    let quota: Arc<dyn Quota> = match &settings.places.redis_url {
        Some(url) => Arc::new(RedisQuota::new(url.reveal(), clock.clone()).context("REDIS_URL")?),
        None => Arc::new(LocalQuota::new(clock.clone())),
    };
    let limits = RateLimits { exempt_loopback: settings.exempt_loopback, ..RateLimits::default() };
    Ok(limited(router, Limiter { quota, limits, verifier }))
}

/// Runs the address for shoppers in front of services in other processes until the process is told to stop.
///
/// # Errors
/// In a sentence that says how to mend it.
pub async fn run(settings: Settings) -> Result<()> {
    let stop = Stop::listen()?;
    let (clock, tasks) = (Clock::system(), Tasks::new());
    let ids = Ids::random(clock.clone());
    let ways = Ways::of(GATEWAY, &settings, &clock, &ids, &tasks)?;
    let tls = edge_tls(&settings, &clock, &tasks)?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut services = Vec::new();
    for role in Role::ALL {
        let setting = role.url_setting();
        let place = settings.places.of(role).ok_or(StartError::NoPeer { role })?;
        services.push(Proxied { scheme, ..Proxied::new(ways.to(role, &place.public, setting)?, waits) });
    }
    let about = GatewaySettings {
        shop: settings.shop_name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        clock: clock.clone(),
    };
    let router = gateway(services, &about)?.router.merge(cartwright_demo::router());
    let (listener, leaving) = (listen(settings.address(), "port").await?, Leaving::default());
    let checker = checker(&ways, &settings, &clock).await?;
    checker.job().start(&tasks);
    let router = guarded(router, &settings, checker.verifier(), &clock)?;
    let edge = EdgeSettings {
        origins: settings.origins(),
        waits,
        leaving: leaving.clone(),
        ..EdgeSettings::new(clock.clone(), ids)
    };
    tracing::info!(address = %listener.local_addr()?, "ready");
    let served = vec![Served { listener, router: layers(router, edge), tls, connections_each: SHOPPER }];
    serve_until_stopped(stop, &settings, served, &clock, (&leaving, NOTICE)).await;
    drain(&tasks, &clock).await;
    Ok(())
}

/// Knows whose token it is, as auth says.
async fn checker(ways: &Ways, settings: &Settings, clock: &Clock) -> Result<TokenChecker> {
    let lines = ways.lines(settings, &[GATEWAY])?;
    let (_, auth) =
        lines.into_iter().find(|(role, _)| *role == Role::Auth).ok_or(StartError::NoPeer { role: Role::Auth })?;
    let auth: Arc<dyn TokenGuard> = Arc::new(Remote::new(Role::Auth.name(), auth));
    Ok(awaited_checker(auth, &settings.services().auth, clock).await?)
}

//! `cartwright serve`: some services of a shop in this process, reached by the gateway and by the services of others.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use cartwright_http::{EdgeSettings, Forwarder, Tls, layers, permit, trust_forwarded};
use cartwright_tls::service_named_in;
use tokio::net::TcpListener;

use crate::callers::{self, GATEWAY};
use crate::control::Opened;
use crate::process::{PROCESS, Served, Stop, drain, listen, serve_until_stopped};
use crate::role::Role;
use crate::settings::Settings;
use crate::shop::waits;

/// How long a process says that it is about to stop before it stops listening: two probes of whoever sends it requests.
pub const NOTICE: Duration = Duration::from_millis(2_500);
/// How far above its own port a process answers its peers.
const PEERS_ABOVE: u16 = 1000;

/// Runs `roles` until the process is told to stop, each on a port of its own from `PORT` on.
///
/// # Errors
/// In a sentence that says how to mend it.
pub async fn run(settings: Settings, roles: Vec<Role>) -> Result<()> {
    let stop = Stop::listen()?;
    may_be_reached(&settings, &roles)?;
    let listeners = listen_for(&settings, &roles).await?;
    let mut opened = Opened::open_part(&settings, &roles).await?;
    if let (Some(auth), Some((email, password))) = (opened.shop.auth(), &settings.admin) {
        auth.create_admin(email, password).await.context("ADMIN_EMAIL and ADMIN_PASSWORD")?;
    }
    opened.start().await?;
    let pairs = roles.iter().zip(listeners);
    let served: Vec<Served> = pairs.flat_map(|(role, pair)| served(&settings, &mut opened, *role, pair)).collect();
    tracing::info!(roles = names(&roles), port = settings.port, "ready");
    let (clock, leaving) = (opened.ground.clock.clone(), opened.shop.leaving().clone());
    serve_until_stopped(stop, &settings, served, &clock, (&leaving, NOTICE)).await;
    drain(&opened.ground.tasks, &clock).await;
    opened.close().await;
    Ok(())
}

/// The sockets of each role: for shoppers and for peers.
async fn listen_for(settings: &Settings, roles: &[Role]) -> Result<Vec<(TcpListener, TcpListener)>> {
    let mut listeners = Vec::new();
    for place in (0_u16..).take(roles.len()) {
        let next = |port: u16| if port == 0 { 0 } else { port.saturating_add(place) };
        let public = listen(SocketAddr::new(settings.host, next(settings.port)), "port").await?;
        let above = if settings.port == 0 { 0 } else { settings.port.saturating_add(PEERS_ABOVE) };
        let peers = next(settings.places.peer_port.unwrap_or(above));
        listeners.push((public, listen(SocketAddr::new(settings.host, peers), "peer-port").await?));
    }
    Ok(listeners)
}

/// Refuses what would answer strangers: without certificates a service answers this machine only.
fn may_be_reached(settings: &Settings, roles: &[Role]) -> Result<()> {
    if settings.places.certs_dir.is_some() {
        if roles.len() > 1 {
            bail!("a certificate names one service, so with CERTS_DIR each service has a process of its own");
        }
        return Ok(());
    }
    if !settings.host.is_loopback() {
        bail!(
            "HOST is {}, which other machines can reach, and without certificates a service answers this machine only: \
             make them with `cartwright certs` and set CERTS_DIR",
            settings.host
        );
    }
    Ok(())
}

fn names(roles: &[Role]) -> String {
    roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(", ")
}

/// The routes of `role` for shoppers on one socket, those for its peers on the other.
fn served(
    settings: &Settings,
    opened: &mut Opened,
    role: Role,
    (public, peers): (TcpListener, TcpListener),
) -> [Served; 2] {
    let mut routes = opened.shop.take_routes(role);
    if role == Role::Payment {
        routes = routes.merge(opened.sandbox.routes());
    }
    let identity = opened.ways.identity.clone();
    let (clock, ids) = (opened.ground.clock.clone(), opened.ground.ids.clone());
    let edge = EdgeSettings { origins: settings.origins(), waits, ..EdgeSettings::new(clock, ids) };
    let one = |listener, router, table| match &identity {
        Some(identity) => Served {
            listener,
            router: layers(trust_forwarded(permit(router, table), Forwarder::Peer(GATEWAY.to_owned())), edge.clone()),
            tls: Some(Tls::mutual(identity.server_config(), service_named_in)),
            connections_each: PROCESS,
        },
        None => {
            let router = layers(trust_forwarded(router, Forwarder::Loopback), edge.clone());
            Served { listener, router, tls: None, connections_each: PROCESS }
        }
    };
    [
        one(public, routes, callers::of_public_routes()),
        one(peers, opened.shop.peer_routes(role), callers::of_peer_routes()),
    ]
}

//! A process from its first moment to its orderly end: the wish to stop, listeners, and what is served on them.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use cartwright_http::{Leaving, Limits, Tls, serve, serve_tls};
use cartwright_runtime::{Clock, Tasks};
use futures::future::join_all;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::settings::Settings;

/// What background work gets to end in, once requests have ended.
const DRAIN: Duration = Duration::from_secs(8);

/// The wish of whoever runs the process that it ends; heard from the first moment on.
pub struct Stop {
    terminated: Signal,
    interrupted: Signal,
}

impl Stop {
    /// Hears it from now on.
    ///
    /// # Errors
    /// When the system takes no handler.
    pub fn listen() -> Result<Self> {
        Ok(Self { terminated: signal(SignalKind::terminate())?, interrupted: signal(SignalKind::interrupt())? })
    }

    /// Waits for it.
    pub async fn wished(&mut self) {
        tokio::select! {
            _ = self.terminated.recv() => {}
            _ = self.interrupted.recv() => {}
        }
    }
}

/// A socket that listens.
///
/// # Errors
/// When the port is taken; the sentence names the setting.
pub async fn listen(address: SocketAddr, setting: &str) -> Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.with_context(|| {
        format!("cannot listen on {address}; stop what has that port, or choose another with --{setting}")
    })
}

/// What one address may have of connections at the address for shoppers.
pub const SHOPPER: usize = 100;
/// The same between processes: every call and every event stream of a gateway has one.
pub const PROCESS: usize = 4_000;

/// What is served on one socket.
pub struct Served {
    /// The socket.
    pub listener: TcpListener,
    /// What answers on it.
    pub router: Router,
    /// How it speaks TLS, where it does.
    pub tls: Option<Tls>,
    /// Connections that one address may have.
    pub connections_each: usize,
}

/// Serves until `stop` is wished. Requests end first, while events and jobs still go on, so that those who wait for an
/// order are answered. Before that, `leaving` is announced for `notice`, so that whoever balances sends no more.
pub async fn serve_until_stopped(
    mut stop: Stop,
    settings: &Settings,
    served: Vec<Served>,
    clock: &Clock,
    (leaving, notice): (&Leaving, Duration),
) {
    let edge = Tasks::new();
    let serving = served.into_iter().map(async |Served { listener, router, tls, connections_each }| {
        let limits = Limits {
            loopback_exempt: settings.exempt_loopback,
            connections_per_address_max: connections_each,
            ..Limits::default()
        };
        match tls {
            Some(tls) => serve_tls(listener, router, tls, limits, clock.clone(), edge.clone()).await,
            None => serve(listener, router, limits, clock.clone(), edge.clone()).await,
        }
    });
    let ending = async {
        stop.wished().await;
        tracing::info!("stopping: what was accepted is finished, the rest goes on at the next start");
        leaving.announce();
        clock.pause(notice).await;
        edge.stop();
    };
    let (cut, ()) = tokio::join!(join_all(serving), ending);
    let cut: usize = cut.into_iter().sum();
    if cut > 0 {
        tracing::warn!(cut, "connections did not end in time");
    }
}

/// Ends background work.
pub async fn drain(tasks: &Tasks, clock: &Clock) {
    if !tasks.drain(clock, DRAIN).await {
        tracing::warn!("some background work did not end in time; it goes on at the next start");
    }
}

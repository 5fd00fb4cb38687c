//! `cartwright up`: the whole shop in this process, from its settings to its orderly end.

use cartwright_store::Bookmark;
use std::collections::HashSet;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use cartwright_gateway::GatewaySettings;
use cartwright_http::{EdgeSettings, Limits, layers, serve};
use cartwright_product::{ImportFormat, Progress};
use cartwright_runtime::{Secret, Tasks};
use cartwright_vocabulary::Email;
use http_body_util::BodyExt as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tower::ServiceExt as _;

use crate::control::{self, Opened, ShopOperator};
use crate::role::Role;
use crate::settings::{Settings, Sources};
use crate::shop::{StartError, waits};

/// What background work gets to end in, once requests have ended.
const DRAIN: Duration = Duration::from_secs(8);

/// How long a new demo shop waits for its shelves to be filled before it opens all the same.
const SHELVING: Duration = Duration::from_secs(10);

/// Runs the shop until it is told to stop; `demo` fills an empty one.
///
/// # Errors
/// In a sentence that says how to mend it: the port is taken, another process has the store, a setting does not fit.
pub async fn run(settings: Settings, demo: bool) -> Result<()> {
    let stop = Stop::listen()?;
    let mut opened = Opened::open(&settings).await?;
    let listener = listen(settings.address()).await?;
    let address = listener.local_addr()?;
    let admin = make_admins(&settings, &opened, demo).await?;
    let filled = demo && fill(&settings, &opened).await?;
    opened.shop.start().await?;
    let router = router(&settings, &mut opened)?;
    if filled {
        until_on_the_shelf(&opened, &router).await?;
    }
    if let Some(operator) = ShopOperator::new(&opened.shop, settings.currency) {
        serve_control(&settings, Arc::new(operator), &opened.ground.tasks);
    }
    welcome(&settings, address, admin.as_ref());
    until_stopped(stop, &settings, listener, router, &opened).await;
    if !opened.ground.tasks.drain(&opened.ground.clock, DRAIN).await {
        tracing::warn!("some background work did not end in time; it goes on at the next start");
    }
    opened.close().await;
    Ok(())
}

/// The OpenAPI document of the public contract, made of the routes of a shop that is put together for this alone.
///
/// # Errors
/// When a temporary folder cannot be made.
pub async fn openapi() -> Result<String> {
    let folder = tempfile::tempdir()?;
    let defaults = Settings::read(&Sources::default()).settings.context("the defaults do not fit together")?;
    let settings = Settings { data_dir: folder.path().to_owned(), ..defaults };
    let mut opened = Opened::open(&settings).await?;
    let gateway = opened.shop.take_gateway(&about(&settings.shop_name, opened.ground.clock.clone()))?;
    let document = serde_json::to_string_pretty(&gateway.openapi)?;
    opened.close().await;
    Ok(document)
}

async fn listen(address: SocketAddr) -> Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.with_context(|| format!("cannot listen on {address}; stop what has that port, or choose another with --port"))
}

/// An admin that was made for a demo shop, to be told once.
struct DemoAdmin {
    email: Email,
    password: String,
}

async fn make_admins(settings: &Settings, opened: &Opened, demo: bool) -> Result<Option<DemoAdmin>> {
    let Some(auth) = opened.shop.auth() else { return Ok(None) };
    if let Some((email, password)) = &settings.admin {
        auth.create_admin(email, password).await.context("ADMIN_EMAIL and ADMIN_PASSWORD")?;
        return Ok(None);
    }
    if !demo || !is_empty(opened).await? {
        return Ok(None);
    }
    let password: String = opened.ground.ids.secret().chars().take(16).collect();
    let email: Email = "admin@shop.example".parse()?;
    auth.create_admin(&email, &Secret::new(password.clone())).await?;
    Ok(Some(DemoAdmin { email, password }))
}

async fn is_empty(opened: &Opened) -> Result<bool> {
    let products = opened.shop.stores().of(Role::Product);
    Ok(products.scan::<cartwright_product::Product>().page(1).await?.is_empty())
}

/// Takes over the demo catalogue where nothing else is sold; what was half taken over at a crash is completed. True where
/// there was something to take over.
async fn fill(settings: &Settings, opened: &Opened) -> Result<bool> {
    let products = opened.shop.stores().of(Role::Product);
    let demo = demo_skus()?;
    let known = products.scan::<cartwright_product::Product>().page(demo.len()).await?;
    let is_demo = known.iter().all(|product| demo.contains(product.doc.listing.sku.as_str()));
    if !is_demo || known.len() >= demo.len() {
        return Ok(false);
    }
    let catalogue = cartwright_demo::catalogue().as_bytes();
    let taken =
        cartwright_product::import(products, settings.currency, catalogue, ImportFormat::JsonLines, |_: Progress| {});
    for line in &taken.await?.rejected {
        tracing::warn!(line = line.line, reason = line.reason, "a product of the demo catalogue was not taken over");
    }
    Ok(true)
}

/// Waits until what was just taken over is in stock and listed, so that the first visitor of a new shop finds it full.
async fn until_on_the_shelf(opened: &Opened, router: &Router) -> Result<()> {
    #[derive(serde::Deserialize)]
    struct Listed {
        total: usize,
    }
    let clock = &opened.ground.clock;
    let (watch, wanted) = (clock.stopwatch(), demo_skus()?.len());
    while watch.elapsed() < SHELVING {
        let request = Request::get("/products?limit=1").body(Body::empty())?;
        let answer = router.clone().oneshot(request).await?.into_body().collect().await?.to_bytes();
        let listed = serde_json::from_slice::<Listed>(&answer).map_or(0, |listed| listed.total);
        if listed >= wanted && opened.ground.backend.unsent(&Bookmark::default(), 1).await?.is_empty() {
            return Ok(());
        }
        clock.pause(Duration::from_millis(10)).await;
    }
    tracing::warn!("the demo catalogue is not all listed yet; it will be in a moment");
    Ok(())
}

/// The SKUs of the demo catalogue.
fn demo_skus() -> Result<HashSet<String>> {
    #[derive(serde::Deserialize)]
    struct Line {
        sku: String,
    }
    let lines = cartwright_demo::catalogue().lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| Ok(serde_json::from_str::<Line>(line)?.sku)).collect()
}

fn about(shop: &str, clock: cartwright_runtime::Clock) -> GatewaySettings {
    GatewaySettings { shop: shop.to_owned(), version: env!("CARGO_PKG_VERSION").to_owned(), clock }
}

fn router(settings: &Settings, opened: &mut Opened) -> Result<Router, StartError> {
    let clock = opened.ground.clock.clone();
    let gateway = opened.shop.take_gateway(&about(&settings.shop_name, clock.clone()))?;
    let router = gateway.router.nest("/payment", opened.sandbox.routes()).merge(cartwright_demo::router());
    let edge =
        EdgeSettings { origins: settings.origins(), waits, ..EdgeSettings::new(clock, opened.ground.ids.clone()) };
    Ok(layers(router, edge))
}

fn serve_control(settings: &Settings, operator: Arc<ShopOperator>, tasks: &Tasks) {
    let (socket, stopping) = (settings.control_socket(), tasks.clone());
    tasks.spawn(async move {
        if let Err(error) = control::serve(&socket, operator, stopping).await {
            let socket = socket.display();
            tracing::error!(%socket, %error, "the operator's verbs cannot reach this shop while it runs");
        }
    });
}

/// The wish of whoever runs the shop that it ends; heard from the first moment on.
struct Stop {
    terminated: Signal,
    interrupted: Signal,
}

impl Stop {
    fn listen() -> Result<Self> {
        Ok(Self { terminated: signal(SignalKind::terminate())?, interrupted: signal(SignalKind::interrupt())? })
    }

    async fn wished(mut self) {
        tokio::select! {
            _ = self.terminated.recv() => {}
            _ = self.interrupted.recv() => {}
        }
    }
}

/// Requests end first, while events and jobs still go on, so that those who wait for an order are answered.
async fn until_stopped(stop: Stop, settings: &Settings, listener: TcpListener, router: Router, opened: &Opened) {
    let edge = Tasks::new();
    let limits = Limits { loopback_exempt: settings.exempt_loopback, ..Limits::default() };
    let serving = serve(listener, router, limits, opened.ground.clock.clone(), edge.clone());
    let ending = async {
        stop.wished().await;
        tracing::info!("stopping: what was accepted is finished, the rest goes on at the next start");
        edge.stop();
    };
    let (cut, ()) = tokio::join!(serving, ending);
    if cut > 0 {
        tracing::warn!(cut, "connections did not end in time");
    }
}

fn welcome(settings: &Settings, address: SocketAddr, admin: Option<&DemoAdmin>) {
    let mut lines = vec![
        format!("{} is open at http://{address}", settings.shop_name),
        format!("  documentation   http://{address}/docs"),
        format!("  data            {}", settings.data_dir.display()),
    ];
    if settings.smtp_url.is_none() {
        lines.push(format!("  e-mails         {}", settings.mailbox().display()));
    }
    if let Some(admin) = admin {
        let DemoAdmin { email, password } = admin;
        lines.push(format!("  admin           {} with password {password} (shown this once)", email.as_str()));
    }
    lines.push("Stop it with Ctrl-C.".to_owned());
    // Nobody may be reading, and a shop does not close for that.
    drop(writeln!(std::io::stdout(), "{}", lines.join("\n")));
}

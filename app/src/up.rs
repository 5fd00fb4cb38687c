//! `cartwright up`: the whole shop in this process, from its settings to its orderly end.

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
use cartwright_http::{EdgeSettings, layers};
use cartwright_product::{ImportFormat, Progress};
use cartwright_runtime::{Secret, Tasks};
use cartwright_store::Bookmark;
use cartwright_vocabulary::Email;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use crate::control::{self, Opened, ShopOperator};
use crate::edge::{edge_tls, guarded};
use crate::process::{SHOPPER, Served, Stop, drain, listen, serve_until_stopped};
use crate::role::Role;
use crate::settings::{Settings, Sources};
use crate::shop::waits;

/// How long a new demo shop waits for its shelves to be filled before it opens all the same.
const SHELVING: Duration = Duration::from_secs(10);

/// Runs the shop until it is told to stop; `demo` fills an empty one.
///
/// # Errors
/// In a sentence that says how to mend it: the port is taken, another process has the store, a setting does not fit.
pub async fn run(settings: Settings, demo: bool) -> Result<()> {
    let stop = Stop::listen()?;
    let mut opened = Opened::open(&settings).await?;
    let listener = listen(settings.address(), "port").await?;
    let address = listener.local_addr()?;
    let admin = make_admins(&settings, &opened, demo).await?;
    let filled = demo && fill(&settings, &opened).await?;
    opened.start().await?;
    let router = router(&settings, &mut opened)?;
    if filled {
        until_on_the_shelf(&opened, &router).await?;
    }
    if let Some(operator) = ShopOperator::new(&opened.shop, settings.currency) {
        serve_control(&settings, Arc::new(operator), &opened.ground.tasks);
    }
    welcome(&settings, address, admin.as_ref());
    let served = vec![Served {
        listener,
        router,
        tls: edge_tls(&settings, &opened.ground.clock, &opened.ground.tasks)?,
        connections_each: SHOPPER,
    }];
    let clock = opened.ground.clock.clone();
    serve_until_stopped(stop, &settings, served, &clock, (opened.shop.leaving(), Duration::ZERO)).await;
    drain(&opened.ground.tasks, &clock).await;
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

/// An admin that was made for a demo shop, to be told once.
pub(crate) struct DemoAdmin {
    email: Email,
    password: String,
}

impl DemoAdmin {
    /// What is printed of it, once.
    pub(crate) fn line(&self) -> String {
        let Self { email, password } = self;
        format!("  admin           {} with password {password} (shown this once)", email.as_str())
    }
}

/// Makes the admin that the settings name, or one for a new demo shop.
pub(crate) async fn make_admins(settings: &Settings, opened: &Opened, demo: bool) -> Result<Option<DemoAdmin>> {
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
pub(crate) async fn fill(settings: &Settings, opened: &Opened) -> Result<bool> {
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

fn router(settings: &Settings, opened: &mut Opened) -> Result<Router> {
    let clock = opened.ground.clock.clone();
    let gateway = opened.shop.take_gateway(&about(&settings.shop_name, clock.clone()))?;
    let router = gateway.router.nest("/payment", opened.sandbox.routes()).merge(cartwright_demo::router());
    let router = guarded(router, settings, opened.shop.verifier(), &clock)?;
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

fn welcome(settings: &Settings, address: SocketAddr, admin: Option<&DemoAdmin>) {
    let mut lines = vec![
        format!("{} is open at http://{address}", settings.shop_name),
        format!("  documentation   http://{address}/docs"),
        format!("  data            {}", settings.data_dir.display()),
    ];
    if settings.smtp_url.is_none() {
        lines.push(format!("  e-mails         {}", settings.mailbox().display()));
    }
    lines.extend(admin.map(DemoAdmin::line));
    lines.push("Stop it with Ctrl-C.".to_owned());
    // Nobody may be reading, and a shop does not close for that.
    drop(writeln!(std::io::stdout(), "{}", lines.join("\n")));
}

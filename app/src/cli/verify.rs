//! `cartwright verify`: whether what must hold does hold.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use cartwright::carrier::Carrier;
use cartwright::control::RemoteOperator;
use cartwright::engine::Engine;
use cartwright::role::Role;
use cartwright::settings::Settings;
use cartwright::shop::Stores;
use cartwright::verify::{Report, verify};
use cartwright_payment_sandbox::{LedgerEntry, read_ledger};
use cartwright_runtime::{Clock, Ids, Tasks};
use cartwright_store::Database;
use cartwright_store_sqlite::SqliteBackend;

use super::flags::FewFlags;
use super::{Ending, say, settings};

/// How long a shop on MongoDB gets to come to rest before what does not hold is told.
const AT_REST_WITHIN: Duration = Duration::from_secs(15);
/// How often it is read meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Check that stock, money, orders and messages agree with each other
///
/// Reads the whole store, beside a running shop or on a stopped one, and changes nothing. Each broken promise is named
/// with the rows that show it. Some promises hold only when nothing is on its way; while a shop is busy they are left out,
/// and the report says so. Ends with 1 where a promise is broken or the file is damaged.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cartwright verify
  cartwright verify --data-dir /srv/shop --json | jq .violations")]
pub(crate) struct Verify {
    /// Print the report as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    flags: FewFlags,
}

impl Verify {
    pub(crate) async fn run(self) -> Result<Ending> {
        let settings = settings(&self.flags.0)?;
        let (report, complaints) = checked(&settings).await?;
        if self.json {
            say(&format!("{}\n", serde_json::json!({"file": complaints, "report": report})))?;
        } else {
            say(&told(&report, &complaints))?;
        }
        let is_sound = report.violations.is_empty() && complaints.is_empty();
        Ok(if is_sound { Ending::Good } else { Ending::Bad })
    }
}

/// What the checker found, and what the engine finds wrong with its file.
async fn checked(settings: &Settings) -> Result<(Report, Vec<String>)> {
    if settings.places.use_mongodb() {
        return Ok((checked_mongo(settings).await?, Vec::new()));
    }
    let file = settings.store_file();
    let clock = Clock::system();
    let is_running = RemoteOperator::new(settings.control_socket()).is_there().await;
    let ledger = ledger_of(settings)?;
    let backend = Arc::new(SqliteBackend::open_read_only(&file, clock.clone())?);
    let now = is_running.then(|| clock.now());
    let engine: Arc<dyn cartwright_store::Backend> = Arc::<SqliteBackend>::clone(&backend);
    let database = Database::new(engine, clock.clone(), Ids::random(clock.clone()));
    let stores = Stores::open(&database, &settings.services()).await.context("the store is not one of a shop")?;
    // What the provider noted meanwhile is not in the moment of the store that is read.
    let ledger = ledger_of(settings)?.filter(|now| Some(now) == ledger.as_ref());
    let report = verify(&stores, backend.as_ref(), now, ledger).await?;
    Ok((report, backend.complaints()?))
}

/// What the checker found in MongoDB. It is read document by document beside a running shop, so what does not hold is read
/// again, until it holds or the shop has had time to come to rest.
async fn checked_mongo(settings: &Settings) -> Result<Report> {
    let (clock, tasks) = (Clock::system(), Tasks::new());
    let engine = Engine::open(settings, &Role::ALL, &clock, &tasks).await?;
    let report = checked_at_rest(settings, &engine.backend(), &clock, &tasks).await;
    engine.close(&tasks).await;
    report
}

async fn checked_at_rest(
    settings: &Settings,
    engine: &Arc<dyn cartwright_store::Backend>,
    clock: &Clock,
    tasks: &Tasks,
) -> Result<Report> {
    let database = Database::new(Arc::clone(engine), clock.clone(), Ids::random(clock.clone()));
    let stores = Stores::open(&database, &settings.services()).await.context("the store is not one of a shop")?;
    let carrier = Carrier::open(settings, &Role::ALL, clock, tasks).await?;
    let watch = clock.stopwatch();
    loop {
        let delivered = carrier.nothing_waits().await;
        let mut report = verify(&stores, engine.as_ref(), Some(clock.now()), ledger_of(settings)?).await?;
        report.quiet &= delivered;
        if (report.violations.is_empty() && report.quiet) || watch.elapsed() > AT_REST_WITHIN {
            return Ok(report);
        }
        clock.pause(LOOK_EVERY).await;
    }
}

/// The sandbox provider's ledger, where there is one.
fn ledger_of(settings: &Settings) -> Result<Option<Vec<LedgerEntry>>> {
    let file = settings.sandbox_ledger();
    Ok(if file.exists() { Some(read_ledger(&file)?) } else { None })
}

fn told(report: &Report, complaints: &[String]) -> String {
    let read: Vec<String> = report.read.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let mut text = format!("Read {}.\n", read.join(", "));
    text.push_str(&format!("Checked {}.\n", report.checked.join(", ")));
    if !report.quiet {
        text.push_str("The shop is busy: what holds only when nothing is on its way was left out.\n");
    }
    complaints.iter().for_each(|complaint| text.push_str(&format!("The file is damaged: {complaint}\n")));
    report.violations.iter().for_each(|violation| text.push_str(&format!("{violation}\n")));
    if report.violations.is_empty() && complaints.is_empty() {
        text.push_str("All of it holds.\n");
    }
    text
}

//! `cartwright import`: a file of products into the catalogue.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use cartwright::control::{File, ImportFormat, ImportProgress, ImportReport, Operator};
use cartwright_runtime::Tasks;
use futures::StreamExt;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use tokio::sync::watch;
use tokio_util::io::ReaderStream;

use super::flags::FewFlags;
use super::operator::Reached;
use super::{Ending, say, settings};

/// Rejected lines that are printed; the rest is counted.
const SHOWN: usize = 100;

/// Bring a file of products into the catalogue
///
/// Shopify's product CSV, or one JSON object a line in the field names of the API. Products are told apart by their SKU:
/// a product that is there is changed, and the same file twice changes nothing. Lines that cannot be taken are listed with
/// the reason, and the others are taken all the same. Works on a running shop and on a stopped one.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cartwright import products_export.csv
  cartwright import catalogue.jsonl --data-dir /srv/shop
  zcat export.csv.gz | cartwright import - --format shopify")]
pub(crate) struct Import {
    /// The file, or - for what comes in
    file: PathBuf,

    /// shopify (CSV) or jsonl; by the file's name where nothing is said
    #[arg(long, value_parser = format)]
    format: Option<ImportFormat>,

    #[command(flatten)]
    flags: FewFlags,
}

fn format(word: &str) -> Result<ImportFormat, String> {
    ImportFormat::named(word).ok_or_else(|| "shopify or jsonl is needed".to_owned())
}

impl Import {
    pub(crate) async fn run(self) -> Result<Ending> {
        let settings = settings(&self.flags.0)?;
        let named = || self.file.to_str().and_then(ImportFormat::named);
        let Some(format) = self.format.or_else(named) else {
            bail!("what format is {}? Say --format shopify or --format jsonl", self.file.display());
        };
        let (file, size) = open(&self.file).await?;
        let shop = Reached::find(&settings).await?;
        let report = import(shop.operator.as_ref(), format, file, size).await;
        shop.leave().await;
        let report = report?;
        say(&told(&report))?;
        Ok(if report.rejected.is_empty() { Ending::Good } else { Ending::Bad })
    }
}

/// The file piece by piece, and its size where it has one.
async fn open(path: &Path) -> Result<(File, Option<u64>)> {
    if path == Path::new("-") {
        return Ok((ReaderStream::new(tokio::io::stdin()).boxed(), None));
    }
    let opened = async {
        let file = tokio::fs::File::open(path).await?;
        let size = file.metadata().await?.len();
        io::Result::Ok((ReaderStream::with_capacity(file, 64 * 1024).boxed(), Some(size)))
    };
    opened.await.with_context(|| format!("{} cannot be read", path.display()))
}

async fn import(shop: &dyn Operator, format: ImportFormat, file: File, size: Option<u64>) -> Result<ImportReport> {
    let bar = match size {
        Some(size) => ProgressBar::new(size).with_style(style("{bar:30} {percent:>3} %  {msg}")?),
        None => ProgressBar::no_length().with_style(style("{spinner} {bytes}  {msg}")?),
    };
    let (progress, seen) = watch::channel(ImportProgress::default());
    let tasks = Tasks::new();
    tasks.spawn(show(bar.clone(), seen));
    let report = shop.import(format, file, progress).await;
    bar.finish_and_clear();
    Ok(report?)
}

fn style(template: &str) -> Result<ProgressStyle> {
    ProgressStyle::with_template(template).context("the progress bar")
}

/// Moves the bar until the import has ended.
async fn show(bar: ProgressBar, mut seen: watch::Receiver<ImportProgress>) {
    while seen.changed().await.is_ok() {
        let ImportProgress { bytes, created, updated, unchanged, rejected } = *seen.borrow_and_update();
        bar.set_position(bytes);
        let done = HumanCount(created + updated + unchanged);
        bar.set_message(format!("{done} products, {} lines rejected", HumanCount(rejected)));
    }
}

fn told(report: &ImportReport) -> String {
    let ImportReport { created, updated, unchanged, rejected } = report;
    let mut text =
        format!("{created} created, {updated} updated, {unchanged} unchanged, {} rejected\n", rejected.len());
    for rejection in rejected.iter().take(SHOWN) {
        text.push_str(&format!("  line {}: {}\n", rejection.line, rejection.reason));
    }
    if rejected.len() > SHOWN {
        text.push_str(&format!("  and {} more\n", rejected.len() - SHOWN));
    }
    text
}

#[cfg(test)]
mod tests {
    use cartwright::control::Rejection;

    use super::*;

    #[test]
    fn rejected_lines_are_told_with_their_reasons_up_to_a_hundred() {
        let rejected = (1..=130).map(|line| Rejection { line, reason: format!("because {line}") }).collect();
        let text = told(&ImportReport { created: 1, updated: 2, unchanged: 3, rejected });
        assert!(text.starts_with("1 created, 2 updated, 3 unchanged, 130 rejected\n  line 1: because 1\n"), "{text}");
        assert!(text.contains("line 100:") && !text.contains("line 101:") && text.ends_with("and 30 more\n"), "{text}");
    }
}

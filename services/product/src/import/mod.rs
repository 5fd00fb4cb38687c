//! Bringing many products in: a stream of lines becomes batches of drafts, each one commit.
//!
//! Idempotent by SKU: the same file twice changes nothing the second time. A line that cannot be taken is told with its
//! number and why, and the others are taken all the same. The stock of a product that exists is never touched.

mod json_lines;
mod rows;
mod shopify;

use std::collections::HashMap;
use std::path::Path;

use cartwright_store::{Lane, Store, StoreError, change};
use cartwright_vocabulary::{Currency, Sku};
use serde::Serialize;
use tokio::io::AsyncBufRead;
use utoipa::ToSchema;

use crate::domain::{Draft, Flaw, ProductInput};
use crate::error::ProductError;
use crate::operations::list_batch;

/// Products of one commit.
const BATCH: usize = 200;
/// Rejected lines after which a file is taken for something else than it claims to be.
const REJECTED_MOST: usize = 10_000;
/// The longest line of JSON, and the longest record of CSV, in bytes.
const LONGEST_RECORD: usize = 1 << 20;

/// How a file of products is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportFormat {
    /// Shopify's product CSV: a product has a line for each of its variants and pictures.
    ShopifyCsv,
    /// A JSON object a line, in the API's field names.
    JsonLines,
}

impl ImportFormat {
    /// The format that a file's name or a word for it suggests: `products.csv`, `csv`, `a.jsonl`, `json-lines`.
    pub fn named(name: &str) -> Option<Self> {
        let name = name.to_lowercase();
        let extension = Path::new(&name).extension().and_then(|it| it.to_str()).unwrap_or(&name).to_owned();
        match extension.as_str() {
            "csv" | "shopify" | "shopify-csv" => Some(Self::ShopifyCsv),
            "jsonl" | "ndjson" | "json-lines" | "jsonlines" => Some(Self::JsonLines),
            _ => None,
        }
    }

    /// The format of a media type, parameters included.
    pub fn of_media_type(media: &str) -> Option<Self> {
        match media.split(';').next().unwrap_or("").trim().to_lowercase().as_str() {
            "text/csv" | "application/csv" => Some(Self::ShopifyCsv),
            "application/jsonl"
            | "application/x-ndjson"
            | "application/ndjson"
            | "application/json-lines"
            | "application/x-jsonlines"
            | "text/x-jsonlines" => Some(Self::JsonLines),
            _ => None,
        }
    }
}

/// A line that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RejectedLine {
    /// Its number in the file, from 1.
    pub line: u64,
    /// Why, for people.
    pub reason: String,
}

/// What came of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportReport {
    /// Products listed for the first time.
    pub created: u64,
    /// Products that say something else now.
    pub updated: u64,
    /// Products that were so already.
    pub unchanged: u64,
    /// Lines that were not taken, in the order of the file.
    pub rejected: Vec<RejectedLine>,
}

/// How far an import is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read.
    pub bytes: u64,
    /// Products listed for the first time so far.
    pub created: u64,
    /// Products changed so far.
    pub updated: u64,
    /// Products found as they are so far.
    pub unchanged: u64,
    /// Lines not taken so far.
    pub rejected: u64,
}

/// Why an import ended before its file did. What was reported as done until then is done.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The store's own error.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file ended before it was complete, or cannot be read.
    #[error("the file cannot be read to its end: {0}")]
    Unreadable(#[from] std::io::Error),
    /// A record longer than any product needs.
    #[error("line {line}: a record is longer than {LONGEST_RECORD} bytes")]
    TooLong {
        /// Where it begins.
        line: u64,
    },
    /// Columns that a product file needs are not in the header.
    #[error("the header has no column {0}: this is not a Shopify product file")]
    NoColumn(&'static str),
    /// Too much is wrong.
    #[error("more than {REJECTED_MOST} lines were rejected: this is probably not the format it claims to be")]
    TooManyRejected,
}

/// Imports the products that `input` holds into a shop that sells in `currency`.
///
/// `progress` is called after each batch and at the end.
///
/// # Errors
/// See [`ImportError`]; batches committed before it stay.
pub async fn import(
    store: &Store,
    currency: Currency,
    input: impl AsyncBufRead + Send + Unpin,
    format: ImportFormat,
    progress: impl FnMut(Progress) + Send,
) -> Result<ImportReport, ImportError> {
    let report = ImportReport::default();
    let mut importer = Importer {
        store,
        currency,
        seen: HashMap::new(),
        batch: Vec::with_capacity(BATCH),
        report,
        bytes: 0,
        progress,
    };
    match format {
        ImportFormat::ShopifyCsv => shopify::read(input, &mut importer).await?,
        ImportFormat::JsonLines => json_lines::read(input, &mut importer).await?,
    }
    importer.finish().await
}

/// Takes what a format reads, line by line, and commits it in batches.
struct Importer<'a, P> {
    store: &'a Store,
    currency: Currency,
    /// The line on which each SKU stood first.
    seen: HashMap<Sku, u64>,
    batch: Vec<(u64, Draft)>,
    report: ImportReport,
    bytes: u64,
    progress: P,
}

/// Where a format puts what it reads.
trait Sink {
    /// A product of this line.
    async fn offer(&mut self, line: u64, input: ProductInput) -> Result<(), ImportError>;

    /// A line that cannot be taken.
    fn reject(&mut self, line: u64, reason: impl ToString) -> Result<(), ImportError>;

    /// So many bytes were read in all.
    fn read_to(&mut self, bytes: u64);
}

impl<P: FnMut(Progress) + Send> Sink for Importer<'_, P> {
    async fn offer(&mut self, line: u64, input: ProductInput) -> Result<(), ImportError> {
        let draft = match input.draft(self.currency) {
            Ok(draft) => draft,
            Err(flaws) => return self.reject(line, in_words(&flaws)),
        };
        let sku = draft.listing.sku.clone();
        if let Some(first) = self.seen.get(&sku) {
            let reason = format!("the SKU {sku} stands on line {first} already");
            return self.reject(line, reason);
        }
        self.seen.insert(sku, line);
        self.batch.push((line, draft));
        if self.batch.len() < BATCH { Ok(()) } else { self.flush().await }
    }

    fn reject(&mut self, line: u64, reason: impl ToString) -> Result<(), ImportError> {
        if self.report.rejected.len() >= REJECTED_MOST {
            return Err(ImportError::TooManyRejected);
        }
        self.report.rejected.push(RejectedLine { line, reason: reason.to_string() });
        Ok(())
    }

    fn read_to(&mut self, bytes: u64) {
        self.bytes = bytes;
    }
}

impl<P: FnMut(Progress) + Send> Importer<'_, P> {
    async fn flush(&mut self) -> Result<(), ImportError> {
        let batch = std::mem::take(&mut self.batch);
        if !batch.is_empty() {
            let listed = change(self.store, Lane::none(), |view| {
                let batch = &batch;
                async move { list_batch(&view, batch).await }
            });
            let outcome = listed.await.map_err(store_error)?;
            self.report.created += outcome.created;
            self.report.updated += outcome.updated;
            self.report.unchanged += outcome.unchanged;
            for (line, reason) in outcome.rejected {
                self.reject(line, reason)?;
            }
        }
        self.tell();
        Ok(())
    }

    fn tell(&mut self) {
        let ImportReport { created, updated, unchanged, rejected } = &self.report;
        let rejected = u64::try_from(rejected.len()).unwrap_or(u64::MAX);
        let (created, updated, unchanged) = (*created, *updated, *unchanged);
        (self.progress)(Progress { bytes: self.bytes, created, updated, unchanged, rejected });
    }

    async fn finish(mut self) -> Result<ImportReport, ImportError> {
        self.flush().await?;
        self.report.rejected.sort_by_key(|rejected| rejected.line);
        Ok(self.report)
    }
}

/// A batch keeps its refusals to itself, so what is left is the store's.
fn store_error(error: ProductError) -> ImportError {
    match error {
        ProductError::Store(error) => ImportError::Store(error),
        other @ (ProductError::Unknown
        | ProductError::SkuTaken(_)
        | ProductError::SlugTaken(_)
        | ProductError::Changed { .. }
        | ProductError::Invalid(_)
        | ProductError::Search(_)
        | ProductError::KeyReused(_)) => ImportError::Store(StoreError::Unusable(other.to_string())),
    }
}

fn in_words(flaws: &[Flaw]) -> String {
    let words = flaws.iter().map(|flaw| format!("{}: {}", flaw.pointer.trim_start_matches('/'), flaw.detail));
    words.collect::<Vec<_>>().join("; ")
}

//! The index itself: opened or made, asked, and changed a batch at a time.
//!
//! Nothing in it is worth keeping: whatever cannot be read is removed and made again from the store. The writer exists for
//! the time of a batch only, so an idle shop pays for none.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cartwright_contracts::StockStatus;
use cartwright_vocabulary::ProductId;
use tantivy::directory::MmapDirectory;
use tantivy::indexer::{IndexWriterOptions, NoMergePolicy};
use tantivy::query::AllQuery;
use tantivy::schema::Schema;
use tantivy::{Index, IndexReader, IndexWriter, ReloadPolicy, TantivyDocument, TantivyError, Term};

use super::matching::{Matching, corrected};
use super::page::{Found, PageOf, Versions};
use super::schema::{Fields, SCHEMA_VERSION, schema};
use super::{LEVELS, Wanted};
use crate::domain::{ANALYZER, Product, analyzer};

/// A segment of so many products is left alone when small ones are merged.
const LARGE_SEGMENT: u32 = 20_000;
/// Small segments that may stand beside each other.
const SMALL_SEGMENTS: usize = 4;
/// Where all small segments hold fewer products than this together, they are always merged into one.
const SMALL_CATALOGUE: u32 = 2_000;

/// The index can neither be opened nor made.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The folder cannot be used.
    #[error("the search index needs the folder {folder}: {cause}")]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// The engine refused.
    #[error("the search index cannot be made: {0}")]
    Engine(#[from] TantivyError),
}

/// Products, to be found.
pub(crate) struct SearchIndex {
    index: Index,
    reader: IndexReader,
    fields: Fields,
}

/// What a batch does to one product: it is so now, or it is gone.
pub(super) enum IndexChange {
    Put(Box<Product>, StockStatus),
    Remove(ProductId),
}

/// What the index knows of each product: its version and its word for availability.
pub(super) type Known = HashMap<ProductId, (u64, StockStatus)>;

impl SearchIndex {
    /// The index in `folder`, or one in memory. What is there and cannot be read, or is of another version, is removed.
    pub(crate) fn open(folder: Option<&Path>) -> Result<Self, IndexError> {
        let (schema, fields) = schema();
        let index = match folder {
            None => Index::create_in_ram(schema),
            Some(folder) => on_disk(folder, &schema)?,
        };
        index.tokenizers().register(ANALYZER, analyzer());
        let reader =
            index.reader_builder().reload_policy(ReloadPolicy::Manual).doc_store_cache_num_blocks(0).try_into()?;
        Ok(Self { index, reader, fields })
    }

    /// What matches.
    pub(crate) fn find(&self, wanted: &Wanted) -> tantivy::Result<Found> {
        let searcher = self.reader.searcher();
        let matching = Matching { fields: &self.fields, searcher: &searcher };
        let page = PageOf::new(wanted);
        let strict = matching.query(wanted, false)?;
        let found = searcher.search(&strict, &page)?;
        if found.total > 0 || wanted.text.is_empty() {
            return Ok(found);
        }
        let tolerant = matching.query(wanted, true)?;
        let mut found = searcher.search(&tolerant, &page)?;
        found.suggestion = corrected(&matching, &wanted.text)?.filter(|_| found.total > 0);
        Ok(found)
    }

    /// What the index knows.
    pub(super) fn known(&self) -> tantivy::Result<Known> {
        let versions = self.reader.searcher().search(&AllQuery, &Versions)?;
        let known = versions.into_iter().map(|(id, version, level)| {
            let stock = usize::try_from(level).ok().and_then(|level| LEVELS.get(level));
            (id, (version, stock.copied().unwrap_or(StockStatus::OutOfStock)))
        });
        Ok(known.collect())
    }

    /// Makes all of `changes`; they are found from then on.
    pub(super) fn apply(&self, changes: Vec<IndexChange>) -> tantivy::Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut writer: IndexWriter<TantivyDocument> = self.writer()?;
        for change in changes {
            match change {
                IndexChange::Put(product, stock) => {
                    let document = self.fields.document(&product, stock);
                    self.forget(&writer, product.id);
                    writer.add_document(document)?;
                }
                IndexChange::Remove(id) => self.forget(&writer, id),
            }
        }
        writer.commit()?;
        self.merge_small(&mut writer)?;
        drop(writer.garbage_collect_files().wait()?);
        writer.wait_merging_threads()?;
        self.reader.reload()
    }

    fn writer(&self) -> tantivy::Result<IndexWriter<TantivyDocument>> {
        let options = IndexWriterOptions::builder().num_worker_threads(1).num_merge_threads(1).build();
        let writer = self.index.writer_with_options(options)?;
        writer.set_merge_policy(Box::new(NoMergePolicy));
        Ok(writer)
    }

    fn forget(&self, writer: &IndexWriter<TantivyDocument>, id: ProductId) {
        writer.delete_term(Term::from_field_text(self.fields.id, &id.to_string()));
    }

    /// One segment for a small catalogue, few for a large one.
    fn merge_small(&self, writer: &mut IndexWriter<TantivyDocument>) -> tantivy::Result<()> {
        let small: Vec<_> = self
            .index
            .searchable_segment_metas()?
            .into_iter()
            .filter(|segment| segment.num_docs() < LARGE_SEGMENT || segment.num_deleted_docs() > segment.num_docs())
            .collect();
        let products: u32 = small.iter().map(|segment| segment.num_docs()).sum();
        let most = if products < SMALL_CATALOGUE { 1 } else { SMALL_SEGMENTS };
        if small.len() > most {
            let ids: Vec<_> = small.iter().map(|segment| segment.id()).collect();
            drop(writer.merge(&ids).wait()?);
        }
        Ok(())
    }
}

/// Each schema version has a folder of its own within `folder`; what else lies there is removed.
fn on_disk(folder: &Path, schema: &Schema) -> Result<Index, IndexError> {
    let mine = folder.join(format!("catalogue-{SCHEMA_VERSION}"));
    let cannot = |cause| IndexError::Folder { folder: folder.to_owned(), cause };
    fs::create_dir_all(folder).map_err(cannot)?;
    for entry in fs::read_dir(folder).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        let named = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("catalogue-"));
        if named && path != mine && path.is_dir() {
            fs::remove_dir_all(&path).map_err(cannot)?;
        }
    }
    match opened(&mine, schema) {
        Ok(index) => Ok(index),
        Err(error) => {
            if mine.exists() {
                tracing::warn!(folder = %mine.display(), %error, "the search index cannot be read; it is made anew");
                fs::remove_dir_all(&mine).map_err(cannot)?;
            }
            fs::create_dir_all(&mine).map_err(cannot)?;
            Ok(Index::create_in_dir(&mine, schema.clone())?)
        }
    }
}

/// The index that is there, if every file of it is as it was written.
fn opened(folder: &Path, schema: &Schema) -> tantivy::Result<Index> {
    let index = Index::open(MmapDirectory::open(folder)?)?;
    if index.schema() != *schema {
        return Err(TantivyError::SchemaError("it has another shape".to_owned()));
    }
    let damaged = index.validate_checksum()?;
    if damaged.is_empty() { Ok(index) } else { Err(TantivyError::InternalError(format!("damaged: {damaged:?}"))) }
}

//! Making and verifying the collections and indexes of a service. Any number of processes may do it at once.

use std::sync::Arc;
use std::time::Duration;

use bson::raw::RawDocument;
use bson::{Bson, Document, RawDocumentBuf, doc};
use cartwright_runtime::{Clock, Ids};
use cartwright_store::{Collection, CollectionSpec, Index, StoreError};
use futures::stream::{self, StreamExt, TryStreamExt};
use mongodb::error::Error;
use mongodb::options::{CommitQuorum, IndexOptions};
use mongodb::{Client, Database, IndexModel};

use crate::codec::own_json;
use crate::failure::{code, of_read};
use crate::page::columns;
use crate::space::{FIRST_UNSENT, OUTBOX, SCHEMA, Space, UNSENT_INDEX, index_name};

/// The schema that this program writes.
const VERSION: i64 = 1;
/// Collections that are prepared at once.
const AT_ONCE: usize = 4;
/// How often another process may get in the way.
const TRIES: usize = 10;
/// The longest pause between two tries.
const PAUSE: Duration = Duration::from_millis(50);
/// Another process made or dropped the same thing: the namespace or the index exists, does not, or is being built.
const IN_THE_WAY: [i32; 8] = [26, 27, 48, 68, 85, 86, 112, 276];

/// The collections of `scope`, its outbox last.
pub(crate) async fn prepare(
    (client, database): (Client, Database),
    scope: &'static str,
    specs: &[CollectionSpec],
    clock: &Clock,
    ids: &Ids,
) -> Result<Vec<Arc<Space>>, StoreError> {
    check_names(scope, specs)?;
    check_version(&database).await?;
    let outbox = Arc::new(space(&client, &database, scope, &CollectionSpec::unlisted(OUTBOX), None));
    let all: Vec<(CollectionSpec, Arc<Space>)> = specs
        .iter()
        .map(|spec| (*spec, Arc::new(space(&client, &database, scope, spec, Some(Arc::clone(&outbox))))))
        .chain([(CollectionSpec::unlisted(OUTBOX), Arc::clone(&outbox))])
        .collect();
    let existing = database.list_collection_names().await.map_err(of_read)?;
    let made = stream::iter(all).map(|(spec, space)| {
        let exists = existing.iter().any(|name| name == spec.name);
        let database = &database;
        async move {
            patiently(clock, ids, || make(database, &space, spec, exists)).await?;
            Ok::<_, StoreError>(space)
        }
    });
    made.buffer_unordered(AT_ONCE).try_collect().await
}

fn space(
    client: &Client,
    database: &Database,
    scope: &'static str,
    spec: &CollectionSpec,
    outbox: Option<Arc<Space>>,
) -> Space {
    Space {
        collection: Collection { scope, name: spec.name },
        indexes: spec.indexes,
        documents: database.collection(spec.name),
        client: client.clone(),
        outbox,
    }
}

fn check_names(scope: &str, specs: &[CollectionSpec]) -> Result<(), StoreError> {
    let parts = specs.iter().flat_map(|spec| spec.indexes).flat_map(|index| index.parts.iter().chain([&index.name]));
    let names = specs.iter().map(|spec| spec.name);
    if let Some(odd) = parts.copied().chain(names.clone()).chain([scope]).find(|name| !is_plain(name)) {
        return Err(StoreError::Unusable(format!("{scope}: {odd:?} cannot be a name")));
    }
    if let Some(ours) = names.clone().find(|name| [OUTBOX, SCHEMA].contains(name)) {
        return Err(StoreError::Unusable(format!("{scope}: the collection {ours} belongs to the engine")));
    }
    Ok(())
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

async fn check_version(database: &Database) -> Result<(), StoreError> {
    let schema = database.collection::<Document>(SCHEMA);
    let id = doc! { "_id": SCHEMA };
    let found = match schema.find_one(id.clone()).await.map_err(of_read)? {
        Some(found) => found.get_i64("version").unwrap_or(i64::MAX),
        None => {
            let ours = doc! { "$setOnInsert": { "version": VERSION } };
            match schema.update_one(id, ours).upsert(true).await {
                Ok(_) => VERSION,
                // Another process was faster.
                Err(error) if code(&error) == Some(11_000) => VERSION,
                Err(error) => return Err(of_read(error)),
            }
        }
    };
    if found > VERSION {
        return Err(StoreError::Unusable(format!(
            "the database {} has schema {found}, and this program knows {VERSION} at most: use the newer cartwright that \
             wrote it",
            database.name()
        )));
    }
    Ok(())
}

/// Why a collection was not made.
enum Unmade {
    Driver(Error),
    Store(StoreError),
}

impl From<Error> for Unmade {
    fn from(error: Error) -> Self {
        Self::Driver(error)
    }
}

impl From<StoreError> for Unmade {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Tries again where another process got in the way.
async fn patiently<F>(clock: &Clock, ids: &Ids, make: impl Fn() -> F) -> Result<(), StoreError>
where
    F: Future<Output = Result<(), Unmade>>,
{
    let mut tries = 0;
    loop {
        tries += 1;
        match make().await {
            Ok(()) => return Ok(()),
            Err(Unmade::Driver(error))
                if tries < TRIES && code(&error).is_some_and(|code| IN_THE_WAY.contains(&code)) =>
            {
                clock.pause(ids.jitter(PAUSE)).await;
            }
            Err(Unmade::Driver(error)) => return Err(of_read(error)),
            Err(Unmade::Store(error)) => return Err(error),
        }
    }
}

async fn make(database: &Database, space: &Space, spec: CollectionSpec, exists: bool) -> Result<(), Unmade> {
    if !exists && let Err(error) = database.create_collection(spec.name).await {
        // 48: it exists by now, which is what was wanted.
        if code(&error) != Some(48) {
            return Err(error.into());
        }
    }
    let wanted: Vec<IndexModel> = spec.indexes.iter().map(model).chain([unsent_model()]).collect();
    let found: Vec<IndexModel> = space.documents.list_indexes().await?.try_collect().await?;
    let ours = found
        .iter()
        .filter(|index| name_of(index).is_some_and(|name| name.starts_with("index.") || name == UNSENT_INDEX));
    for outdated in ours.filter(|index| !wanted.iter().any(|wanted| same(wanted, index))) {
        if let Some(name) = name_of(outdated) {
            space.documents.drop_index(name).await?;
        }
    }
    let missing: Vec<IndexModel> =
        wanted.into_iter().filter(|wanted| !found.iter().any(|found| same(wanted, found))).collect();
    if missing.is_empty() {
        return Ok(());
    }
    list_all(space, spec).await?;
    // Most nodes are enough: by default the build waits for every one, also for one that is away.
    let create = space.documents.create_indexes(missing).commit_quorum(CommitQuorum::Majority);
    create.await.map(drop).map_err(|error| match code(&error) {
        Some(11_000) => Unmade::Store(StoreError::Unusable(format!(
            "{} holds documents that stand at one place of an index that is unique now: export them with the program that \
             wrote them, mend them, and import them into a new database",
            space.collection
        ))),
        Some(_) | None => Unmade::Driver(error),
    })
}

/// An index lists the documents that stand in it, and no others.
fn model(index: &Index) -> IndexModel {
    let keys: Document = columns(index).into_iter().map(|column| (column, Bson::Int32(1))).collect();
    let listed = keys.keys().next().map(|first| doc! { first: { "$exists": true } });
    let options = IndexOptions::builder().name(index_name(index)).partial_filter_expression(listed);
    let options = if index.unique { options.unique(true).build() } else { options.build() };
    IndexModel::builder().keys(keys).options(options).build()
}

fn unsent_model() -> IndexModel {
    let listed = doc! { FIRST_UNSENT: { "$exists": true } };
    let options = IndexOptions::builder().name(UNSENT_INDEX.to_owned()).partial_filter_expression(listed).build();
    IndexModel::builder().keys(doc! { FIRST_UNSENT: 1 }).options(options).build()
}

fn name_of(index: &IndexModel) -> Option<&str> {
    index.options.as_ref().and_then(|options| options.name.as_deref())
}

fn same(a: &IndexModel, b: &IndexModel) -> bool {
    let shape = |index: &IndexModel| {
        let options = index.options.as_ref();
        let unique = options.and_then(|options| options.unique).unwrap_or(false);
        let listed = options.and_then(|options| options.partial_filter_expression.clone());
        let columns: Vec<(String, i64)> =
            index.keys.iter().map(|(column, direction)| (column.clone(), whole(direction))).collect();
        (name_of(index).map(str::to_owned), columns, unique, listed)
    };
    shape(a) == shape(b)
}

/// Shells write whole numbers as they like.
#[expect(clippy::wildcard_enum_match_arm, reason = "no other type is a direction")]
fn whole(direction: &Bson) -> i64 {
    match direction {
        Bson::Int32(number) => i64::from(*number),
        Bson::Int64(number) => *number,
        Bson::Double(number) if *number > 0.0 => 1,
        _ => -1,
    }
}

/// Gives every document the places that this program lists it at. A document that moves meanwhile is written by somebody
/// who does so, too.
async fn list_all(space: &Space, spec: CollectionSpec) -> Result<(), StoreError> {
    let mut cursor = space.documents.find(doc! {}).sort(doc! { "_id": 1 }).await.map_err(of_read)?;
    while let Some(stored) = cursor.try_next().await.map_err(of_read)? {
        let places = space.places(&(spec.places)(&own_json(&stored)?)?)?;
        if stored.get_document("_index").ok().map(RawDocument::to_owned) == RawDocumentBuf::try_from(&places).ok() {
            continue;
        }
        let (Ok(key), Ok(revision)) = (stored.get_str("_id"), stored.get_i64("_rev")) else { continue };
        let filter = doc! { "_id": key, "_rev": revision };
        space.documents.update_one(filter, doc! { "$set": { "_index": places } }).await.map_err(of_read)?;
    }
    Ok(())
}

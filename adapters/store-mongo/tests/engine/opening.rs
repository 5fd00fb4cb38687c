//! Opening: refusals that say how to mend them, databases where they belong, indexes that list what is there.

use std::time::Duration;

use bson::{Document as Bson, doc};
use cartwright_runtime::{Clock, Secret, Tasks};
use cartwright_servers::mongo::Standalone;
use cartwright_servers::process::free_port;
use cartwright_store::{Backend, Changes, CollectionSpec, Database, Document, Index, IndexEntry, StoreError};
use cartwright_store_mongo::{MongoBackend, OpenError, Options, Target};
use mongodb::Client;
use serde::{Deserialize, Serialize};

use crate::letters::{Letter, fresh_uri, open, post, try_open};

const PASSWORD: &str = "s3cret-pa55";

#[tokio::test]
async fn a_server_without_a_replica_set_is_refused_with_what_mends_it() {
    let server = Standalone::start().await;

    let refused = try_open(&server.uri(), Options::default()).await.map(drop).unwrap_err();

    assert!(matches!(refused, OpenError::Standalone { .. }), "{refused:?}");
    for mend in ["--replSet", "rs.initiate()"] {
        assert!(refused.to_string().contains(mend), "{refused}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_not_printed() {
    let uri = fresh_uri().await.replace("mongodb://", &format!("mongodb://nobody:{PASSWORD}@"));

    let refused = try_open(&uri, Options::default()).await.map(drop).unwrap_err();

    assert!(matches!(refused, OpenError::NotLetIn { .. }), "{refused:?}");
    assert!(!format!("{refused} {refused:?}").contains(PASSWORD));
}

#[tokio::test]
async fn an_address_where_nobody_answers_is_told_within_seconds() {
    let uri = format!("mongodb://me:{PASSWORD}@127.0.0.1:{}/?replicaSet=rs0", free_port());
    let watch = Clock::system().stopwatch();

    let refused = try_open(&uri, Options::default()).await.map(drop).unwrap_err();

    assert!(matches!(refused, OpenError::Unreachable { .. }), "{refused:?}");
    assert!(watch.elapsed() < Duration::from_secs(10), "{:?}", watch.elapsed());
    assert!(!format!("{refused} {refused:?}").contains(PASSWORD));
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_and_not_printed() {
    for uri in [format!("mongodb://me:{PASSWORD}/x@host"), format!("http://me:{PASSWORD}@host"), String::new()] {
        let refused = try_open(&uri, Options::default()).await.map(drop).unwrap_err();

        assert!(matches!(refused, OpenError::Unreadable { .. }), "{refused:?}");
        assert!(!format!("{refused} {refused:?}").contains(PASSWORD));
    }
}

#[tokio::test]
async fn each_service_has_the_database_that_its_address_says() {
    let uri = fresh_uri().await;
    let name = uri.split(['/', '?']).nth(3).unwrap().to_owned();
    let elsewhere = uri.replace(&name, &format!("{name}_own"));
    let overrides = vec![("customs".to_owned(), Secret::new(elsewhere))];
    let target = Target { uri: Secret::new(uri.clone()), overrides };
    let backend = MongoBackend::open(target, Clock::system(), Tasks::new(), Options::default()).await.unwrap();

    for scope in ["post", "customs"] {
        backend.prepare(scope, &[Letter::spec()]).await.unwrap();
    }

    let client = Client::with_uri_str(&uri).await.unwrap();
    let found = client.list_database_names().await.unwrap();
    let mut ours: Vec<&String> = found.iter().filter(|found| found.starts_with(&name)).collect();
    ours.sort();
    assert_eq!(ours, [&format!("{name}_own"), &format!("{name}_post")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_prepare_at_once_all_succeed() {
    let uri = fresh_uri().await;
    let (a, b, c) = tokio::join!(open(&uri), open(&uri), open(&uri));
    let specs = [Letter::spec()];

    let (a, b, c) = tokio::join!(a.prepare("post", &specs), b.prepare("post", &specs), c.prepare("post", &specs));

    assert!([&a, &b, &c].iter().all(|prepared| prepared.is_ok()), "{a:?} {b:?} {c:?}");
}

/// Letters as a later program lists them.
#[derive(Clone, Serialize, Deserialize)]
struct Sorted(Letter);

impl Document for Sorted {
    const COLLECTION: &'static str = Letter::COLLECTION;
    const INDEXES: &'static [Index] = &[Index::many("by-stamp", &["length", "stamp"])];

    fn key(&self) -> String {
        self.0.id.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry> {
        let place = |stamp: &String| [i64::try_from(stamp.len()).unwrap().into(), stamp.as_str().into()];
        self.0.stamp.iter().map(|stamp| IndexEntry::new("by-stamp", place(stamp))).collect()
    }
}

#[tokio::test]
async fn an_index_that_changed_lists_the_documents_that_are_there() {
    let uri = fresh_uri().await;
    let store = post(&open(&uri).await).await;
    let stamped = |id: &str, stamp: &str| Letter { stamp: Some(stamp.to_owned()), ..Letter::new(id) };
    let all = [stamped("1", "long"), stamped("2", "x"), stamped("3", "mid"), Letter::new("4")];
    store.commit(all.iter().fold(Changes::new(), |changes, letter| changes.insert(letter))).await.unwrap();

    let clock = Clock::system();
    let later = std::sync::Arc::new(open(&uri).await);
    let database = Database::new(later, clock.clone(), cartwright_runtime::Ids::random(clock));
    let store = database.scoped("post", &[Sorted::spec()]).await.unwrap();

    let sorted = store.find::<Sorted>("by-stamp", Vec::new()).all().await.unwrap();
    assert_eq!(sorted.iter().map(|sorted| sorted.doc.0.id.as_str()).collect::<Vec<_>>(), ["2", "3", "1"]);
    let database = database_of(&uri).await;
    let indexes = database.collection::<Bson>("letters").list_index_names().await.unwrap();
    assert!(!indexes.contains(&"index.by-count".to_owned()), "{indexes:?}");
}

#[tokio::test]
async fn an_index_that_the_documents_contradict_is_refused() {
    #[derive(Clone, Serialize, Deserialize)]
    struct Alone(Letter);
    impl Document for Alone {
        const COLLECTION: &'static str = Letter::COLLECTION;
        const INDEXES: &'static [Index] = &[Index::unique("alone", &["count"])];
        fn key(&self) -> String {
            self.0.id.clone()
        }
        fn index_entries(&self) -> Vec<IndexEntry> {
            vec![IndexEntry::new("alone", [i64::from(self.0.count).into()])]
        }
    }
    let uri = fresh_uri().await;
    let store = post(&open(&uri).await).await;
    store.commit(Changes::new().insert(&Letter::new("1")).insert(&Letter::new("2"))).await.unwrap();

    let refused = open(&uri).await.prepare("post", &[Alone::spec()]).await;

    assert!(matches!(&refused, Err(StoreError::Unusable(why)) if why.contains("unique")), "{refused:?}");
}

#[tokio::test]
async fn a_database_of_a_newer_program_is_refused() {
    let uri = fresh_uri().await;
    drop(post(&open(&uri).await).await);
    let schema = database_of(&uri).await.collection::<Bson>("schema");
    schema.update_one(doc! {}, doc! { "$set": { "version": 2_i64 } }).await.unwrap();

    let refused = open(&uri).await.prepare("post", &[Letter::spec()]).await;

    assert!(matches!(&refused, Err(StoreError::Unusable(why)) if why.contains("newer")), "{refused:?}");
}

#[tokio::test]
async fn a_name_that_belongs_to_the_engine_is_refused() {
    let backend = open(&fresh_uri().await).await;

    for name in ["outbox", "schema", "a.b", "$x", ""] {
        let refused = backend.prepare("post", &[CollectionSpec::unlisted(name)]).await;
        assert!(matches!(refused, Err(StoreError::Unusable(_))), "{name}: {refused:?}");
    }
}

#[tokio::test]
async fn a_document_lies_in_the_database_under_its_own_names() {
    let uri = fresh_uri().await;
    let store = post(&open(&uri).await).await;
    store.commit(Changes::new().insert(&Letter::new("1"))).await.unwrap();

    let stored = database_of(&uri).await.collection::<Bson>("letters").find_one(doc! {}).await.unwrap().unwrap();

    assert_eq!(stored.get_str("_id").unwrap(), "1");
    assert_eq!((stored.get_i64("count").unwrap(), stored.get_i64("_rev").unwrap()), (0, 1));
    assert_eq!(stored.get_document("_index").unwrap(), &doc! { "by-count": { "count": 0_i64 } });
    assert!(!stored.contains_key("_outbox"));
}

async fn database_of(uri: &str) -> mongodb::Database {
    let name = uri.split(['/', '?']).nth(3).unwrap();
    Client::with_uri_str(uri).await.unwrap().database(&format!("{name}_post"))
}

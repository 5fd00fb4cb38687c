//! The distributed engine signs the contract, on a real replica set.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use cartwright_runtime::{Clock, Ids, Secret, Tasks};
use cartwright_store::Backend;
use cartwright_store::contract::Subject;
use cartwright_store::store_contract;
use cartwright_store_mongo::{MongoBackend, Options, Target};

async fn open(uri: &str) -> Arc<MongoBackend> {
    let target = Target { uri: Secret::new(uri.to_owned()), overrides: Vec::new() };
    Arc::new(MongoBackend::open(target, Clock::system(), Tasks::new(), Options::default()).await.unwrap())
}

/// Databases of one case alone on the server that all share.
async fn subject() -> Subject {
    let name = Ids::random(Clock::system()).uuid().simple().to_string();
    let uri = cartwright_servers::mongo::shared().await.replace("/?", &format!("/{name}?"));
    let first = open(&uri).await;
    Subject::new(Arc::clone(&first) as Arc<dyn Backend>, move || {
        first.close();
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(open(&uri)))
    })
}

store_contract!(mongo, subject().await);

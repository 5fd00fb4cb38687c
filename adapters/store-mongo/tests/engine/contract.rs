//! The distributed engine signs the contract, on a real replica set.

use std::sync::Arc;

use cartwright_store::Backend;
use cartwright_store::contract::Subject;
use cartwright_store::store_contract;

use crate::letters::{fresh_uri, open};

async fn subject() -> Subject {
    let uri = fresh_uri().await;
    let first = Arc::new(open(&uri).await);
    Subject::new(Arc::clone(&first) as Arc<dyn Backend>, move || {
        first.close();
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(async { Arc::new(open(&uri).await) }))
    })
}

store_contract!(mongo, subject().await);

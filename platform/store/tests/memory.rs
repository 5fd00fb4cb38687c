//! The memory engine signs the contract.

use std::sync::Arc;

use cartwright_store::contract::Subject;
use cartwright_store::{MemoryBackend, store_contract};

fn subject() -> Subject {
    let backend = MemoryBackend::new();
    Subject::new(Arc::new(backend.clone()), move || Arc::new(backend.crash()))
}

store_contract!(memory, subject());

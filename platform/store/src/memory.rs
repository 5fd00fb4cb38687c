//! The memory engine: a real backend for tests and simulation, with crash semantics.
//!
//! Promises what every backend promises, but only while the process lives. [`MemoryBackend::crash`] leaves what was
//! committed and cuts off everybody who still holds the old handle.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::future::{self, BoxFuture, FutureExt};

use crate::store::fits;
use crate::{
    Backend, Bookmark, Collection, CollectionSpec, Commit, Effect, Envelope, Index, IndexEntry, IndexValue, Order,
    Query, Row, StoreError, Write,
};

/// Documents in memory. Cheap to clone; clones are one store.
#[derive(Clone, Default)]
pub struct MemoryBackend {
    state: Arc<Mutex<State>>,
    alive: Arc<Mutex<Alive>>,
}

#[derive(Default)]
struct State {
    tables: HashMap<Collection, Table>,
    outbox: BTreeMap<u64, (Envelope, bool)>,
    last_seq: u64,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Alive {
    #[default]
    Yes,
    Crashed,
}

type Place = (Vec<IndexValue>, String);

#[derive(Default)]
struct Table {
    rows: BTreeMap<String, (Row, Vec<IndexEntry>)>,
    indexes: HashMap<&'static str, (Index, BTreeSet<Place>)>,
}

impl MemoryBackend {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends this handle and its clones as a crash would; gives a handle to what was committed.
    #[must_use]
    pub fn crash(&self) -> Self {
        let state = self.locked();
        *self.alive.lock().unwrap_or_else(PoisonError::into_inner) = Alive::Crashed;
        drop(state);
        Self { state: Arc::clone(&self.state), alive: Arc::default() }
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn alive(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.locked();
        match *self.alive.lock().unwrap_or_else(PoisonError::into_inner) {
            Alive::Yes => Ok(state),
            Alive::Crashed => Err(StoreError::Unavailable("the process that held this store is gone".to_owned())),
        }
    }
}

#[async_trait]
impl Backend for MemoryBackend {
    async fn prepare(&self, scope: &'static str, collections: &[CollectionSpec]) -> Result<(), StoreError> {
        let mut state = self.alive()?;
        for spec in collections {
            let table = state.tables.entry(Collection { scope, name: spec.name }).or_default();
            for index in spec.indexes {
                let (declared, _) = table.indexes.entry(index.name).or_insert((*index, BTreeSet::new()));
                if declared != index {
                    return Err(StoreError::Unusable(format!("{scope}.{}: {} changed shape", spec.name, index.name)));
                }
            }
        }
        Ok(())
    }

    async fn get(&self, collection: Collection, key: &str) -> Result<Option<Row>, StoreError> {
        let state = self.alive()?;
        Ok(state.table(collection)?.rows.get(key).map(|(row, _)| row.clone()))
    }

    async fn find(&self, query: Query) -> Result<Vec<Row>, StoreError> {
        let state = self.alive()?;
        let table = state.table(query.collection)?;
        let places: Vec<Place> = match query.index {
            None => table.rows.keys().map(|key| (Vec::new(), key.clone())).collect(),
            Some(name) => table.index(query.collection, name)?.iter().cloned().collect(),
        };
        let mut found: Vec<Place> = places.into_iter().filter(|place| within(&query, place)).collect();
        if query.order == Order::Descending {
            found.reverse();
        }
        let rows = found.iter().take(query.limit).filter_map(|(_, key)| table.rows.get(key));
        Ok(rows.map(|(row, _)| row.clone()).collect())
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'static, Result<(), StoreError>> {
        let result = self.alive().and_then(|mut state| state.commit(commit));
        future::ready(result).boxed()
    }

    async fn unsent(&self, after: &Bookmark, limit: usize) -> Result<Vec<(Bookmark, Envelope)>, StoreError> {
        let state = self.alive()?;
        let later = state.outbox.range(after.number()?.saturating_add(1)..).filter(|(_, (_, sent))| !sent);
        Ok(later.take(limit).map(|(seq, (envelope, _))| (Bookmark::numbered(*seq), envelope.clone())).collect())
    }

    async fn waiting(&self, most: usize) -> Result<usize, StoreError> {
        Ok(self.alive()?.outbox.values().filter(|(_, sent)| !sent).take(most).count())
    }

    async fn sent(&self, ids: Vec<String>) -> Result<(), StoreError> {
        let mut state = self.alive()?;
        for (envelope, sent) in state.outbox.values_mut() {
            *sent |= ids.contains(&envelope.id);
        }
        Ok(())
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.alive().map(drop)
    }

    fn ordered(&self) -> bool {
        true
    }

    fn exclusive(&self) -> bool {
        true
    }
}

fn within(query: &Query, place: &Place) -> bool {
    let key = [IndexValue::Text(place.1.clone())];
    let values: &[IndexValue] = if query.index.is_some() { &place.0 } else { &key };
    let next = values.get(query.prefix.len());
    values.starts_with(&query.prefix)
        && query.from.as_ref().is_none_or(|from| next.is_some_and(|next| next >= from))
        && query.below.as_ref().is_none_or(|below| next.is_some_and(|next| next < below))
        && query.after.as_ref().is_none_or(|after| match query.order {
            Order::Ascending => place > after,
            Order::Descending => place < after,
        })
}

impl State {
    fn table(&self, collection: Collection) -> Result<&Table, StoreError> {
        self.tables.get(&collection).ok_or_else(|| undeclared(collection))
    }

    fn commit(&mut self, commit: Commit) -> Result<(), StoreError> {
        for write in &commit.writes {
            self.check(write)?;
        }
        self.check_unique(&commit)?;
        for write in commit.writes {
            if let Some(table) = self.tables.get_mut(&write.collection) {
                table.apply(write);
            }
        }
        for envelope in commit.events {
            self.last_seq += 1;
            drop(self.outbox.insert(self.last_seq, (envelope, false)));
        }
        Ok(())
    }

    fn check(&self, write: &Write) -> Result<(), StoreError> {
        let table = self.table(write.collection)?;
        if table.rows.get(&write.key).map(|(row, _)| row.revision) != write.expect {
            return Err(StoreError::Conflict { collection: write.collection, key: write.key.clone() });
        }
        if let Effect::Put { index, .. } = &write.effect {
            for entry in index {
                let declared = table.indexes.get(entry.index).is_some_and(|(index, _)| fits(index, entry));
                let once = index.iter().filter(|other| other.index == entry.index).count() == 1;
                if !declared || !once {
                    return Err(StoreError::Unusable(format!("{}: no index {} fits", write.collection, entry.index)));
                }
            }
        }
        Ok(())
    }

    /// A place of a unique index is free when nobody stands there after the commit but one.
    fn check_unique(&self, commit: &Commit) -> Result<(), StoreError> {
        let leaving: BTreeSet<(Collection, &str)> =
            commit.writes.iter().filter(|w| moves(w)).map(|w| (w.collection, w.key.as_str())).collect();
        let mut taken = BTreeSet::new();
        for write in &commit.writes {
            let (Effect::Put { index, .. }, Ok(table)) = (&write.effect, self.table(write.collection)) else {
                continue;
            };
            for entry in index {
                let Some((declared, places)) = table.indexes.get(entry.index) else { continue };
                if !declared.unique {
                    continue;
                }
                let held = places
                    .range((entry.values.clone(), String::new())..)
                    .take_while(|(values, _)| *values == entry.values)
                    .any(|(_, key)| !leaving.contains(&(write.collection, key.as_str())));
                if held || !taken.insert((write.collection, entry.index, &entry.values)) {
                    return Err(StoreError::NotUnique { collection: write.collection, index: declared.name });
                }
            }
        }
        Ok(())
    }
}

const fn moves(write: &Write) -> bool {
    !matches!(write.effect, Effect::Nothing)
}

impl Table {
    fn index(&self, collection: Collection, name: &str) -> Result<&BTreeSet<Place>, StoreError> {
        let index = self.indexes.get(name);
        index.map(|(_, places)| places).ok_or_else(|| StoreError::Unusable(format!("{collection} has no index {name}")))
    }

    fn apply(&mut self, write: Write) {
        let Write { key, expect, effect, .. } = write;
        match effect {
            Effect::Nothing => {}
            Effect::Remove => self.forget(&key),
            Effect::Put { body, index } => {
                self.forget(&key);
                for entry in &index {
                    if let Some((_, places)) = self.indexes.get_mut(entry.index) {
                        places.insert((entry.values.clone(), key.clone()));
                    }
                }
                let row = Row { key: key.clone(), revision: expect.unwrap_or(0) + 1, body };
                drop(self.rows.insert(key, (row, index)));
            }
        }
    }

    fn forget(&mut self, key: &str) {
        let Some((_, index)) = self.rows.remove(key) else { return };
        for entry in index {
            if let Some((_, places)) = self.indexes.get_mut(entry.index) {
                places.remove(&(entry.values, key.to_owned()));
            }
        }
    }
}

fn undeclared(collection: Collection) -> StoreError {
    StoreError::Unusable(format!("{collection} was not declared"))
}

//! Committing: one write where one says it all, a transaction otherwise, and an answer that is true however it went.
//!
//! A write whose answer was lost is looked for by its commit's mark before it is tried again, with a read that waits until
//! what it saw is on most nodes. So an effect takes place once, and what nobody can know is not claimed.

use std::time::Duration;

use bson::{RawDocumentBuf, doc};
use cartwright_runtime::{Clock, Ids, Stopwatch};
use cartwright_store::StoreError;
use mongodb::options::ReadConcern;

use crate::failure::{Failure, of_read};
use crate::outbox::Outbox;
use crate::plan::{Deed, Plan, Step};
use crate::transaction;

/// How long a commit is tried.
pub(crate) const PATIENCE: Duration = Duration::from_secs(4);
/// How often a commit that collides with others is tried.
const COLLISIONS: u32 = 8;
/// The first pause between two tries at most; each later one may be twice as long.
const PAUSE: Duration = Duration::from_millis(4);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(200);
/// How long the servers may work on a look at what became of a write.
const LOOK: Duration = Duration::from_secs(2);

/// One commit under way.
pub(crate) struct Committing<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) clock: &'a Clock,
    pub(crate) ids: &'a Ids,
    pub(crate) watch: Stopwatch,
    tries: u32,
}

/// What is there now of a document whose write may have happened.
enum Found {
    /// This commit wrote it.
    Ours,
    /// Nothing was written.
    AsExpected,
    /// Somebody else wrote it; before or after us, nobody knows.
    Other,
}

/// Commits `plan`, and remembers where its events are.
pub(crate) async fn commit(plan: &Plan, outbox: &Outbox, clock: &Clock, ids: &Ids) -> Result<(), StoreError> {
    if plan.steps.is_empty() && plan.events.is_empty() {
        return Ok(());
    }
    let mut committing = Committing { plan, clock, ids, watch: clock.stopwatch(), tries: 0 };
    if plan.is_one_write() {
        committing.one_write().await?;
    } else {
        transaction::commit(&mut committing).await?;
    }
    let carrier = match (plan.host.and_then(|host| plan.steps.get(host)), &plan.outbox) {
        (Some(step), _) => Some((step.space.collection, step.key.clone())),
        (None, Some(space)) => Some((space.collection, plan.id.clone())),
        (None, None) => None,
    };
    if let Some((collection, key)) = carrier {
        outbox.remember(plan.event_ids.iter().cloned(), collection, &key);
    }
    Ok(())
}

impl Committing<'_> {
    async fn one_write(&mut self) -> Result<(), StoreError> {
        let mut unsure = None;
        loop {
            let failure = match self.write().await {
                Ok(true) => return Ok(()),
                Ok(false) => match unsure.take() {
                    None => return self.unmatched().await,
                    Some(text) => Failure::Unsure(text),
                },
                Err(failure) => failure,
            };
            match failure {
                Failure::Refused(error) => return Err(error),
                Failure::Taken(index) => return Err(self.taken(0, &index)),
                Failure::Collided => self.pause(|| self.plan.conflict(0)).await?,
                Failure::Failed(text) => self.pause(|| StoreError::Unavailable(text.clone())).await?,
                Failure::Unsure(text) => {
                    match self.found().await {
                        Ok(Found::Ours) => return Ok(()),
                        Ok(Found::AsExpected) => {}
                        Ok(Found::Other) => return Err(StoreError::Unavailable(text)),
                        Err(error) => tracing::debug!(%error, "cannot see what became of a write"),
                    }
                    self.pause(|| StoreError::Unavailable(text.clone())).await?;
                    unsure = Some(text);
                }
            }
        }
    }

    /// The one write; false where the document is not as it was expected. It finds and writes in one, because only that
    /// has an end on the server: a plain update would wait there for as long as a transaction holds the document.
    async fn write(&self) -> Result<bool, Failure> {
        let plan = self.plan;
        let Some(step) = plan.steps.first() else { return self.write_events().await };
        let (documents, events) = (&step.space.documents, plan.carried_by(0));
        match (&step.deed, step.expect) {
            (Deed::Put(_), None) => {
                let document = RawDocumentBuf::try_from(&step.new_document(events)).map_err(unusable)?;
                match documents.insert_one(&document).await.map_err(Failure::from) {
                    Ok(_) => Ok(true),
                    Err(Failure::Taken(index)) if index == "_id_" => Ok(false),
                    Err(failure) => Err(failure),
                }
            }
            (Deed::Put(_), Some(_)) => {
                let filter = step.with_room(events.len(), plan.most_unsent);
                let replace = documents.find_one_and_update(filter, step.replacement(events));
                Ok(replace.projection(doc! { "_id": 1 }).max_time(PATIENCE).await?.is_some())
            }
            (Deed::Remove | Deed::Touch, _) => {
                let mut filter = step.as_expected();
                filter.insert("_outbox", doc! { "$exists": false });
                let remove = documents.find_one_and_delete(filter).projection(doc! { "_id": 1 });
                Ok(remove.max_time(PATIENCE).await?.is_some())
            }
        }
    }

    /// Events that no document carries. Their document is named after the commit: one that is there is ours.
    async fn write_events(&self) -> Result<bool, Failure> {
        let (Some(carrier), Some(space)) = (self.plan.own_carrier(Vec::new()), &self.plan.outbox) else {
            return Ok(true);
        };
        let document = RawDocumentBuf::try_from(&carrier).map_err(unusable)?;
        match space.documents.insert_one(&document).await.map_err(Failure::from) {
            Err(Failure::Taken(_)) | Ok(_) => Ok(true),
            Err(failure) => Err(failure),
        }
    }

    /// A write found nothing: the document moved, its outbox is full, or it has events that must not go with it.
    async fn unmatched(&mut self) -> Result<(), StoreError> {
        let plan = self.plan;
        let removes = |step: &Step| matches!(step.deed, Deed::Remove);
        let other_reason = |step: &&Step| step.expect.is_some() && (removes(step) || !plan.events.is_empty());
        let Some(step) = plan.steps.first().filter(other_reason) else { return Err(plan.conflict(0)) };
        let found = step.space.documents.find_one(step.as_expected()).projection(doc! { "_rev": 1 }).await;
        if found.map_err(of_read)?.is_none() {
            return Err(plan.conflict(0));
        }
        if removes(step) {
            return transaction::commit(self).await;
        }
        Err(full(step))
    }

    /// What is there now; waits until it is on most nodes.
    async fn found(&self) -> Result<Found, StoreError> {
        let (space, key, expect) = match (self.plan.steps.first(), &self.plan.outbox) {
            (Some(step), _) => (&step.space, step.key.clone(), step.expect),
            (None, Some(space)) => (space, self.plan.id.clone(), None),
            (None, None) => return Ok(Found::Ours),
        };
        let look = space.documents.find_one(doc! { "_id": key }).projection(doc! { "_rev": 1, "_commit": 1 });
        let found = look.read_concern(ReadConcern::linearizable()).max_time(LOOK).await.map_err(of_read)?;
        let Some(found) = found else {
            return Ok(if expect.is_none() { Found::AsExpected } else { Found::Other });
        };
        Ok(if is_by(&found, &self.plan.id) {
            Found::Ours
        } else if found.get_i64("_rev").ok() == expect {
            Found::AsExpected
        } else {
            Found::Other
        })
    }

    /// What a duplicate in MongoDB's index `index` means for the step that wrote it.
    pub(crate) fn taken(&self, number: usize, index: &str) -> StoreError {
        let step = self.plan.steps.get(number);
        match step.and_then(|step| step.space.declared(index).map(|declared| (step.space.collection, declared))) {
            Some((collection, index)) => StoreError::NotUnique { collection, index },
            None => self.plan.conflict(number),
        }
    }

    /// Waits a moment before the next try.
    ///
    /// # Errors
    /// `last`, where there were too many tries or it is too late.
    pub(crate) async fn pause(&mut self, last: impl FnOnce() -> StoreError) -> Result<(), StoreError> {
        self.tries += 1;
        let most = PAUSE.saturating_mul(1 << self.tries.min(10)).min(LONGEST_PAUSE);
        let error = last();
        let hopeless = matches!(error, StoreError::Conflict { .. }) && self.tries >= COLLISIONS;
        if hopeless || self.watch.elapsed() + most >= PATIENCE {
            return Err(error);
        }
        self.clock.pause(self.ids.jitter(most)).await;
        Ok(())
    }
}

/// Whether the commit called `id` wrote this version.
pub(crate) fn is_by(stored: &RawDocumentBuf, id: &str) -> bool {
    stored.get_str("_commit").is_ok_and(|commit| commit == id)
}

pub(crate) fn full(step: &Step) -> StoreError {
    let place = format!("{}/{}", step.space.collection, step.key);
    StoreError::Busy(format!("the events of {place} cannot be sent, and there are many of them already"))
}

pub(crate) fn unusable(error: bson::error::Error) -> Failure {
    Failure::Refused(StoreError::Unusable(error.to_string()))
}

//! A commit of several writes as a transaction, short and tried again as a whole.
//!
//! Reads alone do not conflict under snapshot isolation, so a document that is only relied on is written, too: otherwise two
//! commits could each rely on what the other changes.

use std::time::Duration;

use bson::{Bson, Document, RawDocumentBuf, doc};
use cartwright_store::StoreError;
use futures::TryStreamExt;
use mongodb::ClientSession;
use mongodb::options::ReadConcern;

use crate::commit::{Committing, PATIENCE, full, is_by, unusable};
use crate::failure::{Failure, number_in_batch, of_read};
use crate::open::durable;
use crate::outbox::left_behind;
use crate::plan::{Deed, Plan, Step};

/// How long the writes of a transaction may take: whoever else wants one of its documents waits as long.
const BUDGET: Duration = Duration::from_secs(1);

/// How places of unique indexes change hands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moving {
    /// Each write finds its places free; true for nearly all commits.
    Straight,
    /// Everybody leaves first: each write is checked alone, so two that swap would stand in each other's way.
    AllLeaveFirst,
}

/// A failure, and the number of the step that it struck.
type At = (usize, Failure);

/// Commits the plan of `committing`.
pub(crate) async fn commit(committing: &mut Committing<'_>) -> Result<(), StoreError> {
    let plan = committing.plan;
    let (mut moving, mut unsure) = (Moving::Straight, None::<String>);
    loop {
        let Err((number, failure)) = attempt(committing, moving, &mut unsure).await else { return Ok(()) };
        match failure {
            Failure::Refused(error) => return told(plan, error, unsure).await.map_or(Ok(()), Err),
            Failure::Taken(index) => {
                let error = match moved(plan).await? {
                    Some(conflict) => conflict,
                    None if moving == Moving::Straight && plan.steps.iter().any(leaves_places) => {
                        moving = Moving::AllLeaveFirst;
                        continue;
                    }
                    None => committing.taken(number, &index),
                };
                return told(plan, error, unsure).await.map_or(Ok(()), Err);
            }
            Failure::Collided => committing.pause(|| plan.conflict(number)).await?,
            Failure::Failed(text) | Failure::Unsure(text) => {
                committing.pause(|| StoreError::Unavailable(text)).await?;
            }
        }
    }
}

/// What the caller is told of `error`; nothing where an earlier try that nobody answered turns out to have worked.
async fn told(plan: &Plan, error: StoreError, unsure: Option<String>) -> Option<StoreError> {
    let Some(text) = unsure else { return Some(error) };
    match happened(plan).await {
        Ok(true) => None,
        Ok(false) | Err(_) => Some(StoreError::Unavailable(text)),
    }
}

/// Whether a document still bears the mark of this commit.
async fn happened(plan: &Plan) -> Result<bool, StoreError> {
    let puts = plan.steps.iter().filter(|step| matches!(step.deed, Deed::Put(_)));
    let marked = puts.map(|step| (&step.space, step.key.clone()));
    for (space, key) in marked.chain(plan.outbox.iter().map(|space| (space, plan.id.clone()))) {
        let look = space.documents.find_one(doc! { "_id": key }).projection(doc! { "_commit": 1 });
        let found = look.read_concern(ReadConcern::linearizable()).max_time(PATIENCE).await.map_err(of_read)?;
        if found.is_some_and(|found| is_by(&found, &plan.id)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The conflict of the first step whose document is not as it was expected: what moved is told before who stands where.
async fn moved(plan: &Plan) -> Result<Option<StoreError>, StoreError> {
    for (number, step) in plan.steps.iter().enumerate() {
        let look = step.space.documents.find_one(doc! { "_id": &step.key }).projection(doc! { "_rev": 1 });
        let found = look.await.map_err(of_read)?;
        if found.map(|found| found.get_i64("_rev").unwrap_or(0)) != step.expect {
            return Ok(Some(plan.conflict(number)));
        }
    }
    Ok(None)
}

/// Whether the step's document may stand at a place that another step of the commit wants.
fn leaves_places(step: &Step) -> bool {
    matches!(step.deed, Deed::Put(_)) && step.expect.is_some() && step.space.indexes.iter().any(|index| index.unique)
}

/// One try. Says in `unsure` when the commit was asked for and not answered.
async fn attempt(committing: &mut Committing<'_>, moving: Moving, unsure: &mut Option<String>) -> Result<(), At> {
    let plan = committing.plan;
    let Some(client) = plan.steps.first().map(|step| step.space.client.clone()) else { return Ok(()) };
    let at_all = |failure: Failure| (0, failure);
    let watch = committing.clock.stopwatch();
    let mut session = client.start_session().causal_consistency(false).await.map_err(|error| at_all(error.into()))?;
    let start = session.start_transaction().read_concern(ReadConcern::snapshot()).write_concern(durable());
    start.await.map_err(|error| at_all(error.into()))?;
    let written = write_all(plan, &mut session, moving).await;
    let in_time = match written {
        Ok(()) if watch.elapsed() > BUDGET => {
            Err(at_all(Failure::Failed(format!("a transaction took longer than {BUDGET:?}"))))
        }
        written => written,
    };
    if let Err(failed) = in_time {
        // What is not aborted ends by itself; the failure is what counts.
        session.abort_transaction().await.ok();
        return Err(failed);
    }
    loop {
        let Err(error) = session.commit_transaction().await else { return Ok(()) };
        match Failure::of(&error) {
            Failure::Unsure(text) => {
                unsure.get_or_insert_with(|| text.clone());
                // Asking again for the same commit is safe: the servers know whether they did it.
                committing.pause(|| StoreError::Unavailable(text)).await.map_err(|error| at_all(error.into()))?;
            }
            failure @ (Failure::Refused(_) | Failure::Taken(_) | Failure::Collided | Failure::Failed(_)) => {
                return Err(at_all(failure));
            }
        }
    }
}

/// Removals first: they free places that others take.
async fn write_all(plan: &Plan, session: &mut ClientSession, moving: Moving) -> Result<(), At> {
    let steps = || plan.steps.iter().enumerate();
    let left_behind = remove_all(plan, session).await?;
    if moving == Moving::AllLeaveFirst {
        for (number, step) in steps().filter(|(_, step)| leaves_places(step)) {
            leave_places(step, session).await.map_err(|failure| (number, failure))?;
        }
    }
    for (number, step) in steps() {
        let written = match (&step.deed, step.expect) {
            (Deed::Put(_), Some(_)) => replace(plan, number, step, session).await,
            (Deed::Touch, Some(_)) => touch(plan, number, step, session).await,
            (Deed::Touch | Deed::Remove, None) => stay_away(plan, number, step, session).await,
            (Deed::Put(_), None) | (Deed::Remove, Some(_)) => Ok(()),
        };
        written.map_err(|failure| (number, failure))?;
    }
    insert_all(plan, session).await?;
    let Some((carrier, space)) = plan.own_carrier(left_behind).zip(plan.outbox.as_ref()) else { return Ok(()) };
    let carrier = RawDocumentBuf::try_from(&carrier).map_err(|error| (0, unusable(error)))?;
    let inserted = space.documents.insert_one(&carrier).session(&mut *session).await;
    inserted.map(drop).map_err(|error| (0, error.into()))
}

/// The steps that `belongs` says, in groups of one collection each.
fn groups(plan: &Plan, belongs: impl Fn(&Step) -> bool) -> Vec<Vec<(usize, &Step)>> {
    let mut groups: Vec<Vec<(usize, &Step)>> = Vec::new();
    for (number, step) in plan.steps.iter().enumerate().filter(|(_, step)| belongs(step)) {
        let same = |group: &&mut Vec<(usize, &Step)>| {
            group.iter().any(|(_, other)| other.space.collection == step.space.collection)
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push((number, step)),
            None => groups.push(vec![(number, step)]),
        }
    }
    groups
}

/// Removes what is to be removed, and gives the unsent events that were in it.
async fn remove_all(plan: &Plan, session: &mut ClientSession) -> Result<Vec<Bson>, At> {
    let mut events = Vec::new();
    for group in groups(plan, |step| matches!(step.deed, Deed::Remove) && step.expect.is_some()) {
        let Some((first, step)) = group.first().copied() else { continue };
        let failed = |failure: Failure| (first, failure);
        let documents = &step.space.documents;
        let keys: Vec<&str> = group.iter().map(|(_, step)| step.key.as_str()).collect();
        let keys = doc! { "_id": { "$in": keys } };
        let find = documents.find(keys.clone()).projection(doc! { "_rev": 1, "_outbox": 1 }).session(&mut *session);
        let mut cursor = find.await.map_err(|error| failed(error.into()))?;
        let found: Vec<RawDocumentBuf> =
            cursor.stream(session).try_collect().await.map_err(|error| failed(error.into()))?;
        for (number, step) in group {
            let stored = found.iter().find(|stored| stored.get_str("_id").is_ok_and(|key| key == step.key));
            let stored = stored.filter(|stored| stored.get_i64("_rev").ok() == step.expect);
            let stored = stored.ok_or_else(|| (number, plan.conflict(number).into()))?;
            events.extend(left_behind(stored).map_err(|error| (number, error.into()))?);
        }
        documents.delete_many(keys).session(&mut *session).await.map_err(|error| failed(error.into()))?;
    }
    Ok(events)
}

async fn insert_all(plan: &Plan, session: &mut ClientSession) -> Result<(), At> {
    for group in groups(plan, |step| matches!(step.deed, Deed::Put(_)) && step.expect.is_none()) {
        let Some((_, step)) = group.first().copied() else { continue };
        let new = |(number, step): &(usize, &Step)| {
            let document = step.new_document(plan.carried_by(*number));
            RawDocumentBuf::try_from(&document).map_err(|error| (*number, unusable(error)))
        };
        let new = group.iter().map(new).collect::<Result<Vec<_>, _>>()?;
        if let Err(error) = step.space.documents.insert_many(&new).session(&mut *session).await {
            let number = group.get(number_in_batch(&error)).or(group.first()).map_or(0, |(number, _)| *number);
            return Err((number, exists(plan, number, error.into())));
        }
    }
    Ok(())
}

/// A document under the same key is a conflict and no taken place.
fn exists(plan: &Plan, number: usize, failure: Failure) -> Failure {
    let is_key = matches!(&failure, Failure::Taken(index) if index == "_id_");
    if is_key { plan.conflict(number).into() } else { failure }
}

async fn replace(plan: &Plan, number: usize, step: &Step, session: &mut ClientSession) -> Result<(), Failure> {
    let events = plan.carried_by(number);
    let documents = &step.space.documents;
    let filter = step.with_room(events.len(), plan.most_unsent);
    let update = documents.update_one(filter, step.replacement(events)).session(&mut *session).await?;
    if update.matched_count == 1 {
        return Ok(());
    }
    let is_full = !events.is_empty() && documents.find_one(step.as_expected()).session(&mut *session).await?.is_some();
    Err(if is_full { full(step) } else { plan.conflict(number) }.into())
}

/// Writes a document that is only relied on.
async fn touch(plan: &Plan, number: usize, step: &Step, session: &mut ClientSession) -> Result<(), Failure> {
    let mark = doc! { "$set": { "_touched": &plan.id } };
    let update = step.space.documents.update_one(step.as_expected(), mark).session(session).await?;
    if update.matched_count == 1 { Ok(()) } else { Err(plan.conflict(number).into()) }
}

/// Writes where nothing must be: whoever inserts there at the same time collides with it.
async fn stay_away(plan: &Plan, number: usize, step: &Step, session: &mut ClientSession) -> Result<(), Failure> {
    let documents = &step.space.documents;
    let nobody: Document = doc! { "_id": &step.key, "_commit": &plan.id };
    let nobody = RawDocumentBuf::try_from(&nobody).map_err(unusable)?;
    let inserted = documents.insert_one(&nobody).session(&mut *session).await;
    inserted.map_err(|error| exists(plan, number, error.into()))?;
    documents.delete_one(doc! { "_id": &step.key }).session(session).await?;
    Ok(())
}

async fn leave_places(step: &Step, session: &mut ClientSession) -> Result<(), Failure> {
    let unique = step.space.indexes.iter().filter(|index| index.unique);
    let places: Document = unique.map(|index| (format!("_index.{}", index.name), Bson::from(""))).collect();
    let update = step.space.documents.update_one(step.as_expected(), doc! { "$unset": places });
    update.session(session).await?;
    Ok(())
}

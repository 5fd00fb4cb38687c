//! The contract that every engine signs: plain async functions, one for each promise of [`Backend`] and of what stands on it.
//!
//! [`store_contract!`](crate::store_contract) lists their names and does nothing else. A case fails by panicking; none
//! sleeps, and whatever waits gives up after half a minute.

#![expect(clippy::unwrap_used, reason = "a contract is broken by panicking")]

mod documents;
mod errands;
mod pages;
mod parcels;
mod requests;

use std::sync::Arc;
use std::time::Duration;

use cartwright_runtime::{Clock, Ids, Time};

pub use documents::*;
pub use errands::*;
pub use pages::*;
pub use requests::*;

use crate::{Backend, Database, Store};

/// An empty engine, and the way to open it again as the next process would.
pub struct Subject {
    backend: Arc<dyn Backend>,
    reopen: Box<dyn Fn() -> Arc<dyn Backend> + Send + Sync>,
}

impl Subject {
    /// `backend` must be empty. `reopen` ends it as a crash or a stop would, and opens what it left; it may own what the
    /// engine needs for as long as the case runs.
    pub fn new(backend: Arc<dyn Backend>, reopen: impl Fn() -> Arc<dyn Backend> + Send + Sync + 'static) -> Self {
        Self { backend, reopen: Box::new(reopen) }
    }

    fn database(&self) -> Database {
        on(Arc::clone(&self.backend), Clock::system())
    }

    async fn store(&self) -> Store {
        parcels::scoped(&self.database(), "post").await
    }

    async fn reopened(&self) -> Store {
        parcels::scoped(&on((self.reopen)(), Clock::system()), "post").await
    }

    /// The handle that was opened first, whatever became of it.
    fn store_left_behind(&self) -> &Arc<dyn Backend> {
        &self.backend
    }
}

fn on(backend: Arc<dyn Backend>, clock: Clock) -> Database {
    Database::new(backend, clock.clone(), Ids::random(clock))
}

fn standing_clock() -> Clock {
    Clock::manual(Time::from_millis(1_795_340_000_000))
}

/// Waits until `check` holds; panics with `what` after half a minute.
async fn eventually<F: Future<Output = bool>>(what: &str, check: impl Fn() -> F) {
    let clock = Clock::system();
    let watch = clock.stopwatch();
    while !check().await {
        assert!(watch.elapsed() < Duration::from_secs(30), "not in half a minute: {what}");
        clock.pause(Duration::from_millis(2)).await;
    }
}

/// Makes one test of each case; `subject` is evaluated for each and gives a [`contract::Subject`](crate::contract::Subject).
#[macro_export]
macro_rules! store_contract {
    ($name:ident, $subject:expr) => {
        mod $name {
            use super::*;
            $crate::store_contract! { @cases $subject;
                a_document_is_read_back_as_it_was_written
                a_second_insert_under_one_key_conflicts
                a_replacement_of_a_version_that_moved_conflicts
                a_removal_of_a_version_that_moved_conflicts
                a_required_document_that_moved_fails_the_commit
                a_required_absence_fails_once_something_is_there
                a_commit_is_whole_or_not_at_all
                one_change_cannot_name_a_document_twice
                what_was_not_declared_is_refused
                a_unique_place_belongs_to_one_document
                a_document_may_keep_its_place
                a_place_freed_in_the_same_commit_can_be_taken
                two_documents_swap_their_places
                two_documents_of_one_commit_cannot_take_one_place
                events_leave_in_the_order_of_their_commits
                a_sent_event_is_not_given_again
                scopes_do_not_see_each_other
                what_was_committed_outlives_the_process
                a_commit_whose_caller_left_is_whole_or_not_at_all
                an_empty_commit_waits_for_what_was_queued_before
                pages_come_in_the_order_of_the_index
                pages_keep_to_the_part_they_are_asked_for
                integers_come_before_texts
                documents_at_one_place_come_by_key
                a_document_that_moved_is_listed_where_it_is
                keys_are_scanned_in_order
                a_repeat_gets_the_first_answer
                a_key_with_another_body_is_refused
                racing_repeats_have_one_effect
                a_refusal_is_not_remembered
                two_hundred_increments_all_count
                increments_count_without_a_lane_and_without_an_ordered_engine
                a_refusal_is_decided_on_what_is_durable
                whoever_built_on_a_failed_version_decides_again
                what_was_read_while_queued_is_relied_on
                a_taken_place_is_told_and_not_fought_for
                a_caller_that_left_does_not_hold_up_its_lane
                an_event_takes_effect_once
                each_consumer_applies_an_event
                old_answers_and_marks_are_forgotten
                an_errand_is_done_once_by_two_performers
                an_errand_is_done_once_by_two_processes
                what_follows_from_an_errand_is_done_at_once
                what_is_written_during_an_act_is_acted_on_after_it
                a_burst_of_errands_is_not_forgotten
                a_failed_errand_is_done_again_when_due
                a_lease_that_ran_out_is_taken_over_and_its_holder_records_nothing
                leases_of_an_earlier_process_are_taken_over_at_the_start
            }
        }
    };
    (@cases $subject:expr; $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::contract::$case($subject).await;
            }
        )*
    };
}

//! The contract that every broker signs: plain async functions, one for each promise of [`Broker`](crate::Broker) and
//! [`Wire`](crate::Wire).
//!
//! [`bus_contract!`](crate::bus_contract) lists their names and does nothing else. A case fails by panicking; none sleeps,
//! and whatever waits gives up after a minute.

#![expect(clippy::unwrap_used, reason = "a contract is broken by panicking")]

mod delivery;
mod hints;
mod outages;
mod processes;
mod town;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cartwright_runtime::{Clock, Tasks};

pub use delivery::*;
pub use hints::*;
pub use outages::*;
pub use processes::*;

use crate::{Broker, Wire};

/// A broker to try, with nothing in it, and how a process connects to it.
#[async_trait]
pub trait Site: Send + Sync + 'static {
    /// The broker as one more process has it, whose work ends with `tasks`.
    async fn connect(&self, tasks: &Tasks) -> Arc<dyn Broker>;

    /// The wire as one more process has it. Only asked for where hints are tried.
    async fn wire(&self, tasks: &Tasks) -> Arc<dyn Wire>;

    /// Ends the server as a crash would. Only asked for where outages are tried.
    async fn kill(&self);

    /// Starts it again on what it left.
    async fn start_again(&self);
}

/// Waits until `check` holds; panics with `what` after a minute.
async fn eventually<F: Future<Output = bool>>(what: &str, check: impl Fn() -> F) {
    let clock = Clock::system();
    let watch = clock.stopwatch();
    while !check().await {
        assert!(watch.elapsed() < Duration::from_secs(60), "not in a minute: {what}");
        clock.pause(Duration::from_millis(5)).await;
    }
}

/// Makes one test of each case in the named groups (`delivery`, `processes`, `hints`; `outages` and `cuts`, which kill the
/// server); `site` is evaluated for each and gives a [`contract::Site`](crate::contract::Site).
#[macro_export]
macro_rules! bus_contract {
    ($name:ident, $site:expr, [$($group:ident),*]) => {
        mod $name {
            use super::*;
            $($crate::bus_contract! { @$group $site })*
        }
    };
    (@delivery $site:expr) => {
        $crate::bus_contract! { @cases $site;
            every_consumer_gets_every_event_it_wants
            an_event_that_nobody_wants_is_taken
            an_event_sent_twice_takes_effect_once
            events_of_one_subject_are_applied_in_order
            what_cannot_be_applied_is_set_aside_until_it_is_replayed
            what_a_reaction_needs_may_be_away_for_a_while
        }
    };
    (@processes $site:expr) => {
        $crate::bus_contract! { @cases $site;
            two_processes_of_a_consumer_share_its_events
            what_a_crashed_process_held_goes_to_another
            what_is_expected_waits_for_a_consumer_that_never_ran
            a_stopped_process_loses_nothing
            an_event_of_an_earlier_version_is_dropped
        }
    };
    (@outages $site:expr) => {
        $crate::bus_contract! { @cases $site;
            what_was_confirmed_outlives_the_broker
            a_broker_that_is_away_is_told_at_once_and_gets_everything_later
            a_process_starts_while_the_broker_is_away
        }
    };
    (@hints $site:expr) => {
        $crate::bus_contract! { @cases $site;
            hints_reach_the_other_process
        }
    };
    (@cuts $site:expr) => {
        $crate::bus_contract! { @cases $site;
            hints_pass_again_when_the_wire_is_whole
        }
    };
    (@cases $site:expr; $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::contract::$case($site).await;
            }
        )*
    };
}

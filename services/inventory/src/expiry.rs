//! Looks after holds whose time is over.
//!
//! A hold made directly ends by itself. One made by an order ends only by its order, so the order is asked: an event that
//! would have ended the hold may still be on its way, and a hold is never taken from an order that is open.

use std::sync::Arc;
use std::time::Duration;

use cartwright_contracts::{OrderState, Orders};
use cartwright_store::{Changes, Decision, Store, StoreError, change};
use cartwright_vocabulary::OrderId;

use crate::documents::{MadeBy, Reservation, ReservationState, overdue};
use crate::operations::{Ending, end, lane_of_lines};

/// After how long an order that is still open is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(60);
/// Holds a page, and pages a round; what is left waits for the next round.
const PAGE: usize = 100;
const PAGES: usize = 100;

/// What becomes of a hold whose time is over.
#[derive(Clone, Copy, Debug)]
enum Verdict {
    End(Ending),
    Extend,
    Keep,
}

/// One round over all holds whose time is over. One that cannot be ended waits for the next round and keeps no other waiting.
///
/// # Errors
/// When the store does not answer, or what kept a hold from ending.
pub(crate) async fn look_after_holds(store: &Store, orders: &Arc<dyn Orders>) -> Result<(), StoreError> {
    let now = store.clock().now();
    let mut order_answers = true;
    let (mut last, mut kept): (Option<Reservation>, Result<(), StoreError>) = (None, Ok(()));
    for _ in 0..PAGES {
        let due = overdue(store, now);
        let due = match &last {
            Some(last) => due.after(last),
            None => due,
        };
        let page = due.page(PAGE).await?;
        for hold in &page {
            let verdict = match hold.doc.made_by() {
                MadeBy::Direct => Verdict::End(Ending::Expired),
                MadeBy::Order if order_answers => ask(orders, hold.doc.order()).await.unwrap_or_else(|error| {
                    tracing::info!(%error, "holds of orders are kept until order answers");
                    order_answers = false;
                    Verdict::Keep
                }),
                MadeBy::Order => Verdict::Keep,
            };
            kept = settle(store, &hold.doc, verdict).await.and(kept);
        }
        let Some(end) = page.into_iter().nth(PAGE - 1) else { break };
        last = Some(end.doc);
    }
    kept
}

async fn ask(orders: &Arc<dyn Orders>, order: &str) -> Result<Verdict, cartwright_contracts::PeerError> {
    // Only order.created makes such holds, and it names orders by their ids.
    let Ok(id) = order.parse::<OrderId>() else { return Ok(Verdict::Keep) };
    Ok(match orders.state(id).await? {
        Some(OrderState::Open) => Verdict::Extend,
        Some(OrderState::Confirmed) => Verdict::Keep,
        Some(OrderState::Cancelled) | None => Verdict::End(Ending::GivenBack),
    })
}

/// Applies `verdict`, unless the hold ended or was extended meanwhile.
async fn settle(store: &Store, seen: &Reservation, verdict: Verdict) -> Result<(), StoreError> {
    if matches!(verdict, Verdict::Keep) {
        return Ok(());
    }
    let lane = lane_of_lines(seen.order(), seen.lines().iter().map(|line| line.product));
    change(store, lane, |store| async move { decide(&store, seen, verdict).await }).await
}

async fn decide(store: &Store, seen: &Reservation, verdict: Verdict) -> Result<Decision<()>, StoreError> {
    let now = store.clock().now();
    let Some(mut hold) = store.get::<Reservation>(seen.order()).await? else { return Ok(Decision::unchanged(())) };
    if hold.doc.state() != ReservationState::Held
        || hold.doc.expires_at() >= now
        || hold.doc.made_by() != seen.made_by()
    {
        return Ok(Decision::unchanged(()));
    }
    let changes = match verdict {
        Verdict::Keep => Changes::new(),
        Verdict::Extend => {
            hold.doc.extend(now.plus(ASK_AGAIN));
            Changes::new().replace(&hold)
        }
        Verdict::End(ending) => end(store, hold, ending).await?.0,
    };
    Ok(Decision::new(changes, ()))
}

//! I1 to I4: every unit is on the shelf, held or sold; holds end once, with their order.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use cartwright_inventory::documents::{MadeBy, Movement, MovementKind, Reservation, ReservationState, StockLevel};
use cartwright_order::documents::Order;
use cartwright_order::domain::Stage;
use cartwright_vocabulary::ProductId;

use super::{Books, Findings};

/// How long after its order's end a hold may be seen.
const GRACE: Duration = Duration::from_secs(5);

pub(super) fn check(books: &Books, findings: &mut Findings) {
    levels_balance(books, findings);
    never_oversold(books, findings);
    holds_end_once(books, findings);
    if books.quiet {
        holds_end_with_their_order(books, findings);
    }
}

fn units(reservations: &[Reservation], state: ReservationState, restocked: bool) -> HashMap<ProductId, u64> {
    let mut units = HashMap::new();
    let matching = reservations.iter().filter(|it| it.state() == state && it.restocked_at().is_some() == restocked);
    for line in matching.flat_map(Reservation::lines) {
        *units.entry(line.product).or_insert(0) += u64::from(line.quantity);
    }
    units
}

/// I1: received − written off = available + held + sold − returned, and the ledger says the same.
fn levels_balance(books: &Books, findings: &mut Findings) {
    findings.begin("I1");
    let held = units(&books.reservations, ReservationState::Held, false);
    for level in &books.levels {
        let came = u64::from(level.initial().unwrap_or(0)) + level.received() + level.returned();
        let left = u64::from(level.available()) + u64::from(level.held()) + level.sold() + level.written_off();
        findings.expect(came == left, || format!("{came} units came and {left} are accounted for"), &[level]);
        let by_holds = held.get(&level.product()).copied().unwrap_or(0);
        let what = || format!("{} units are held, but the holds add up to {by_holds}", level.held());
        findings.expect(by_holds == u64::from(level.held()), what, &[level]);
        ledger_agrees(level, &books.movements, findings);
    }
}

fn ledger_agrees(level: &StockLevel, movements: &[Movement], findings: &mut Findings) {
    let mut sums: BTreeMap<MovementKind, i64> = BTreeMap::new();
    for movement in movements.iter().filter(|movement| movement.product == level.product()) {
        *sums.entry(movement.kind).or_insert(0) += movement.delta;
    }
    let counters = [
        (MovementKind::Opening, u64::from(level.initial().unwrap_or(0))),
        (MovementKind::Received, level.received()),
        (MovementKind::WrittenOff, level.written_off()),
        (MovementKind::Sold, level.sold()),
        (MovementKind::Returned, level.returned()),
    ];
    for (kind, counter) in counters {
        let sum = sums.get(&kind).copied().unwrap_or(0).unsigned_abs();
        findings.expect(
            sum == counter,
            || format!("the ledger's {kind:?} movements add up to {sum}, the level says {counter}"),
            &[level],
        );
    }
}

/// I2: what confirmed orders hold was there.
fn never_oversold(books: &Books, findings: &mut Findings) {
    findings.begin("I2");
    let mut sold: HashMap<ProductId, u64> = HashMap::new();
    let confirmed = books.orders.iter().filter(|order| order.stage == Stage::Confirmed);
    for item in confirmed.flat_map(|order| &order.items) {
        *sold.entry(item.product).or_insert(0) += u64::from(item.quantity.get());
    }
    for (product, units) in sold {
        let level = books.levels.iter().find(|level| level.product() == product);
        let ever =
            level.map_or(0, |level| u64::from(level.initial().unwrap_or(0)) + level.received() - level.written_off());
        findings.expect(
            units <= ever,
            || format!("{units} units of {product} are sold, {ever} were ever there"),
            &[&level],
        );
    }
}

/// I3: held, then exactly one of committed, released, expired.
fn holds_end_once(books: &Books, findings: &mut Findings) {
    findings.begin("I3");
    for reservation in &books.reservations {
        let states: Vec<ReservationState> = reservation.history().iter().map(|step| step.state).collect();
        let legal = match states.as_slice() {
            [
                ReservationState::Held,
                ReservationState::Committed | ReservationState::Released | ReservationState::Expired,
            ]
            | [
                ReservationState::Held
                | ReservationState::Refused
                | ReservationState::CancelledAhead
                | ReservationState::ConfirmedAhead,
            ]
            | [ReservationState::ConfirmedAhead, ReservationState::CancelledAhead] => true,
            [] | [_] | [_, _] | [_, _, _, ..] => false,
        };
        findings.expect(
            legal && states.last() == Some(&reservation.state()),
            || "its history is not that of a hold".to_owned(),
            &[reservation],
        );
    }
}

/// I4, and the stock half of I18: at rest a hold belongs to an open order, a sale to a confirmed one.
fn holds_end_with_their_order(books: &Books, findings: &mut Findings) {
    findings.begin("I4");
    for reservation in &books.reservations {
        if reservation.made_by() == MadeBy::Direct {
            let late =
                reservation.state() == ReservationState::Held && reservation.expires_at().plus(GRACE) < books.now;
            findings.expect(!late, || "a hold outlived its time".to_owned(), &[reservation]);
            continue;
        }
        let order = books.orders.iter().find(|order| order.id.to_string() == reservation.order());
        findings.expect(
            agrees(reservation, order),
            || "stock and order do not agree".to_owned(),
            &[reservation, &order],
        );
    }
}

fn agrees(reservation: &Reservation, order: Option<&Order>) -> bool {
    let Some(order) = order else { return false };
    match (&order.stage, reservation.state()) {
        (Stage::HoldingStock | Stage::HoldingMoney | Stage::AwaitingPayment { .. }, state) => {
            state == ReservationState::Held
        }
        (Stage::Confirmed, state) => state == ReservationState::Committed,
        (Stage::Cancelled { .. }, ReservationState::Committed) => reservation.restocked_at().is_some(),
        (Stage::Cancelled { .. }, state) => state != ReservationState::Held,
    }
}

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
    let mut ledger: HashMap<ProductId, BTreeMap<MovementKind, i64>> = HashMap::new();
    for Movement { product, kind, delta, .. } in &books.movements {
        *ledger.entry(*product).or_default().entry(*kind).or_insert(0) += delta;
    }
    for level in &books.levels {
        let came = u64::from(level.initial().unwrap_or(0)) + level.received() + level.returned();
        let left = u64::from(level.available()) + u64::from(level.held()) + level.sold() + level.written_off();
        findings.expect(came == left, || format!("{came} units came and {left} are accounted for"), &[level]);
        let by_holds = held.get(&level.product()).copied().unwrap_or(0);
        let what = || format!("{} units are held, but the holds add up to {by_holds}", level.held());
        findings.expect(by_holds == u64::from(level.held()), what, &[level]);
        ledger_agrees(level, &ledger.remove(&level.product()).unwrap_or_default(), findings);
    }
    for product in ledger.keys() {
        findings.add(format!("the ledger moves {product}, which has no level"), &[]);
    }
}

fn ledger_agrees(level: &StockLevel, sums: &BTreeMap<MovementKind, i64>, findings: &mut Findings) {
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
    let levels = books.levels_by_product();
    for (product, units) in sold {
        let level = levels.get(&product);
        let ever = level.map_or(0, |level| {
            (u64::from(level.initial().unwrap_or(0)) + level.received()).saturating_sub(level.written_off())
        });
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

/// I4, and the stock half of I18: at rest a hold belongs to an open order, a sale to a confirmed one, and such an order has
/// all of its lines held or sold.
fn holds_end_with_their_order(books: &Books, findings: &mut Findings) {
    findings.begin("I4");
    let mut without: HashMap<String, &Order> = books.orders.iter().map(|order| (order.id.to_string(), order)).collect();
    for reservation in &books.reservations {
        if reservation.made_by() == MadeBy::Direct {
            let late =
                reservation.state() == ReservationState::Held && reservation.expires_at().plus(GRACE) < books.now;
            findings.expect(!late, || "a hold outlived its time".to_owned(), &[reservation]);
            continue;
        }
        let order = without.remove(reservation.order());
        findings.expect(
            agrees(reservation, order),
            || "stock and order do not agree".to_owned(),
            &[reservation, &order],
        );
    }
    for order in without.into_values() {
        let needs_none = matches!(order.stage, Stage::Cancelled { .. } | Stage::HoldingStock);
        findings.expect(needs_none, || "nothing is held or sold for it".to_owned(), &[order]);
    }
}

fn agrees(reservation: &Reservation, order: Option<&Order>) -> bool {
    let Some(order) = order else { return false };
    let kept = matches!(reservation.state(), ReservationState::Held | ReservationState::Committed);
    if kept && !same_lines(order, reservation) {
        return false;
    }
    match (&order.stage, reservation.state()) {
        (Stage::HoldingStock | Stage::HoldingMoney | Stage::AwaitingPayment { .. }, state) => {
            state == ReservationState::Held
        }
        (Stage::Confirmed, state) => state == ReservationState::Committed && reservation.restocked_at().is_none(),
        (Stage::Cancelled { .. }, ReservationState::Committed) => reservation.restocked_at().is_some(),
        (Stage::Cancelled { .. }, state) => state != ReservationState::Held,
    }
}

fn same_lines(order: &Order, reservation: &Reservation) -> bool {
    let mut ordered: BTreeMap<ProductId, u64> = BTreeMap::new();
    for item in &order.items {
        *ordered.entry(item.product).or_insert(0) += u64::from(item.quantity.get());
    }
    let kept = reservation.lines().iter().map(|line| (line.product, u64::from(line.quantity)));
    ordered == kept.collect()
}

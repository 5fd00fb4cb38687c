//! The invariant checker: reads every store and the provider's own ledger, and names the rows that break a promise.
//!
//! It writes nothing. The numbers are those of ARCHITECTURE.md, "What must hold". Some predicates hold at every moment;
//! others only when the shop is quiet (no event on its way, nothing due), and are checked only then.

mod books;
mod messages;
mod orders;
mod stock;

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use cartwright_cart::documents::Cart;
use cartwright_inventory::documents::{Movement, Reservation, StockLevel};
use cartwright_notification::Notification;
use cartwright_order::documents::{Checkout, Order};
use cartwright_payment::documents::{JournalEntry, Payment};
use cartwright_payment_sandbox::LedgerEntry;
use cartwright_runtime::Time;
use cartwright_store::{Backend, Bookmark, Document, Envelope, Store, StoreError};
use cartwright_vocabulary::{OrderId, ProductId};
use serde::Serialize;

use crate::role::Role;
use crate::shop::Stores;

/// A broken promise and the rows that show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The invariant, for example `I1`.
    pub invariant: &'static str,
    /// What is wrong.
    pub what: String,
    /// The rows that show it, as JSON.
    pub rows: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)?;
        self.rows.iter().try_for_each(|row| write!(f, "\n    {row}"))
    }
}

/// What was checked and what was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Documents read, by kind.
    pub read: BTreeMap<&'static str, usize>,
    /// Whether the shop was quiet, so that everything could be checked.
    pub quiet: bool,
    /// The invariants that were checked.
    pub checked: Vec<&'static str>,
    /// The broken promises.
    pub violations: Vec<Violation>,
}

/// Everything that is checked, read once.
pub(crate) struct Books {
    pub(crate) now: Time,
    pub(crate) quiet: bool,
    pub(crate) levels: Vec<StockLevel>,
    pub(crate) reservations: Vec<Reservation>,
    pub(crate) movements: Vec<Movement>,
    pub(crate) orders: Vec<Order>,
    pub(crate) checkouts: Vec<Checkout>,
    pub(crate) carts: Vec<Cart>,
    pub(crate) payments: Vec<Payment>,
    pub(crate) journal: Vec<JournalEntry>,
    pub(crate) ledger: Option<Vec<LedgerEntry>>,
    pub(crate) notifications: Vec<Notification>,
    pub(crate) dead_letters: Vec<cartwright_bus::DeadLetter>,
    pub(crate) unsent: Vec<Envelope>,
}

/// Reads everything and checks it. `ledger` is the sandbox provider's own record, where the shop uses it; `now` is `None`
/// where no shop runs: then time stood still when the store was last written to, and nothing is late because of it.
///
/// # Errors
/// When a store does not answer, or holds something that cannot be read.
pub async fn verify(
    stores: &Stores,
    backend: &dyn Backend,
    now: Option<Time>,
    ledger: Option<Vec<LedgerEntry>>,
) -> Result<Report, StoreError> {
    let books = Books::read(stores, backend, now, ledger).await?;
    let mut findings = Findings::default();
    stock::check(&books, &mut findings);
    orders::check(&books, &mut findings);
    books::check(&books, &mut findings);
    messages::check(&books, &mut findings);
    Ok(Report { read: books.counts(), quiet: books.quiet, checked: findings.checked, violations: findings.violations })
}

/// Collects what is wrong, and what was looked at.
#[derive(Default)]
pub(crate) struct Findings {
    checked: Vec<&'static str>,
    current: &'static str,
    violations: Vec<Violation>,
}

impl Findings {
    /// Starts an invariant; what is added from here on belongs to it.
    pub(crate) fn begin(&mut self, invariant: &'static str) {
        self.current = invariant;
        if !self.checked.contains(&invariant) {
            self.checked.push(invariant);
        }
    }

    /// Adds a violation of the invariant that was begun last.
    pub(crate) fn add(&mut self, what: impl Into<String>, rows: &[&dyn Row]) {
        self.violations.push(Violation {
            invariant: self.current,
            what: what.into(),
            rows: rows.iter().map(|row| row.json()).collect(),
        });
    }

    /// Adds a violation where `holds` is false.
    pub(crate) fn expect(&mut self, holds: bool, what: impl FnOnce() -> String, rows: &[&dyn Row]) {
        if !holds {
            self.add(what(), rows);
        }
    }
}

/// Something that can be shown as a row.
pub(crate) trait Row {
    /// It as JSON.
    fn json(&self) -> String;
}

impl<T: Serialize> Row for T {
    fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|error| error.to_string())
    }
}

impl Books {
    async fn read(
        stores: &Stores,
        backend: &dyn Backend,
        now: Option<Time>,
        ledger: Option<Vec<LedgerEntry>>,
    ) -> Result<Self, StoreError> {
        let (inventory, order) = (stores.of(Role::Inventory), stores.of(Role::Order));
        let (payment, notification) = (stores.of(Role::Payment), stores.of(Role::Notification));
        let mut dead_letters = Vec::new();
        for role in Role::ALL {
            dead_letters.extend(all(stores.of(role)).await?);
        }
        let unsent = backend.unsent(&Bookmark::default(), 10_000).await?;
        let mut books = Self {
            now: Time::from_millis(0),
            quiet: false,
            levels: all(inventory).await?,
            reservations: all(inventory).await?,
            movements: all(inventory).await?,
            orders: all(order).await?,
            checkouts: all(order).await?,
            carts: all(stores.of(Role::Cart)).await?,
            payments: all(payment).await?,
            journal: all(payment).await?,
            ledger,
            notifications: all(notification).await?,
            dead_letters,
            unsent: unsent.into_iter().map(|(_, event)| event).collect(),
        };
        books.now = now.unwrap_or_else(|| books.last_written());
        books.quiet = books.is_quiet();
        Ok(books)
    }

    /// Whether no event is on its way and nothing is to be done now.
    fn is_quiet(&self) -> bool {
        let paying = self.payments.iter().any(payment_is_moving);
        let telling = self.notifications.iter().any(|it| it.status == cartwright_notification::Status::Queued);
        self.unsent.is_empty() && !paying && !telling
    }

    /// When any of it was last written, as far as it says.
    fn last_written(&self) -> Time {
        let orders = self.orders.iter().map(|order| order.updated_at);
        let carts = self.carts.iter().map(|cart| cart.updated_at);
        let holds = self.reservations.iter().filter_map(|it| it.history().last()).map(|step| step.at);
        let events = self.unsent.iter().map(|event| event.time);
        orders.chain(carts).chain(holds).chain(events).max().unwrap_or(Time::from_millis(0))
    }

    pub(crate) fn orders_by_id(&self) -> HashMap<OrderId, &Order> {
        self.orders.iter().map(|order| (order.id, order)).collect()
    }

    pub(crate) fn payments_by_order(&self) -> HashMap<OrderId, &Payment> {
        self.payments.iter().map(|payment| (payment.order, payment)).collect()
    }

    pub(crate) fn levels_by_product(&self) -> HashMap<ProductId, &StockLevel> {
        self.levels.iter().map(|level| (level.product(), level)).collect()
    }

    fn counts(&self) -> BTreeMap<&'static str, usize> {
        BTreeMap::from([
            ("stock levels", self.levels.len()),
            ("reservations", self.reservations.len()),
            ("movements", self.movements.len()),
            ("orders", self.orders.len()),
            ("checkouts", self.checkouts.len()),
            ("carts", self.carts.len()),
            ("payments", self.payments.len()),
            ("journal entries", self.journal.len()),
            ("notifications", self.notifications.len()),
            ("dead letters", self.dead_letters.len()),
            ("unsent events", self.unsent.len()),
        ])
    }
}

/// Whether something other than a step of the shopper is awaited.
fn payment_is_moving(payment: &Payment) -> bool {
    use cartwright_payment::documents::AttemptState;
    let waits_for_shopper = !payment.closed
        && payment.attempts.iter().any(|attempt| attempt.state == AttemptState::RequiresAction)
        && !payment.attempts.iter().any(|attempt| attempt.state == AttemptState::Processing);
    payment.next_step().is_some() && !waits_for_shopper
}

async fn all<D: Document>(store: &Store) -> Result<Vec<D>, StoreError> {
    Ok(store.scan::<D>().all().await?.into_iter().map(|stored| stored.doc).collect())
}

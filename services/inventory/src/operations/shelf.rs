//! The levels of an order's lines: read together, changed together, committed as one change.

use cartwright_contracts::{LevelChanged, Shortage};
use cartwright_store::{Changes, Lane, Store, StoreError};
use cartwright_vocabulary::ProductId;
use futures::future;

use crate::documents::{Line, Movement, MovementKind, Reservation, StockLevel};
use crate::domain::Unbalanced;

/// The lane of `order`'s reservation and of the levels of its lines.
pub(crate) fn lane_of_lines(order: &str, lines: impl IntoIterator<Item = ProductId>) -> Lane {
    let lane = Lane::of::<Reservation>(order);
    lines.into_iter().fold(lane, |lane, product| lane.with::<StockLevel>(product.to_string()))
}

/// The same for a reservation whose lines are looked up.
///
/// # Errors
/// When the store does not answer.
pub(crate) async fn lane_of_reservation(store: &Store, order: &str) -> Result<Lane, StoreError> {
    let reservation = store.get::<Reservation>(order).await?;
    let lines = reservation.iter().flat_map(|reservation| reservation.doc.lines());
    Ok(lane_of_lines(order, lines.map(|line| line.product)))
}

/// The levels of some lines.
pub(crate) struct Shelf {
    places: Vec<Place>,
}

struct Place {
    line: Line,
    level: StockLevel,
    revision: Option<u64>,
    available_before: u32,
    moved: Option<Movement>,
}

impl Shelf {
    /// Reads the level of each of `lines`, which name a product once each. A product without a level has an empty one.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn read(store: &Store, lines: &[Line]) -> Result<Self, StoreError> {
        let places = lines.iter().map(|line| Place::read(store, *line));
        Ok(Self { places: future::try_join_all(places).await? })
    }

    /// Those of its products that inventory never heard of.
    pub(crate) fn unknown(&self) -> Vec<ProductId> {
        self.places.iter().filter(|place| place.revision.is_none()).map(|place| place.line.product).collect()
    }

    /// Holds every line.
    ///
    /// # Errors
    /// All that is missing; this shelf must not be committed then.
    pub(crate) fn hold(&mut self) -> Result<(), Vec<Shortage>> {
        let held = self.places.iter_mut().map(|place| place.level.hold(place.line.quantity));
        let missing: Vec<Shortage> = held.filter_map(Result::err).collect();
        if missing.is_empty() { Ok(()) } else { Err(missing) }
    }

    /// Releases every line.
    ///
    /// # Errors
    /// [`Unbalanced`] where a line is not held; this shelf must not be committed then.
    pub(crate) fn release(&mut self) -> Result<(), Unbalanced> {
        self.places.iter_mut().try_for_each(|place| place.level.release(place.line.quantity))
    }

    /// Sells every held line to `order`.
    ///
    /// # Errors
    /// [`Unbalanced`] where a line is not held; this shelf must not be committed then.
    pub(crate) fn sell(&mut self, store: &Store, order: &str) -> Result<(), Unbalanced> {
        self.places.iter_mut().try_for_each(|place| {
            place.level.sell(place.line.quantity)?;
            place.note(store, order, MovementKind::Sold, -i64::from(place.line.quantity));
            Ok(())
        })
    }

    /// Takes every line that was sold to `order` back.
    ///
    /// # Errors
    /// [`Unbalanced`] where a line was not sold; this shelf must not be committed then.
    pub(crate) fn take_back(&mut self, store: &Store, order: &str) -> Result<(), Unbalanced> {
        self.places.iter_mut().try_for_each(|place| {
            place.level.take_back(place.line.quantity)?;
            place.note(store, order, MovementKind::Returned, i64::from(place.line.quantity));
            Ok(())
        })
    }

    /// What to commit: the levels, their movements, and an event for each whose availability changed.
    pub(crate) fn changes(self) -> Changes {
        self.places.into_iter().fold(Changes::new(), |changes, place| changes.and(place.changes()))
    }
}

impl Place {
    async fn read(store: &Store, line: Line) -> Result<Self, StoreError> {
        let stored = store.get::<StockLevel>(line.product.to_string()).await?;
        let revision = stored.as_ref().map(|stored| stored.revision);
        let level = stored.map_or_else(|| StockLevel::empty(line.product), |stored| stored.doc);
        let available_before = level.available();
        Ok(Self { line, level, revision, available_before, moved: None })
    }

    fn note(&mut self, store: &Store, order: &str, kind: MovementKind, delta: i64) {
        self.moved = Some(Movement {
            id: store.ids().uuid().simple().to_string(),
            product: self.line.product,
            delta,
            kind,
            reason: None,
            order: Some(order.to_owned()),
            at: store.clock().now(),
        });
    }

    fn changes(self) -> Changes {
        let saved = level_changes(&self.level, self.revision, self.available_before);
        match &self.moved {
            Some(moved) => saved.insert(moved),
            None => saved,
        }
    }
}

/// Saves `level`, and tells of it where its availability is not `available_before` any more.
pub(crate) fn level_changes(level: &StockLevel, revision: Option<u64>, available_before: u32) -> Changes {
    let saved = Changes::new().save(level, revision);
    if level.available() == available_before {
        return saved;
    }
    let version = revision.unwrap_or(0) + 1;
    saved.publish(&LevelChanged { product: level.product(), available: level.available(), version })
}

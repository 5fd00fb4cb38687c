//! One page of what matches, in the wanted order, and how the whole divides into facets; collected in one pass.

use std::collections::{BTreeMap, HashMap};

use cartwright_contracts::StockStatus;
use cartwright_vocabulary::ProductId;
use serde::{Deserialize, Serialize};
use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::{Column, StrColumn};
use tantivy::index::SegmentReader;
use tantivy::{DocId, Score, SegmentOrdinal, TantivyError};
use uuid::Uuid;

use super::schema::{columns, joined};
use super::{LEVELS, Wanted};

/// Values of one facet that are told.
const MOST_VALUES: usize = 100;

/// What comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Sort {
    /// What fits best.
    Relevance,
    /// What was listed last.
    Newest,
    /// What is cheapest.
    PriceUp,
    /// What is dearest.
    PriceDown,
    /// By name.
    NameUp,
    /// By name, from the end.
    NameDown,
}

impl Sort {
    const fn descends(self) -> bool {
        match self {
            Self::Relevance | Self::Newest | Self::PriceDown | Self::NameDown => true,
            Self::PriceUp | Self::NameUp => false,
        }
    }
}

/// Where a product stands in an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The order.
    pub(crate) sort: Sort,
    /// The number it is ordered by; 0 where it is ordered by text.
    number: u64,
    /// The text it is ordered by; empty where it is ordered by a number.
    text: String,
    /// Its id, which decides between equals.
    id: u128,
}

impl Place {
    /// The product.
    pub(crate) fn product(&self) -> ProductId {
        ProductId::new(Uuid::from_u128(self.id))
    }

    fn key(&self) -> (u64, &str, u128) {
        (self.number, &self.text, self.id)
    }
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    /// The page.
    pub(crate) places: Vec<Place>,
    /// Whether there are more after it.
    pub(crate) more: bool,
    /// How many match.
    pub(crate) total: u64,
    /// How they divide; empty where that was not asked.
    pub(crate) facets: Facets,
    /// What the shopper may have meant.
    pub(crate) suggestion: Option<String>,
}

/// How what matches divides.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facets {
    /// By category; one counts for each step of its path.
    pub(crate) category: Vec<Count<String>>,
    /// By brand.
    pub(crate) brand: Vec<Count<String>>,
    /// By price, cheapest first.
    pub(crate) price: Vec<PriceCount>,
    /// By availability.
    pub(crate) availability: Vec<Count<StockStatus>>,
}

/// So many have this value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Count<T> {
    pub(crate) value: T,
    pub(crate) count: u64,
}

/// So many cost at least `from` and less than `below` minor units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PriceCount {
    pub(crate) from: u64,
    pub(crate) below: u64,
    pub(crate) count: u64,
}

/// Collects one page.
pub(super) struct PageOf {
    sort: Sort,
    after: Option<Place>,
    limit: usize,
    facets: bool,
}

impl PageOf {
    pub(super) fn new(wanted: &Wanted) -> Self {
        let after = wanted.after.clone().filter(|place| place.sort == wanted.sort);
        Self { sort: wanted.sort, after, limit: wanted.limit, facets: wanted.facets }
    }
}

impl Collector for PageOf {
    type Fruit = Found;
    type Child = SegmentPage;

    fn for_segment(&self, _ordinal: SegmentOrdinal, segment: &SegmentReader) -> tantivy::Result<SegmentPage> {
        let columns = segment.fast_fields();
        let order = match self.sort {
            Sort::Relevance => OrderBy::Score,
            Sort::Newest => OrderBy::Number(columns.u64(columns::CREATED)?),
            Sort::PriceUp | Sort::PriceDown => OrderBy::Number(columns.u64(columns::PRICE)?),
            Sort::NameUp | Sort::NameDown => match columns.str(columns::NAME)? {
                Some(names) => OrderBy::Text(names),
                None => OrderBy::Nothing,
            },
        };
        let bound =
            self.after.as_ref().map(|place| Ok::<_, TantivyError>((order.rank_of(place)?, place.id))).transpose()?;
        let tally = if self.facets { Some(Tally::new(segment)?) } else { None };
        Ok(SegmentPage {
            sort: self.sort,
            order,
            id_high: columns.u64(columns::ID_HIGH)?,
            id_low: columns.u64(columns::ID_LOW)?,
            bound,
            // One more than the page shows whether there are more.
            room: self.limit + 1,
            best: Vec::new(),
            total: 0,
            tally,
        })
    }

    fn requires_scoring(&self) -> bool {
        self.sort == Sort::Relevance
    }

    fn merge_fruits(&self, segments: Vec<tantivy::Result<SegmentFound>>) -> tantivy::Result<Found> {
        let mut found = Found::default();
        let mut counts = Counts::default();
        for segment in segments {
            let segment = segment?;
            found.places.extend(segment.places);
            found.total += segment.total;
            counts.add(segment.counts);
        }
        found.places.sort_by(|left, right| {
            let order = left.key().cmp(&right.key());
            if self.sort.descends() { order.reverse() } else { order }
        });
        found.more = found.places.len() > self.limit;
        found.places.truncate(self.limit);
        found.facets = counts.facets();
        Ok(found)
    }
}

/// What documents of one segment are ordered by.
enum OrderBy {
    Score,
    Number(Column<u64>),
    Text(StrColumn),
    Nothing,
}

impl OrderBy {
    /// A number that orders the documents of this segment.
    fn rank(&self, doc: DocId, score: Score) -> u64 {
        match self {
            // The bits of numbers that are not negative order as the numbers do.
            Self::Score => u64::from(score.max(0.0).to_bits()),
            Self::Number(column) => column.first(doc).unwrap_or(0),
            Self::Text(names) => names.ords().first(doc).map_or(0, |ord| ord.saturating_mul(2).saturating_add(1)),
            Self::Nothing => 0,
        }
    }

    /// The rank that a document at `place` has here, or would have between those of its neighbours.
    fn rank_of(&self, place: &Place) -> tantivy::Result<u64> {
        let Self::Text(names) = self else { return Ok(place.number) };
        if let Some(ord) = names.dictionary().term_ord(place.text.as_bytes())? {
            return Ok(ord.saturating_mul(2).saturating_add(1));
        }
        let from = std::ops::Bound::Excluded(place.text.as_bytes());
        let (next, _) = names.dictionary().term_bounds_to_ord(from, std::ops::Bound::Unbounded)?;
        Ok(match next {
            std::ops::Bound::Included(ord) => ord.saturating_mul(2),
            std::ops::Bound::Excluded(ord) => ord.saturating_mul(2).saturating_add(2),
            std::ops::Bound::Unbounded => 0,
        })
    }

    fn place(&self, sort: Sort, rank: u64, id: u128) -> tantivy::Result<Place> {
        let mut text = String::new();
        if let Self::Text(names) = self {
            if rank > 0 && !names.ord_to_str((rank - 1) / 2, &mut text)? {
                return Err(TantivyError::InternalError("a name is missing from its dictionary".to_owned()));
            }
            return Ok(Place { sort, number: 0, text, id });
        }
        Ok(Place { sort, number: rank, text, id })
    }
}

/// The best of one segment.
pub(super) struct SegmentPage {
    sort: Sort,
    order: OrderBy,
    id_high: Column<u64>,
    id_low: Column<u64>,
    bound: Option<(u64, u128)>,
    room: usize,
    best: Vec<(u64, u128)>,
    total: u64,
    tally: Option<Tally>,
}

pub(super) struct SegmentFound {
    places: Vec<Place>,
    total: u64,
    counts: Counts,
}

impl SegmentPage {
    fn keep_best(&mut self) {
        if self.sort.descends() {
            self.best.sort_unstable_by(|left, right| right.cmp(left));
        } else {
            self.best.sort_unstable();
        }
        self.best.truncate(self.room);
    }

    fn is_beyond(&self, place: (u64, u128)) -> bool {
        let Some(bound) = self.bound else { return true };
        if self.sort.descends() { place < bound } else { place > bound }
    }
}

impl SegmentCollector for SegmentPage {
    type Fruit = tantivy::Result<SegmentFound>;

    fn collect(&mut self, doc: DocId, score: Score) {
        self.total += 1;
        if let Some(tally) = &mut self.tally {
            tally.count(doc);
        }
        let id = joined(self.id_high.first(doc).unwrap_or(0), self.id_low.first(doc).unwrap_or(0));
        let place = (self.order.rank(doc, score), id);
        if self.is_beyond(place) {
            self.best.push(place);
            if self.best.len() >= self.room.saturating_mul(4).max(256) {
                self.keep_best();
            }
        }
    }

    fn harvest(mut self) -> tantivy::Result<SegmentFound> {
        self.keep_best();
        let places = self.best.iter().map(|(rank, id)| self.order.place(self.sort, *rank, *id));
        let places = places.collect::<tantivy::Result<_>>()?;
        let counts = self.tally.map(Tally::counts).transpose()?.unwrap_or_default();
        Ok(SegmentFound { places, total: self.total, counts })
    }
}

/// Counts the facets of one segment.
struct Tally {
    category: Ordinals,
    brand: Ordinals,
    price: Column<u64>,
    level: Column<u64>,
    prices: BTreeMap<(u64, u64), u64>,
    levels: [u64; LEVELS.len()],
}

/// Counts by the ordinals of a text column.
struct Ordinals {
    column: Option<StrColumn>,
    counts: HashMap<u64, u64>,
}

impl Ordinals {
    fn count(&mut self, doc: DocId) {
        for ord in self.column.iter().flat_map(|column| column.term_ords(doc)) {
            *self.counts.entry(ord).or_default() += 1;
        }
    }

    fn texts(self) -> tantivy::Result<BTreeMap<String, u64>> {
        let mut texts = BTreeMap::new();
        for (ord, count) in self.counts {
            let mut text = String::new();
            if self.column.as_ref().map(|column| column.ord_to_str(ord, &mut text)).transpose()?.unwrap_or(false) {
                texts.insert(text, count);
            }
        }
        Ok(texts)
    }
}

impl Tally {
    fn new(segment: &SegmentReader) -> tantivy::Result<Self> {
        let columns = segment.fast_fields();
        let ordinals = |name| Ok::<_, TantivyError>(Ordinals { column: columns.str(name)?, counts: HashMap::new() });
        Ok(Self {
            category: ordinals(columns::CATEGORY)?,
            brand: ordinals(columns::BRAND)?,
            price: columns.u64(columns::PRICE)?,
            level: columns.u64(columns::LEVEL)?,
            prices: BTreeMap::new(),
            levels: [0; LEVELS.len()],
        })
    }

    fn count(&mut self, doc: DocId) {
        self.category.count(doc);
        self.brand.count(doc);
        *self.prices.entry(price_step(self.price.first(doc).unwrap_or(0))).or_default() += 1;
        let level = usize::try_from(self.level.first(doc).unwrap_or(0)).unwrap_or(0);
        if let Some(count) = self.levels.get_mut(level) {
            *count += 1;
        }
    }

    fn counts(self) -> tantivy::Result<Counts> {
        let (category, brand) = (self.category.texts()?, self.brand.texts()?);
        Ok(Counts { category, brand, prices: self.prices, levels: self.levels })
    }
}

/// The step of 1, 2, 5, 10, 20, 50, … that a price stands on, in minor units: from, and below.
fn price_step(minor: u64) -> (u64, u64) {
    let mut from = 0;
    let mut ten: u64 = 1;
    loop {
        for factor in [1, 2, 5] {
            let below = ten.saturating_mul(factor);
            if minor < below || below == u64::MAX {
                return (from, below);
            }
            from = below;
        }
        ten = ten.saturating_mul(10);
    }
}

#[derive(Default)]
struct Counts {
    category: BTreeMap<String, u64>,
    brand: BTreeMap<String, u64>,
    prices: BTreeMap<(u64, u64), u64>,
    levels: [u64; LEVELS.len()],
}

impl Counts {
    fn add(&mut self, other: Self) {
        for (own, others) in [(&mut self.category, other.category), (&mut self.brand, other.brand)] {
            for (text, count) in others {
                *own.entry(text).or_default() += count;
            }
        }
        for (step, count) in other.prices {
            *self.prices.entry(step).or_default() += count;
        }
        for (own, others) in self.levels.iter_mut().zip(other.levels) {
            *own += others;
        }
    }

    fn facets(self) -> Facets {
        let price = |((from, below), count)| PriceCount { from, below, count };
        let level = |(value, count): (&StockStatus, u64)| (count > 0).then_some(Count { value: *value, count });
        Facets {
            category: most(self.category),
            brand: most(self.brand),
            price: self.prices.into_iter().map(price).collect(),
            availability: LEVELS.iter().zip(self.levels).rev().filter_map(level).collect(),
        }
    }
}

/// The most frequent values first, equals by name.
fn most(counts: BTreeMap<String, u64>) -> Vec<Count<String>> {
    let mut counts: Vec<Count<String>> = counts.into_iter().map(|(value, count)| Count { value, count }).collect();
    counts.sort_by_key(|it| std::cmp::Reverse(it.count));
    counts.truncate(MOST_VALUES);
    counts
}

/// Collects what the index knows of every product: id, version and availability.
pub(super) struct Versions;

pub(super) struct SegmentVersions {
    columns: [Column<u64>; 4],
    versions: Vec<(ProductId, u64, u64)>,
}

impl Collector for Versions {
    type Fruit = Vec<(ProductId, u64, u64)>;
    type Child = SegmentVersions;

    fn for_segment(&self, _ordinal: SegmentOrdinal, segment: &SegmentReader) -> tantivy::Result<SegmentVersions> {
        let column = |name| segment.fast_fields().u64(name);
        let columns =
            [column(columns::ID_HIGH)?, column(columns::ID_LOW)?, column(columns::VERSION)?, column(columns::LEVEL)?];
        Ok(SegmentVersions { columns, versions: Vec::new() })
    }

    fn requires_scoring(&self) -> bool {
        false
    }

    fn merge_fruits(&self, segments: Vec<Vec<(ProductId, u64, u64)>>) -> tantivy::Result<Self::Fruit> {
        Ok(segments.into_iter().flatten().collect())
    }
}

impl SegmentCollector for SegmentVersions {
    type Fruit = Vec<(ProductId, u64, u64)>;

    fn collect(&mut self, doc: DocId, _score: Score) {
        let [high, low, version, level] = self.columns.each_ref().map(|column| column.first(doc).unwrap_or(0));
        self.versions.push((ProductId::new(Uuid::from_u128(joined(high, low))), version, level));
    }

    fn harvest(self) -> Self::Fruit {
        self.versions
    }
}

#[cfg(test)]
mod tests {
    use super::super::schema::{high, low};
    use super::*;

    #[test]
    fn prices_stand_on_steps_of_one_two_five() {
        assert_eq!(price_step(0), (0, 1));
        assert_eq!(price_step(1850), (1000, 2000));
        assert_eq!(price_step(2000), (2000, 5000));
        assert_eq!(price_step(9_999_999), (5_000_000, 10_000_000));
        assert!(price_step(u64::MAX).0 < u64::MAX);
    }

    #[test]
    fn an_id_is_the_same_after_it_was_cut_in_two() {
        let id = 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210;
        assert_eq!(joined(high(id), low(id)), id);
    }
}

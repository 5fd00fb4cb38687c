//! A page of documents as a range of one index.
//!
//! The range is exact: a least place that belongs to it and a first one that does not. MongoDB walks the named index between
//! the two, so a page costs what it shows, and an index that does not serve the question is an error and no scan.

use bson::{Bson, Document, doc};
use cartwright_store::{Index, IndexValue, Order, Query, StoreError};

use crate::space::{Space, index_name, path};

/// A part of a place, with ends before and after all values.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Least,
    Value(IndexValue),
    Greatest,
}

type Place = Vec<Part>;

/// How MongoDB is asked for a page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    pub(crate) filter: Document,
    pub(crate) sort: Document,
    /// The index, the least place of the range and the first one after it.
    pub(crate) range: Option<(String, Document, Document)>,
}

impl Page {
    /// The page that a query asks for, or `None` where nothing can fit it.
    pub(crate) fn of(space: &Space, query: &Query) -> Result<Option<Self>, StoreError> {
        match query.index {
            None => Ok(Self::by_key(query)),
            Some(name) => Ok(Self::by_index(space.index(name)?, query)),
        }
    }

    fn by_key(query: &Query) -> Option<Self> {
        if !query.prefix.is_empty() {
            return None;
        }
        let mut keys = Document::new();
        match &query.below {
            Some(IndexValue::Text(below)) => drop(keys.insert("$lt", below)),
            // A key is a text, and every number comes before it.
            Some(IndexValue::Int(_)) => return None,
            None => {}
        }
        if let Some(IndexValue::Text(from)) = &query.from {
            keys.insert("$gte", from);
        }
        let mut filter = if keys.is_empty() {
            Document::new()
        } else {
            doc! { "_id": keys }
        };
        if let Some((_, key)) = &query.after {
            let sign = if query.order == Order::Ascending { "$gt" } else { "$lt" };
            filter = doc! { "$and": [filter, { "_id": { sign: key } }] };
        }
        Some(Self { filter, sort: doc! { "_id": direction(query) }, range: None })
    }

    fn by_index(index: &Index, query: &Query) -> Option<Self> {
        let fixed = query.prefix.len();
        let bounded = query.from.is_some() || query.below.is_some();
        if fixed > index.parts.len() || (bounded && fixed == index.parts.len()) {
            return None;
        }
        let (mut least, mut end) = asked(index, query);
        match &query.after {
            Some((values, key)) if values.len() == index.parts.len() => {
                let place = whole(index, values, key);
                match query.order {
                    Order::Ascending => least = least.max(next(place)),
                    Order::Descending => end = end.min(place),
                }
            }
            // The index does not list that document any more: it stands before all that it lists.
            Some(_) if query.order == Order::Descending => return None,
            Some(_) | None => {}
        }
        if least >= end {
            return None;
        }
        let sort = columns(index).into_iter().map(|column| (column, direction(query))).collect();
        let range = Some((index_name(index), bounds(index, &least), bounds(index, &end)));
        Some(Self { filter: Document::new(), sort, range })
    }
}

/// What an index is made of. The key is its last part, so that a page at one place goes on by key; a unique place holds one
/// document anyway.
pub(crate) fn columns(index: &Index) -> Vec<String> {
    let mut columns: Vec<String> = index.parts.iter().map(|part| path(index, part)).collect();
    columns.extend((!index.unique).then(|| "_id".to_owned()));
    columns
}

fn direction(query: &Query) -> Bson {
    Bson::Int32(if query.order == Order::Ascending { 1 } else { -1 })
}

/// The range that a query names, as if there were no page before.
fn asked(index: &Index, query: &Query) -> (Place, Place) {
    let width = columns(index).len();
    let start: Place = query.prefix.iter().cloned().map(Part::Value).collect();
    let with = |next: Option<Part>, filler: &Part| {
        let mut place = start.clone();
        place.extend(next);
        place.resize(width, filler.clone());
        place
    };
    let least = with(query.from.clone().map(Part::Value), &Part::Least);
    let end = match &query.below {
        Some(below) => with(Some(Part::Value(below.clone())), &Part::Least),
        // All parts of a unique place are fixed: the range ends right after it.
        None if start.len() == width => next(start.clone()),
        None => with(None, &Part::Greatest),
    };
    (least, end)
}

/// The whole place of a document.
fn whole(index: &Index, values: &[IndexValue], key: &str) -> Place {
    let mut place: Place = values.iter().cloned().map(Part::Value).collect();
    place.extend((!index.unique).then(|| Part::Value(IndexValue::from(key))));
    place
}

/// The place right after one of values alone.
fn next(mut place: Place) -> Place {
    if let Some(last) = place.last_mut() {
        *last = match &*last {
            Part::Value(IndexValue::Int(number)) => {
                let next = number.checked_add(1).map(IndexValue::Int);
                Part::Value(next.unwrap_or_else(|| IndexValue::Text(String::new())))
            }
            Part::Value(IndexValue::Text(text)) => Part::Value(IndexValue::Text(format!("{text}\0"))),
            Part::Least | Part::Greatest => Part::Greatest,
        };
    }
    place
}

fn bounds(index: &Index, place: &Place) -> Document {
    let value = |part: &Part| match part {
        Part::Least => Bson::MinKey,
        Part::Value(value) => crate::space::bson(value),
        Part::Greatest => Bson::MaxKey,
    };
    columns(index).into_iter().zip(place.iter().map(value)).collect()
}

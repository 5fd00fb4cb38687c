//! A page of documents as SQL.
//!
//! Names the index, so that a page costs what it shows: SQLite reports an error where the index does not serve the
//! question, and never sorts or scans instead.

use cartwright_store::{IndexValue, Order, Query, StoreError};

use crate::table::{Table, Value, columns};

/// A statement and the values for its places.
pub(crate) struct Page<'a> {
    pub(crate) sql: String,
    pub(crate) values: Vec<Value<'a>>,
}

impl<'a> Page<'a> {
    /// The statement of a query, or `None` where nothing can fit it.
    pub(crate) fn of(table: &Table, query: &'a Query) -> Result<Option<Self>, StoreError> {
        match query.index {
            None => Ok(Self::by_key(table, query)),
            Some(name) => Self::by_index(table, name, query),
        }
    }

    fn start(table: &Table, hint: &str) -> Self {
        let sql = format!("SELECT key, revision, body, checksum FROM \"{}\" {hint} WHERE", table.collection);
        Self { sql, values: Vec::new() }
    }

    fn by_key(table: &Table, query: &'a Query) -> Option<Self> {
        if !query.prefix.is_empty() || matches!(query.below, Some(IndexValue::Int(_))) {
            return None;
        }
        let mut page = Self::start(table, "");
        page.sql.push_str(" TRUE");
        // A key is a text, and every number comes before it.
        page.bound("key", ">=", query.from.as_ref().filter(|from| matches!(from, IndexValue::Text(_))));
        page.bound("key", "<", query.below.as_ref());
        let sign = if query.order == Order::Ascending { ">" } else { "<" };
        if let Some((_, key)) = &query.after {
            page.sql.push_str(&format!(" AND key {sign} ?{}", page.values.len() + 1));
            page.values.push(Value::Key(key));
        }
        Some(page.end(&["key".to_owned()], query))
    }

    fn by_index(table: &Table, name: &str, query: &'a Query) -> Result<Option<Self>, StoreError> {
        let index = table.indexes.iter().find(|index| index.name == name);
        let Some(index) = index else {
            return Err(StoreError::Unusable(format!("{} has no index {name}", table.collection)));
        };
        let parts: Vec<String> = columns(index).collect();
        let fixed = query.prefix.len();
        let bounded = query.from.is_some() || query.below.is_some();
        if fixed > parts.len() || (bounded && fixed == parts.len()) {
            return Ok(None);
        }
        let mut page = Self::start(table, &format!("INDEXED BY \"{}\"", table.index_name(name)));
        page.sql.push_str(&format!(" {} IS NOT NULL", parts[0]));
        for (part, value) in parts.iter().zip(&query.prefix) {
            page.bound(part, "=", Some(value));
        }
        if let Some(next) = parts.get(fixed) {
            page.bound(next, ">=", query.from.as_ref());
            page.bound(next, "<", query.below.as_ref());
        }
        match &query.after {
            Some((values, key)) if values.len() == parts.len() => page.after(&parts, values, key, query),
            // The index does not list that document any more: it stands before all that it lists.
            Some(_) if query.order == Order::Descending => return Ok(None),
            Some(_) | None => {}
        }
        // A unique place holds one document, so its index has no key to order by.
        let mut order = parts;
        order.extend((!index.unique).then(|| "key".to_owned()));
        Ok(Some(page.end(&order, query)))
    }

    fn bound(&mut self, column: &str, sign: &str, value: Option<&'a IndexValue>) {
        if let Some(value) = value {
            self.sql.push_str(&format!(" AND {column} {sign} ?{}", self.values.len() + 1));
            self.values.push(Value::Place(value));
        }
    }

    /// Only what comes after the place of the last document: the parts that the prefix leaves open, then the key.
    fn after(&mut self, parts: &[String], values: &'a [IndexValue], key: &'a str, query: &Query) {
        let open = if values.starts_with(&query.prefix) { query.prefix.len() } else { 0 };
        let sign = if query.order == Order::Ascending { ">" } else { "<" };
        let first = self.values.len() + 1;
        let places: Vec<String> = (first..=first + values.len() - open).map(|number| format!("?{number}")).collect();
        self.sql.push_str(&format!(
            " AND ({}) {sign} ({})",
            [&parts[open..], &["key".to_owned()]].concat().join(", "),
            places.join(", ")
        ));
        self.values.extend(values[open..].iter().map(Value::Place));
        self.values.push(Value::Key(key));
    }

    fn end(mut self, order: &[String], query: &Query) -> Self {
        let direction = if query.order == Order::Ascending { "ASC" } else { "DESC" };
        let order: Vec<String> = order.iter().map(|column| format!("{column} {direction}")).collect();
        self.sql.push_str(&format!(" ORDER BY {} LIMIT ?{}", order.join(", "), self.values.len() + 1));
        self.values.push(Value::Limit(i64::try_from(query.limit).unwrap_or(i64::MAX)));
        self
    }
}

//! From what a shopper typed to a query.
//!
//! Every word must be found: as it is, or as the beginning of a word; where nothing is found so, with typing errors
//! allowed by its length. A whole SKU comes before everything else.

use std::ops::Bound;

use cartwright_contracts::StockStatus;
use tantivy::query::{
    AllQuery, BooleanQuery, BoostQuery, ConstScoreQuery, FuzzyTermQuery, Occur, Query, RangeQuery, TermQuery,
};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{Searcher, Term};

use super::schema::Fields;
use super::{Wanted, level, status_word};
use crate::domain::{category_key, fold, words};

/// Words of a question that are looked for.
const WORDS: usize = 10;
/// What a whole SKU weighs: more than any words can.
const SKU_WEIGHT: f32 = 10_000.0;

pub(super) struct Matching<'a> {
    pub(super) fields: &'a Fields,
    pub(super) searcher: &'a Searcher,
}

type Clause = (Occur, Box<dyn Query>);

impl Matching<'_> {
    /// The query for what is wanted; a tolerant one allows typing errors.
    pub(super) fn query(&self, wanted: &Wanted, tolerant: bool) -> tantivy::Result<BooleanQuery> {
        let mut clauses: Vec<Clause> = vec![(Occur::Must, self.text(&wanted.text, tolerant))];
        let mut filter = |query: Box<dyn Query>| {
            let silent: Box<dyn Query> = Box::new(ConstScoreQuery::new(query, 0.0));
            clauses.push((Occur::Must, silent));
        };
        if let Some(status) = wanted.status {
            filter(term(Term::from_field_text(self.fields.status, status_word(status))));
        }
        if let Some(category) = &wanted.category {
            filter(term(Term::from_field_text(self.fields.category_key, &category_key(category))));
        }
        if let Some(brand) = &wanted.brand {
            filter(term(Term::from_field_text(self.fields.brand_key, &fold(brand))));
        }
        if let Some(in_stock) = wanted.in_stock {
            let none = term(Term::from_field_u64(self.fields.level, level(StockStatus::OutOfStock)));
            let occur = if in_stock { Occur::MustNot } else { Occur::Must };
            filter(Box::new(BooleanQuery::new(vec![(Occur::Must, Box::new(AllQuery)), (occur, none)])));
        }
        if wanted.min_price.is_some() || wanted.max_price.is_some() {
            let bound = |minor: Option<u64>| {
                minor.map_or(Bound::Unbounded, |minor| Bound::Included(Term::from_field_u64(self.fields.price, minor)))
            };
            filter(Box::new(RangeQuery::new(bound(wanted.min_price), bound(wanted.max_price))));
        }
        Ok(BooleanQuery::new(clauses))
    }

    fn text(&self, text: &str, tolerant: bool) -> Box<dyn Query> {
        let text = text.trim();
        if text.is_empty() {
            return Box::new(AllQuery);
        }
        let sku = term(Term::from_field_text(self.fields.sku, &text.to_lowercase()));
        let mut either: Vec<Clause> = vec![(Occur::Should, Box::new(BoostQuery::new(sku, SKU_WEIGHT)))];
        let words = words(text);
        if !words.is_empty() {
            let every: Vec<Clause> =
                words.iter().take(WORDS).map(|word| (Occur::Must, self.word(word, tolerant))).collect();
            either.push((Occur::Should, Box::new(BooleanQuery::new(every))));
        }
        Box::new(BooleanQuery::new(either))
    }

    fn word(&self, word: &str, tolerant: bool) -> Box<dyn Query> {
        let mut ways: Vec<Clause> = Vec::new();
        for (field, [exactly, begins, nearly, begins_nearly]) in self.weighted() {
            let term = Term::from_field_text(field, word);
            let exact = TermQuery::new(term.clone(), IndexRecordOption::WithFreqs);
            ways.push((Occur::Should, Box::new(BoostQuery::new(Box::new(exact), exactly))));
            let prefix = FuzzyTermQuery::new_prefix(term.clone(), 0, true);
            ways.push((Occur::Should, Box::new(BoostQuery::new(Box::new(prefix), begins))));
            let errors = errors_in(word);
            if tolerant && errors > 0 {
                let like = FuzzyTermQuery::new(term.clone(), errors, true);
                ways.push((Occur::Should, Box::new(BoostQuery::new(Box::new(like), nearly))));
                let begins_like = FuzzyTermQuery::new_prefix(term, errors, true);
                ways.push((Occur::Should, Box::new(BoostQuery::new(Box::new(begins_like), begins_nearly))));
            }
        }
        Box::new(BooleanQuery::new(ways))
    }

    /// Where words are looked for, and what each kind of find there weighs: the word itself, the beginning of one, one
    /// with typing errors, the beginning of one with typing errors.
    fn weighted(&self) -> [(Field, [f32; 4]); 5] {
        let fields = self.fields;
        [
            (fields.name_words, [8.0, 4.0, 2.0, 0.5]),
            (fields.sku_words, [6.0, 3.0, 1.0, 0.2]),
            (fields.brand_words, [4.0, 2.0, 1.0, 0.2]),
            (fields.category_words, [4.0, 2.0, 1.0, 0.2]),
            (fields.other_words, [1.0, 0.5, 0.2, 0.1]),
        ]
    }

    /// The word of names, brands and categories that is most like `word`: itself where one begins with it.
    fn nearest(&self, word: &str) -> tantivy::Result<Option<String>> {
        let mut nearest: Option<(usize, std::cmp::Reverse<u32>, String)> = None;
        for field in [self.fields.name_words, self.fields.brand_words, self.fields.category_words] {
            let term = Term::from_field_text(field, word);
            for (query, itself) in [
                (FuzzyTermQuery::new_prefix(term.clone(), 0, true), true),
                (FuzzyTermQuery::new(term, errors_in(word), true), false),
            ] {
                for segment in self.searcher.segment_readers() {
                    let index = segment.inverted_index(field)?;
                    let mut stream = index.terms().search(query.automaton()?).into_stream()?;
                    while stream.advance() {
                        if itself {
                            return Ok(Some(word.to_owned()));
                        }
                        let Ok(candidate) = std::str::from_utf8(stream.key()) else { continue };
                        let far = strsim::osa_distance(word, candidate);
                        let next = (far, std::cmp::Reverse(stream.value().doc_freq), candidate.to_owned());
                        if nearest.as_ref().is_none_or(|nearest| next < *nearest) {
                            nearest = Some(next);
                        }
                    }
                }
            }
        }
        Ok(nearest.map(|(_, _, word)| word))
    }
}

/// What the shopper may have meant, where a word of `text` is unknown and others are like it.
pub(super) fn corrected(matching: &Matching<'_>, text: &str) -> tantivy::Result<Option<String>> {
    let typed = words(text);
    let mut meant = Vec::with_capacity(typed.len());
    for word in typed.iter().take(WORDS) {
        meant.push(matching.nearest(word)?.unwrap_or_else(|| word.clone()));
    }
    Ok((meant != typed).then(|| meant.join(" ")))
}

/// Typing errors that a word of its length may have: none in a short one, where anything is like anything.
fn errors_in(word: &str) -> u8 {
    match word.chars().count() {
        0..=3 => 0,
        4..=7 => 1,
        8.. => 2,
    }
}

fn term(term: Term) -> Box<dyn Query> {
    Box::new(TermQuery::new(term, IndexRecordOption::Basic))
}

//! Filters over the index: a filter becomes the set of entities that match.
//!
//! Positive conditions are intersected smallest first, negated ones subtracted, so that a
//! complement is only made where a filter is nothing but negation. Work is charged by the row, and a
//! request that exceeds its budget is refused: a thousand prefixes over a million values would
//! otherwise take minutes (hostile row h08).

use std::borrow::Cow;

use greenroom_model::EntityRef;
use greenroom_model::filter::EntityFilter;
use roaring::RoaringBitmap;

use crate::dictionary::Posting;
use crate::key_order::row_value;
use crate::{FullText, Index, QueryError};

/// Rows one request may touch: about a second of work.
const MOST_WORK: u64 = 30_000_000;

/// What a request has left to spend.
pub(super) struct Budget {
    left: u64,
}

impl Budget {
    pub(super) fn new() -> Budget {
        Budget { left: MOST_WORK }
    }

    pub(super) fn spend(&mut self, rows: u64) -> Result<(), QueryError> {
        match self.left.checked_sub(rows + 1) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(QueryError::TooCostly),
        }
    }
}

type Docs<'a> = Cow<'a, RoaringBitmap>;

impl Index {
    /// Number of entities that match.
    ///
    /// # Errors
    /// [`QueryError::TooCostly`].
    pub fn count(&self, filter: &EntityFilter) -> Result<u64, QueryError> {
        Ok(self.matching(Some(filter), &mut Budget::new())?.len())
    }

    /// Whether the entity is there and matches; for `by-refs` with a filter (ref §7.2).
    #[must_use]
    pub fn matches(&self, entity_ref: &EntityRef, filter: &EntityFilter) -> bool {
        self.docs
            .find(entity_ref)
            .is_some_and(|doc| self.one_matches(doc, filter))
    }

    fn one_matches(&self, doc: u32, filter: &EntityFilter) -> bool {
        let dictionary = &self.dictionary;
        // Whether a term of the entity with this key passes the test of its value.
        let any =
            |key: &str, test: &dyn Fn(Option<&str>) -> bool| {
                dictionary.key(key).is_some_and(|key| {
                    self.docs.get(doc).terms.iter().any(|term| {
                        dictionary.term(*term).key == key && test(dictionary.value(*term))
                    })
                })
            };
        match filter {
            EntityFilter::All(inner) => inner.iter().all(|inner| self.one_matches(doc, inner)),
            EntityFilter::Any(inner) => inner.iter().any(|inner| self.one_matches(doc, inner)),
            EntityFilter::Not(inner) => !self.one_matches(doc, inner),
            EntityFilter::Exists { key } => any(key, &|_| true),
            EntityFilter::In { key, values } => any(key, &|value| {
                value.is_some_and(|value| values.iter().any(|wanted| wanted == value))
            }),
            EntityFilter::HasPrefix { key, prefix } => any(key, &|value| {
                value.is_some_and(|value| value.starts_with(prefix.as_str()))
            }),
        }
    }

    /// The entities that match; all without a filter.
    pub(super) fn matching(
        &self,
        filter: Option<&EntityFilter>,
        budget: &mut Budget,
    ) -> Result<Docs<'_>, QueryError> {
        match filter {
            Some(filter) => self.evaluate(filter, budget),
            None => Ok(Cow::Borrowed(self.docs.all())),
        }
    }

    fn evaluate(&self, filter: &EntityFilter, budget: &mut Budget) -> Result<Docs<'_>, QueryError> {
        match filter {
            EntityFilter::All(inner) => self.all_of(inner, budget),
            EntityFilter::Any(inner) => {
                let mut found: Docs<'_> = Cow::Owned(RoaringBitmap::new());
                for inner in inner {
                    let docs = self.evaluate(inner, budget)?;
                    budget.spend(cost(&found) + cost(&docs))?;
                    found = union(found, docs);
                }
                Ok(found)
            }
            EntityFilter::Not(inner) => {
                let docs = self.evaluate(inner, budget)?;
                budget.spend(cost(self.docs.all()))?;
                Ok(Cow::Owned(self.docs.all() - docs.as_ref()))
            }
            EntityFilter::Exists { key } => self.with_key(key, budget),
            EntityFilter::In { key, values } => self.with_value(key, values, budget),
            EntityFilter::HasPrefix { key, prefix } => self.with_prefix(key, prefix, budget),
        }
    }

    fn all_of(
        &self,
        filters: &[EntityFilter],
        budget: &mut Budget,
    ) -> Result<Docs<'_>, QueryError> {
        let mut wanted = Vec::new();
        let mut unwanted = Vec::new();
        for filter in filters {
            match filter {
                EntityFilter::Not(inner) => unwanted.push(self.evaluate(inner, budget)?),
                filter => wanted.push(self.evaluate(filter, budget)?),
            }
        }
        wanted.sort_by_key(|docs| docs.len());
        let mut wanted = wanted.into_iter();
        let mut found = wanted
            .next()
            .unwrap_or_else(|| Cow::Borrowed(self.docs.all()));
        for docs in wanted {
            budget.spend(cost(&found))?;
            found = Cow::Owned(found.as_ref() & docs.as_ref());
        }
        for docs in unwanted {
            budget.spend(cost(&found))?;
            found = Cow::Owned(found.as_ref() - docs.as_ref());
        }
        Ok(found)
    }

    fn with_key(&self, key: &str, budget: &mut Budget) -> Result<Docs<'_>, QueryError> {
        budget.spend(0)?;
        let Some(key) = self.dictionary.key(key) else {
            return Ok(Cow::Owned(RoaringBitmap::new()));
        };
        // Most keys have one term (`metadata.tags.java` = true): nothing to build.
        Ok(match self.dictionary.terms_of(key) {
            Posting::One(term) => self.dictionary.term(*term).docs.to_bitmap(),
            _ => Cow::Borrowed(self.dictionary.present(key)),
        })
    }

    fn with_value(
        &self,
        key: &str,
        values: &[String],
        budget: &mut Budget,
    ) -> Result<Docs<'_>, QueryError> {
        let mut found: Docs<'_> = Cow::Owned(RoaringBitmap::new());
        budget.spend(values.len() as u64)?;
        let Some(key) = self.dictionary.key(key) else {
            return Ok(found);
        };
        for value in values {
            for posting in self.dictionary.postings(key, value) {
                budget.spend(posting_cost(posting))?;
                if found.is_empty() {
                    found = posting.to_bitmap();
                } else {
                    posting.union_into(found.to_mut());
                }
            }
        }
        Ok(found)
    }

    fn with_prefix(
        &self,
        key: &str,
        prefix: &str,
        budget: &mut Budget,
    ) -> Result<Docs<'_>, QueryError> {
        let mut found = RoaringBitmap::new();
        budget.spend(0)?;
        let Some(key) = self.dictionary.key(key) else {
            return Ok(Cow::Owned(found));
        };
        let order = &self.dictionary.order(key, &self.docs).rows;
        let value = |row| row_value(&self.dictionary, row);
        let start = order.partition_point(|row| value(row) < prefix);
        let mut docs = Vec::new();
        for row in order.after(start) {
            if !value(row).starts_with(prefix) {
                break;
            }
            budget.spend(1)?;
            docs.push(row.doc);
        }
        docs.sort_unstable();
        found.extend(docs);
        Ok(Cow::Owned(found))
    }

    /// The entities with the text in a value of one of the fields, or of the default field.
    pub(super) fn with_text(
        &self,
        full_text: &FullText,
        default_field: &str,
        budget: &mut Budget,
    ) -> Result<Option<RoaringBitmap>, QueryError> {
        full_text.check()?;
        let text = greenroom_model::lower_case(greenroom_model::trim(&full_text.term));
        if text.is_empty() {
            return Ok(None);
        }
        let mut docs = Vec::new();
        let mut found = RoaringBitmap::new();
        let default_field = [default_field];
        let fields = full_text.fields.iter().map(String::as_str);
        let defaults = default_field.iter().copied();
        let defaults = defaults.filter(|_| full_text.fields.is_empty());
        for field in fields.chain(defaults) {
            let field = greenroom_model::lower_case(field.trim());
            let Some(key) = self.dictionary.key(&field) else {
                continue;
            };
            budget.spend(self.dictionary.terms_of(key).len())?;
            let mut work = 0;
            self.dictionary.text_of(key).find(&text, |term| {
                match &self.dictionary.term(term).docs {
                    Posting::One(doc) => docs.push(*doc),
                    posting => {
                        work += posting_cost(posting);
                        posting.union_into(&mut found);
                    }
                }
            });
            budget.spend(work)?;
        }
        docs.sort_unstable();
        found.extend(docs);
        Ok(Some(found))
    }
}

fn union<'a>(left: Docs<'a>, right: Docs<'a>) -> Docs<'a> {
    if left.is_empty() {
        right
    } else if right.is_empty() {
        left
    } else {
        // Into whichever is already a copy, so that nothing is cloned twice.
        let (mut into, other) = match left {
            Cow::Owned(left) => (left, right),
            Cow::Borrowed(_) => (right.into_owned(), left),
        };
        into |= other.as_ref();
        Cow::Owned(into)
    }
}

/// Bitmaps are worked on sixty-four entities at a time.
fn cost(docs: &RoaringBitmap) -> u64 {
    docs.len() / 64
}

fn posting_cost(posting: &Posting) -> u64 {
    match posting {
        Posting::Many(many) => cost(many),
        small => small.len(),
    }
}

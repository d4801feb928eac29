//! GET `/entities` with paging (ref §7.6): by ref, or by all order directives, what lacks a value
//! last in either direction, ties by uid ascending.
//!
//! One directive walks the order of its key. Several, or a filter that leaves little, make the rows
//! anew: every combination of the entity's values, as a join would, which is why rows are charged.

use std::cmp::Ordering;

use roaring::RoaringBitmap;

use super::evaluate::Budget;
use super::rows::{Order, scan_is_cheaper};
use crate::key_order::{NO_TERM, Row, row_value};
use crate::order_field::check_count;
use crate::{After, Direction, Index, ListPage, ListRequest, MAX_PAGE, QueryError};

/// A key to sort by: `None` if nobody has it, or if it was not written in lower case.
type Directive = (Option<u32>, Direction);

impl Index {
    /// One page of GET `/entities` with `limit`, `offset` or `after` (ref §7.6).
    ///
    /// # Errors
    /// [`QueryError::TooMany`] order fields, [`QueryError::TooCostly`].
    pub fn list(&self, request: &ListRequest) -> Result<ListPage, QueryError> {
        check_count(request.order.len())?;
        let mut budget = Budget::new();
        let docs = self.matching(request.filter.as_ref(), &mut budget)?;
        let limit = request.limit.unwrap_or(MAX_PAGE).min(MAX_PAGE);
        if limit == 0 {
            return Ok(ListPage {
                hits: Vec::new(),
                next: None,
            });
        }
        let directives: Vec<Directive> = request
            .order
            .iter()
            .map(|order| (self.dictionary.key(&order.field), order.order))
            .collect();
        let window = Window {
            skip: usize::try_from(request.offset).unwrap_or(usize::MAX),
            take: usize::try_from(limit + 1).unwrap_or(usize::MAX),
        };
        let mut found = match directives.as_slice() {
            [] => self.by_ref(&docs, &window),
            [(key, direction)] => match key.filter(|key| self.scan_pays(*key, &docs, &window)) {
                Some(key) => self.by_one(key, *direction, &docs, &window),
                None => self.by_many(&directives, &docs, &window, &mut budget)?,
            },
            _ => self.by_many(&directives, &docs, &window, &mut budget)?,
        };
        let more = found.len() as u64 > limit;
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let next = After {
            limit: Some(limit),
            offset: request.offset.saturating_add(limit),
        };
        Ok(ListPage {
            hits: found.into_iter().map(|doc| self.docs.hit(doc)).collect(),
            next: more.then(|| next.encode()),
        })
    }

    fn scan_pays(&self, key: u32, docs: &RoaringBitmap, window: &Window) -> bool {
        let rows = self.rows_of(Order::Key(key)).len() as u64;
        scan_is_cheaper(rows, docs.len(), window.end())
    }

    fn by_ref(&self, docs: &RoaringBitmap, window: &Window) -> Vec<u32> {
        if window.skip as u64 >= docs.len() {
            return Vec::new();
        }
        let rows = self.docs.ref_order();
        if scan_is_cheaper(rows.len() as u64, docs.len(), window.end()) {
            let rows = rows.after(rows.start()).map(|row| row.doc);
            return window.of(rows.filter(|doc| docs.contains(*doc)));
        }
        let row = |doc| Row { term: NO_TERM, doc };
        let mut found: Vec<u32> = docs.iter().collect();
        found.sort_unstable_by(|left, right| self.docs.compare_refs(row(*left), row(*right)));
        window.of(found.into_iter())
    }

    /// The rows of one key in order, then the entities without a value by uid.
    fn by_one(
        &self,
        key: u32,
        direction: Direction,
        docs: &RoaringBitmap,
        window: &Window,
    ) -> Vec<u32> {
        let order = self.dictionary.order(key, &self.docs);
        let rows = &order.rows;
        if window.skip as u64 >= rows.len() as u64 + docs.len() {
            return Vec::new();
        }
        let value = |row| row_value(&self.dictionary, row);
        let with_value = match direction {
            Direction::Asc => {
                let rows = rows.after(rows.start()).map(|row| row.doc);
                window.of(rows.filter(|doc| docs.contains(*doc)))
            }
            Direction::Desc => {
                // Values go down while uids within one go up: walk back, turn each group round.
                let mut backward = rows.before(rows.end()).peekable();
                let mut group: Vec<Row> = Vec::new();
                let groups = std::iter::from_fn(|| {
                    if group.is_empty() {
                        group.extend(backward.next());
                        let first = value(*group.first()?);
                        while let Some(row) = backward.next_if(|row| value(*row) == first) {
                            group.push(row);
                        }
                    }
                    group.pop().map(|row| row.doc)
                });
                window.of(groups.filter(|doc| docs.contains(*doc)))
            }
        };
        if with_value.len() == window.take {
            return with_value;
        }
        // The window reaches beyond the rows with a value; count them to know where it goes on.
        let rows_inside = if with_value.is_empty() {
            let rows = rows.after(rows.start());
            rows.filter(|row| docs.contains(row.doc)).count()
        } else {
            window.skip + with_value.len()
        };
        let rest = Window {
            skip: window.skip.saturating_sub(rows_inside),
            take: window.take - with_value.len(),
        };
        let uids = self.docs.uid_order();
        let without = uids.after(uids.start()).map(|row| row.doc);
        let without = without.filter(|doc| docs.contains(*doc) && !order.docs.contains(*doc));
        let mut found = with_value;
        found.extend(rest.of(without));
        found
    }

    /// Every combination of values of the directives' keys, sorted.
    fn by_many(
        &self,
        directives: &[Directive],
        docs: &RoaringBitmap,
        window: &Window,
        budget: &mut Budget,
    ) -> Result<Vec<u32>, QueryError> {
        let mut rows: Vec<(u32, Box<[u32]>)> = Vec::new();
        for doc in docs {
            let mut combinations: Vec<Vec<u32>> = vec![Vec::new()];
            for (key, _) in directives {
                let mut values = Vec::new();
                if let Some(key) = key {
                    self.each_value(doc, *key, |term| values.push(term));
                }
                if values.is_empty() {
                    values.push(NO_TERM);
                }
                let count = values.len() as u64 * combinations.len() as u64;
                budget.spend(count.saturating_mul(8))?;
                combinations = combinations
                    .iter()
                    .flat_map(|head| {
                        values.iter().map(move |value| {
                            let mut row = head.clone();
                            row.push(*value);
                            row
                        })
                    })
                    .collect();
            }
            rows.extend(combinations.into_iter().map(|row| (doc, row.into())));
        }
        if window.skip >= rows.len() {
            return Ok(Vec::new());
        }
        let compare = |left: &(u32, Box<[u32]>), right: &(u32, Box<[u32]>)| {
            let pairs = left.1.iter().zip(&right.1).zip(directives);
            pairs
                .map(|((left, right), (_, direction))| {
                    self.compare_values(*left, *right, *direction)
                })
                .find(|order| order.is_ne())
                .unwrap_or(Ordering::Equal)
                .then_with(|| self.docs.uid(left.0).cmp(self.docs.uid(right.0)))
        };
        let end = window.skip.saturating_add(window.take);
        if end < rows.len() {
            // Only the rows up to the end of the page need an order among themselves.
            rows.select_nth_unstable_by(end, compare);
            rows.truncate(end);
        }
        rows.sort_unstable_by(compare);
        Ok(window.of(rows.into_iter().map(|row| row.0)))
    }

    /// Values in a direction, nothing last in both.
    fn compare_values(&self, left: u32, right: u32, direction: Direction) -> Ordering {
        match (left == NO_TERM, right == NO_TERM) {
            (true, true) => return Ordering::Equal,
            (true, false) => return Ordering::Greater,
            (false, true) => return Ordering::Less,
            (false, false) => {}
        }
        let order = self
            .dictionary
            .value(left)
            .cmp(&self.dictionary.value(right));
        match direction {
            Direction::Asc => order,
            Direction::Desc => order.reverse(),
        }
    }
}

/// The part of an answer that is wanted.
struct Window {
    skip: usize,
    take: usize,
}

impl Window {
    fn end(&self) -> u64 {
        (self.skip as u64).saturating_add(self.take as u64)
    }

    fn of(&self, docs: impl Iterator<Item = u32>) -> Vec<u32> {
        docs.skip(self.skip).take(self.take).collect()
    }
}

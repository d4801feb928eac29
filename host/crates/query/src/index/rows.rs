//! Taking a run of rows out of an order, keeping to the entities that match.
//!
//! Two ways give the same rows. *Scanning* walks the order from the boundary and skips what does
//! not match: quick when much matches. *Gathering* collects the rows of what matches and sorts
//! them: quick when little does. The cheaper one is chosen by estimate.

use std::cmp::Ordering;

use roaring::RoaringBitmap;

use crate::Index;
use crate::key_order::{NO_TERM, Row, compare, row_value};
use crate::sorted::Sorted;

/// Nanoseconds, roughly: one step of a scan, finding one entity's rows, one comparison of two rows.
const SCAN_STEP: u64 = 8;
const GATHER_STEP: u64 = 300;
const COMPARISON: u64 = 40;

/// An order to take rows from.
#[derive(Clone, Copy)]
pub(super) enum Order {
    /// All entities by uid.
    Uid,
    /// Entities by a value of this key, then uid.
    Key(u32),
}

/// What to take.
pub(super) struct Run<'a> {
    pub(super) order: Order,
    /// Only rows of these entities. All of them have a row.
    pub(super) docs: &'a RoaringBitmap,
    /// Largest first if set; ties follow.
    pub(super) descending: bool,
    /// Only rows strictly beyond this (value, uid), in the direction taken.
    pub(super) beyond: Option<(&'a str, &'a str)>,
    pub(super) skip: u64,
    pub(super) take: u64,
}

impl Index {
    pub(super) fn rows_of(&self, order: Order) -> &Sorted<Row> {
        match order {
            Order::Uid => self.docs.uid_order(),
            Order::Key(key) => &self.dictionary.order(key, &self.docs).rows,
        }
    }

    /// The rows of a run, in the direction taken.
    pub(super) fn run(&self, run: &Run<'_>) -> Vec<Row> {
        let all = self.rows_of(run.order);
        if run.skip >= all.len() as u64 || run.take == 0 {
            return Vec::new();
        }
        if scan_is_cheaper(all.len() as u64, run.docs.len(), run.skip + run.take) {
            self.scan(all, run)
        } else {
            self.gather(run)
        }
    }

    fn scan(&self, all: &Sorted<Row>, run: &Run<'_>) -> Vec<Row> {
        let at_boundary = |row: Row| match run.beyond {
            Some(beyond) => self.compare_to(row, beyond),
            None => Ordering::Equal,
        };
        if run.descending {
            let place = match run.beyond {
                Some(_) => all.partition_point(|row| at_boundary(row).is_lt()),
                None => all.end(),
            };
            select(all.before(place), run)
        } else {
            let place = match run.beyond {
                Some(_) => all.partition_point(|row| at_boundary(row).is_le()),
                None => all.start(),
            };
            select(all.after(place), run)
        }
    }

    fn gather(&self, run: &Run<'_>) -> Vec<Row> {
        let mut rows = Vec::new();
        for doc in run.docs {
            match run.order {
                Order::Uid => rows.push(Row { term: NO_TERM, doc }),
                Order::Key(key) => self.each_value(doc, key, |term| rows.push(Row { term, doc })),
            }
        }
        if let Some(beyond) = run.beyond {
            let wanted = if run.descending {
                Ordering::Less
            } else {
                Ordering::Greater
            };
            rows.retain(|row| self.compare_to(*row, beyond) == wanted);
        }
        rows.sort_unstable_by(|left, right| {
            let order = compare(&self.dictionary, &self.docs, *left, *right);
            if run.descending {
                order.reverse()
            } else {
                order
            }
        });
        select(rows.into_iter(), run)
    }

    /// Calls with each term of the entity that has this key and a value.
    pub(super) fn each_value(&self, doc: u32, key: u32, mut with: impl FnMut(u32)) {
        for term in &self.docs.get(doc).terms {
            if self.dictionary.term(*term).key == key && self.dictionary.value(*term).is_some() {
                with(*term);
            }
        }
    }

    fn compare_to(&self, row: Row, (value, uid): (&str, &str)) -> Ordering {
        let values = row_value(&self.dictionary, row).cmp(value);
        values.then_with(|| self.docs.uid(row.doc).cmp(uid))
    }
}

/// Whether walking an order of `rows` until `wanted` of the `matching` were met beats sorting those.
pub(super) fn scan_is_cheaper(rows: u64, matching: u64, wanted: u64) -> bool {
    let Some(rows_per_match) = rows.checked_div(matching) else {
        return false;
    };
    let steps = rows.min(wanted.saturating_mul(rows_per_match + 1));
    let comparisons = u64::from(u64::BITS - matching.leading_zeros()) * COMPARISON;
    steps * SCAN_STEP <= matching.saturating_mul(GATHER_STEP + comparisons)
}

fn select(rows: impl Iterator<Item = Row>, run: &Run<'_>) -> Vec<Row> {
    let bounded = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    rows.filter(|row| run.docs.contains(row.doc))
        .skip(bounded(run.skip))
        .take(bounded(run.take))
        .collect()
}

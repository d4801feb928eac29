//! The rows of a key in order: what sorting by that key walks.
//!
//! A row is one (term, entity): an entity with several values has several. Null values have no row:
//! an entity with only null counts as lacking the field, since a cursor could not stand on it.
//! Rows compare by lower-cased value in UTF-8 byte order, then by uid (DESIGN §6).

use std::cmp::Ordering;

use roaring::RoaringBitmap;

use crate::dictionary::{Dictionary, Posting};
use crate::documents::Documents;
use crate::sorted::Sorted;

/// The term of rows that stand for an entity alone, in orders by uid and by ref.
pub(crate) const NO_TERM: u32 = u32::MAX;

/// One row of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) term: u32,
    pub(crate) doc: u32,
}

#[derive(Debug)]
pub(crate) struct KeyOrder {
    pub(crate) rows: Sorted<Row>,
    /// The entities that have a row.
    pub(crate) docs: RoaringBitmap,
}

impl KeyOrder {
    /// The order of these terms, which are all of one key.
    pub(crate) fn build(dictionary: &Dictionary, docs: &Documents, terms: &Posting) -> KeyOrder {
        let mut by_value: Vec<(&str, u32)> = terms
            .iter()
            .filter_map(|term| Some((dictionary.value(term)?, term)))
            .collect();
        by_value.sort_unstable();
        let mut rows: Vec<Row> = Vec::with_capacity(by_value.len());
        // Values first, then uids within a value: far fewer and shorter comparisons than rows.
        for same in by_value.chunk_by(|left, right| left.0 == right.0) {
            let from = rows.len();
            for (_, term) in same {
                let docs = dictionary.term(*term).docs.iter();
                rows.extend(docs.map(|doc| Row { term: *term, doc }));
            }
            rows[from..]
                .sort_unstable_by(|left, right| docs.uid(left.doc).cmp(docs.uid(right.doc)));
        }
        let mut ids: Vec<u32> = rows.iter().map(|row| row.doc).collect();
        ids.sort_unstable();
        KeyOrder {
            rows: Sorted::from_sorted(&rows),
            docs: ids.into_iter().collect(),
        }
    }

    pub(crate) fn insert(&mut self, row: Row, dictionary: &Dictionary, docs: &Documents) {
        self.docs.insert(row.doc);
        self.rows
            .insert(row, |left, right| compare(dictionary, docs, left, right));
    }

    /// Removes a row; the entity stays listed if it `keeps` another value of the key.
    pub(crate) fn remove(
        &mut self,
        row: Row,
        keeps: bool,
        dictionary: &Dictionary,
        docs: &Documents,
    ) {
        if !keeps {
            self.docs.remove(row.doc);
        }
        self.rows
            .remove(row, |left, right| compare(dictionary, docs, left, right));
    }

    pub(crate) fn bytes(&self) -> usize {
        self.rows.bytes() + self.docs.serialized_size()
    }
}

/// The value of a row; empty where it has none.
pub(crate) fn row_value(dictionary: &Dictionary, row: Row) -> &str {
    if row.term == NO_TERM {
        return "";
    }
    dictionary.value(row.term).unwrap_or_default()
}

/// The order of rows, total over the rows of one key.
pub(crate) fn compare(
    dictionary: &Dictionary,
    docs: &Documents,
    left: Row,
    right: Row,
) -> Ordering {
    row_value(dictionary, left)
        .cmp(row_value(dictionary, right))
        .then_with(|| docs.uid(left.doc).cmp(docs.uid(right.doc)))
        .then_with(|| left.doc.cmp(&right.doc))
}

//! `/entities/by-query`: one order field, cursors both ways, totals (ref §7.7).
//!
//! Entities without a value of the order field are left out of items and total. One with several
//! values repeats in the items and counts once. Ties go by uid in the same direction, so descending
//! is exactly ascending backwards.

use std::borrow::Cow;

use greenroom_model::filter::EntityFilter;
use roaring::RoaringBitmap;

use super::evaluate::Budget;
use super::rows::{Order, Run};
use crate::key_order::{NO_TERM, Row, row_value};
use crate::order_field::check_count;
use crate::{
    Cursor, DEFAULT_QUERY_LIMIT, Direction, Index, MAX_PAGE, OrderField, QueryError, QueryPage,
    QueryRequest, TotalItems,
};

impl Index {
    /// One page of `/entities/by-query` (ref §7.7).
    ///
    /// # Errors
    /// [`QueryError::TooMany`] order or full-text fields, [`QueryError::TooCostly`].
    pub fn query(&self, request: &QueryRequest) -> Result<QueryPage, QueryError> {
        let limit = request.limit.unwrap_or(DEFAULT_QUERY_LIMIT).min(MAX_PAGE);
        match &request.cursor {
            Some(cursor) => self.continued(cursor, limit),
            None => self.first_page(request, limit),
        }
    }

    fn first_page(&self, request: &QueryRequest, limit: u64) -> Result<QueryPage, QueryError> {
        check_count(request.order.len())?;
        let mut cursor = Cursor {
            order_fields: request.order.iter().take(1).cloned().collect(),
            order_field_values: Vec::new(),
            first_sort_field_values: Vec::new(),
            is_previous: false,
            query: request
                .filter
                .clone()
                .unwrap_or_else(EntityFilter::everything),
            full_text_filter: request.full_text.clone(),
            total_items: 0,
        };
        let (order, docs) = self.candidates(&cursor)?;
        if request.total_items == TotalItems::Include {
            cursor.total_items = docs.len();
        }
        let (rows, more) = self.page(&cursor, order, &docs, limit, request.offset);
        if let Some(first) = rows.first() {
            cursor.first_sort_field_values = self.sort_values(*first);
        }
        Ok(QueryPage {
            hits: rows.iter().map(|row| self.docs.hit(row.doc)).collect(),
            total_items: cursor.total_items,
            next_cursor: rows
                .last()
                .filter(|_| more)
                .map(|last| self.beyond(&cursor, *last, false)),
            prev_cursor: None,
        })
    }

    fn continued(&self, cursor: &Cursor, limit: u64) -> Result<QueryPage, QueryError> {
        check_count(cursor.order_fields.len())?;
        let (order, docs) = self.candidates(cursor)?;
        let (rows, more) = self.page(cursor, order, &docs, limit, 0);
        let backward = cursor.is_previous;
        // Going back ends at the row the first page began with, or where nothing comes before.
        let previous = rows.first().filter(|first| {
            (!backward || more) && self.sort_values(**first) != cursor.first_sort_field_values
        });
        let next = rows.last().filter(|_| backward || more);
        Ok(QueryPage {
            hits: rows.iter().map(|row| self.docs.hit(row.doc)).collect(),
            total_items: cursor.total_items,
            next_cursor: next.map(|row| self.beyond(cursor, *row, false)),
            prev_cursor: previous.map(|row| self.beyond(cursor, *row, true)),
        })
    }

    /// The order asked for and the entities that count. A key nobody has gives none.
    fn candidates(&self, cursor: &Cursor) -> Result<(Order, Cow<'_, RoaringBitmap>), QueryError> {
        let mut budget = Budget::new();
        let order_field = cursor.order_fields.first();
        let field = order_field.map(|order| greenroom_model::lower_case(order.field.trim()));
        let order = match &field {
            None => Order::Uid,
            Some(field) => match self.dictionary.key(field) {
                Some(key) => Order::Key(key),
                None => return Ok((Order::Uid, Cow::Owned(RoaringBitmap::new()))),
            },
        };
        let mut docs = self.matching(Some(&cursor.query), &mut budget)?;
        if let Some(full_text) = &cursor.full_text_filter {
            let default_field = field.as_deref().unwrap_or("metadata.uid");
            if let Some(found) = self.with_text(full_text, default_field, &mut budget)? {
                docs = Cow::Owned(found & docs.as_ref());
            }
        }
        if let Order::Key(key) = order {
            let ordered = &self.dictionary.order(key, &self.docs).docs;
            docs = if docs.as_ref() == self.docs.all() {
                Cow::Borrowed(ordered)
            } else {
                Cow::Owned(docs.as_ref() & ordered)
            };
        }
        Ok((order, docs))
    }

    /// The rows of a page as they are shown, and whether more lie beyond in the direction read.
    fn page(
        &self,
        cursor: &Cursor,
        order: Order,
        docs: &RoaringBitmap,
        limit: u64,
        offset: u64,
    ) -> (Vec<Row>, bool) {
        if limit == 0 {
            return (Vec::new(), false);
        }
        let first = cursor.order_fields.first();
        let descending = first.is_some_and(|OrderField { order, .. }| *order == Direction::Desc);
        let beyond = match cursor.order_field_values.as_slice() {
            [uid] => Some(("", uid.as_str())),
            [value, uid] => Some((value.as_str(), uid.as_str())),
            _ => None,
        };
        let mut rows = self.run(&Run {
            order,
            docs,
            descending: descending != cursor.is_previous,
            beyond,
            skip: offset,
            take: limit + 1,
        });
        let more = rows.len() as u64 > limit;
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        if cursor.is_previous {
            rows.reverse();
        }
        (rows, more)
    }

    fn beyond(&self, cursor: &Cursor, row: Row, is_previous: bool) -> String {
        let cursor = Cursor {
            order_field_values: self.sort_values(row),
            is_previous,
            ..cursor.clone()
        };
        cursor.encode()
    }

    /// `[uid]`, or `[value, uid]` when ordered by a key.
    fn sort_values(&self, row: Row) -> Vec<String> {
        let uid = self.docs.uid(row.doc).to_owned();
        if row.term == NO_TERM {
            return vec![uid];
        }
        vec![row_value(&self.dictionary, row).to_owned(), uid]
    }
}

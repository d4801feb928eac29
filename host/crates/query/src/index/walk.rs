//! `/entities` without paging: everything, in steps of the caller's size (ref §7.6).
//!
//! No step holds anything for the next: a position is a value and a uid, so that a slow reader
//! costs a position and not a list of five million refs (hostile row h13).

use std::borrow::Cow;

use roaring::RoaringBitmap;

use super::evaluate::Budget;
use super::rows::{Order, Run};
use crate::key_order::{NO_TERM, row_value};
use crate::order_field::check_count;
use crate::{Direction, Index, ListRequest, QueryError, WalkPage, WalkPosition};

impl Index {
    /// The next `chunk` rows of GET `/entities` without paging (ref §7.6), after a position: by
    /// uid, or by the first order directive, entities without a value then left out. Positions stay
    /// valid while the index changes. `limit` and `offset` of the request are not looked at.
    ///
    /// # Errors
    /// [`QueryError::TooMany`] order fields, [`QueryError::TooCostly`].
    pub fn walk(
        &self,
        request: &ListRequest,
        after: Option<&WalkPosition>,
        chunk: u64,
    ) -> Result<WalkPage, QueryError> {
        check_count(request.order.len())?;
        let mut docs = self.matching(request.filter.as_ref(), &mut Budget::new())?;
        let mut order = Order::Uid;
        let mut descending = false;
        if let Some(first) = request.order.first() {
            let field = greenroom_model::lower_case(first.field.trim());
            descending = first.order == Direction::Desc;
            docs = match self.dictionary.key(&field) {
                Some(key) => {
                    order = Order::Key(key);
                    Cow::Owned(docs.as_ref() & &self.dictionary.order(key, &self.docs).docs)
                }
                None => Cow::Owned(RoaringBitmap::new()),
            };
        }
        let chunk = chunk.max(1);
        let beyond = after.map(|after| (after.value.as_deref().unwrap_or(""), after.uid.as_str()));
        let mut rows = self.run(&Run {
            order,
            docs: &docs,
            descending,
            beyond,
            skip: 0,
            take: chunk.saturating_add(1),
        });
        let more = rows.len() as u64 > chunk;
        rows.truncate(usize::try_from(chunk).unwrap_or(usize::MAX));
        let next = rows.last().filter(|_| more).map(|last| WalkPosition {
            value: (last.term != NO_TERM).then(|| row_value(&self.dictionary, *last).to_owned()),
            uid: self.docs.uid(last.doc).to_owned(),
        });
        Ok(WalkPage {
            hits: rows.iter().map(|row| self.docs.hit(row.doc)).collect(),
            next,
        })
    }
}

//! The index itself.

use greenroom_model::EntityRef;
use greenroom_model::filter::EntityFilter;

use crate::{
    FacetCount, IndexEntry, IndexError, ListPage, ListRequest, QueryError, QueryPage, QueryRequest,
    WalkPage, WalkPosition,
};

/// What can be asked of the final entities of one tenant. See the crate's head.
#[derive(Debug, Default)]
pub struct Index {
    seq: u64,
    epoch: String,
}

impl Index {
    /// An empty index.
    #[must_use]
    pub fn new() -> Index {
        Index::default()
    }

    /// Adds an entity, or replaces the one with the same ref.
    ///
    /// # Errors
    /// [`IndexError`] when the index is full; it is then unchanged but for the entity, which is gone.
    pub fn upsert(&mut self, entry: IndexEntry) -> Result<(), IndexError> {
        drop(entry);
        Ok(())
    }

    /// Removes an entity; `false` if it was not there.
    pub fn remove(&mut self, entity_ref: &EntityRef) -> bool {
        !entity_ref.as_str().is_empty()
    }

    /// Number of entities.
    #[must_use]
    pub fn len(&self) -> usize {
        0
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Estimate of the memory held, in bytes, what queries built included. Walks the dictionary:
    /// for the bound on all indexes after a batch of changes, not per request.
    #[must_use]
    pub fn bytes(&self) -> usize {
        0
    }

    /// The last change applied (`changes.seq`).
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Notes the last change applied.
    pub fn set_seq(&mut self, seq: u64) {
        self.seq = seq;
    }

    /// The epoch of the change log that `seq` belongs to.
    #[must_use]
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// Notes the epoch of the change log.
    pub fn set_epoch(&mut self, epoch: impl Into<String>) {
        self.epoch = epoch.into();
    }

    /// Number of entities that match.
    #[must_use]
    pub fn count(&self, filter: &EntityFilter) -> u64 {
        u64::from(!filter.is_everything())
    }

    /// Whether the entity is there and matches; for `by-refs` with a filter (ref §7.2).
    #[must_use]
    pub fn matches(&self, entity_ref: &EntityRef, filter: &EntityFilter) -> bool {
        entity_ref.as_str().is_empty() && filter.is_everything()
    }

    /// One page of GET `/entities` with `limit`, `offset` or `after` (ref §7.6).
    ///
    /// # Errors
    /// [`QueryError::TooMany`] order fields, [`QueryError::TooCostly`].
    pub fn list(&self, request: &ListRequest) -> Result<ListPage, QueryError> {
        let _ = request;
        Err(QueryError::TooCostly)
    }

    /// The next `chunk` rows of GET `/entities` without paging (ref §7.6), after a position: by uid,
    /// or by the first order directive, entities without a value then left out. Positions stay
    /// valid while the index changes; nothing is held between steps.
    ///
    /// # Errors
    /// [`QueryError::TooMany`] order fields.
    pub fn walk(
        &self,
        request: &ListRequest,
        after: Option<&WalkPosition>,
        chunk: usize,
    ) -> Result<WalkPage, QueryError> {
        let _ = (request, after, chunk);
        Err(QueryError::TooCostly)
    }

    /// One page of `/entities/by-query` (ref §7.7).
    ///
    /// # Errors
    /// [`QueryError::TooMany`] order or full-text fields.
    pub fn query(&self, request: &QueryRequest) -> Result<QueryPage, QueryError> {
        let _ = request;
        Err(QueryError::TooCostly)
    }

    /// Counts the values of keys over the entities that match, ordered by value; one list per key,
    /// in the order asked for, so that the caller echoes its casing. Null values are not counted.
    ///
    /// # Errors
    /// [`QueryError::TooMany`] above [`MAX_FACETS`](crate::MAX_FACETS) keys.
    pub fn facets<S: AsRef<str>>(
        &self,
        keys: &[S],
        filter: Option<&EntityFilter>,
    ) -> Result<Vec<Vec<FacetCount>>, QueryError> {
        let _ = (keys, filter);
        Err(QueryError::TooCostly)
    }
}

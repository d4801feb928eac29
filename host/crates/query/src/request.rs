//! Requests and answers of the index, as the API edge builds and reads them.

use greenroom_model::filter::EntityFilter;

use crate::{Cursor, FullText, Hit, OrderField};

/// Page size of by-query when the caller names none (ref §7.7).
pub const DEFAULT_QUERY_LIMIT: u64 = 200;
/// Largest page; a larger `limit` is lowered to it (hostile row h07).
pub const MAX_PAGE: u64 = 10_000;
/// Most keys one facet request may name.
pub const MAX_FACETS: usize = 100;

/// GET `/entities` with paging (ref §7.6).
#[derive(Clone, Debug, Default)]
pub struct ListRequest {
    /// Entities that count; `None` is all.
    pub filter: Option<EntityFilter>,
    /// All directives apply; by entity ref if there is none. Fields match as written: one with a
    /// capital sorts nothing.
    pub order: Vec<OrderField>,
    /// Largest number of hits; [`MAX_PAGE`] if `None`.
    pub limit: Option<u64>,
    /// Rows to skip.
    pub offset: u64,
}

/// The answer to a [`ListRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPage {
    /// The entities in order; one with several values of an order field repeats.
    pub hits: Vec<Hit>,
    /// The `after` parameter of the next page (already base64), if there is one.
    pub next: Option<String>,
}

/// Where a walk over `/entities` without paging goes on: after this row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalkPosition {
    /// The order value of the last row; `None` when walking by uid.
    pub(crate) value: Option<String>,
    /// The uid of the last row.
    pub(crate) uid: String,
}

/// One step of a walk ([`Index::walk`](crate::Index::walk)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalkPage {
    /// The next entities in order.
    pub hits: Vec<Hit>,
    /// Where to go on; `None` at the end.
    pub next: Option<WalkPosition>,
}

/// Whether by-query counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TotalItems {
    /// Count all entities that match.
    #[default]
    Include,
    /// Answer 0.
    Exclude,
}

/// `/entities/by-query`, either verb (ref §7.7).
#[derive(Clone, Debug, Default)]
pub struct QueryRequest {
    /// Goes on from an earlier page; everything below but `limit` is then ignored.
    pub cursor: Option<Cursor>,
    /// Entities that count; `None` is all. For GET the parsed `filter`s, for POST the `query`.
    pub filter: Option<EntityFilter>,
    /// Only the first directive counts; by uid if there is none. Case of the field does not matter.
    pub order: Vec<OrderField>,
    /// Full-text condition, joined to the filter. GET hands one in even if its term is empty.
    pub full_text: Option<FullText>,
    /// Largest number of hits; [`DEFAULT_QUERY_LIMIT`] if `None`.
    pub limit: Option<u64>,
    /// Rows to skip.
    pub offset: u64,
    /// Whether to count; a cursor carries the count of its first page.
    pub total_items: TotalItems,
}

/// The answer to a [`QueryRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryPage {
    /// The entities in order; one with several values of the order field repeats.
    pub hits: Vec<Hit>,
    /// How many entities match, each once.
    pub total_items: u64,
    /// The cursor of the next page (already base64), if there is one.
    pub next_cursor: Option<String>,
    /// The cursor of the previous page (already base64), if there is one.
    pub prev_cursor: Option<String>,
}

/// One value of a facet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FacetCount {
    /// The value as the entities spell it.
    pub value: String,
    /// How many entities have it.
    pub count: u64,
}

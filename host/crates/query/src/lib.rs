//! The read index: filter, order, full text, facets, counts and cursors over the final entities of
//! one tenant, in memory (DESIGN §6).
//!
//! It holds what can be asked of entities, never their bodies: answers are refs and uids in order,
//! and the caller fetches the stored JSON. It does no I/O, has no clock and takes no locks: the host
//! wraps an [`Index`] in one, applies changes with [`Index::upsert`] and [`Index::remove`], and asks
//! through `&self` from any number of threads.
//!
//! Filter semantics exist here once, for every storage backend. Three rules of order are kept apart
//! because Backstage has three (ref §7.6, §7.7): [`Index::list`] for `/entities` with paging,
//! [`Index::walk`] for `/entities` without, and [`Index::query`] for `/entities/by-query`.
//!
//! A term dictionary maps each (key, value) to its entities: one id inline, a short list, or a
//! roaring bitmap. What only some queries need (the sort order of a key, the entities that have it,
//! its text in one piece) is built when first asked for and kept current or dropped on change.
//!
//! ```
//! use greenroom_model::filter::EntityFilter;
//! use greenroom_model::{EntityRef, EntityUid};
//! use greenroom_query::{Index, IndexEntry, QueryRequest};
//!
//! let entity = serde_json::json!({"kind": "Component", "metadata": {"name": "web", "uid": "u-1"}});
//! let entry = IndexEntry::new(
//!     EntityRef::new("component", "default", "web"),
//!     EntityUid::new("u-1"),
//!     entity.as_object().expect("an object literal"),
//! )?;
//! let mut index = Index::new();
//! index.upsert(entry)?;
//! let request = QueryRequest {
//!     filter: EntityFilter::parse_params(&["kind=component"])?,
//!     ..QueryRequest::default()
//! };
//! let page = index.query(&request)?;
//! assert_eq!((page.hits.len(), page.total_items), (1, 1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cursor;
mod dictionary;
mod documents;
mod entry;
mod error;
mod fields;
mod full_text;
mod index;
mod key_order;
mod key_text;
mod order_field;
mod request;
mod sorted;

pub use cursor::{After, Cursor, LocationCursor, MAX_CURSOR_BYTES};
pub use entry::{Hit, IndexEntry};
pub use error::{IndexError, QueryError};
pub use fields::{Fields, MAX_FIELDS, MAX_FIELDS_BYTES};
pub use full_text::{FullText, MAX_FULL_TEXT_FIELDS};
pub use index::Index;
pub use order_field::{Direction, MAX_ORDER_FIELDS, OrderField};
pub use request::{
    DEFAULT_QUERY_LIMIT, FacetCount, ListPage, ListRequest, MAX_FACETS, MAX_PAGE, QueryPage,
    QueryRequest, TotalItems, WalkPage, WalkPosition,
};

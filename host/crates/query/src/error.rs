//! What can be wrong with a request, and the one thing that can be wrong with an index.

use greenroom_model::filter::FilterError;

/// A request that cannot be answered as asked: an InputError (400) whose text is for the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The cursor is not one of ours, or was edited into nonsense.
    #[error("malformed cursor, could not be parsed; start again without it")]
    MalformedCursor,
    /// The `after` parameter is not one of ours.
    #[error("malformed after cursor, could not be parsed; start again without it")]
    MalformedAfter,
    /// The filter of the request.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// An order that names no field or no known direction.
    #[error("invalid order `{0}`, expected {1}")]
    Order(String, &'static str),
    /// A `[` in `fields`.
    #[error("invalid fields, array type fields are not supported; name the array itself")]
    ArrayField,
    /// More of something than one request may hold.
    #[error("too many {what}, at most {limit}; split the request")]
    TooMany {
        /// Which parameter.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// The answer would take more work than one request is given.
    #[error("query too costly; filter more or order by fewer fields with many values")]
    TooCostly,
}

/// The index can hold no more: its text exceeds 4 GiB. Far above any bound on index bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the index is full, its text exceeds 4 GiB")]
pub struct IndexError;

//! Cursors: standard base64 of JSON (ref §7.6 `after`, §7.7 by-query).
//!
//! A cursor is a hint from the caller, never authority (DESIGN §5; hostile row h10): it is bounded
//! before it is decoded, its query is parsed with the bounds of every filter, and its counts are
//! only echoed. It says nothing of tenants; whoever presents one asks within their own.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use greenroom_model::filter::EntityFilter;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{FullText, OrderField, QueryError};

/// Longest cursor that is looked at, in bytes of base64.
pub const MAX_CURSOR_BYTES: usize = 256 * 1024;

/// Where a page of by-query stands, with the query that made it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cursor {
    /// The order; only the first counts.
    #[serde(default)]
    pub order_fields: Vec<OrderField>,
    /// `[uid]` or `[value, uid]` of the row at the boundary.
    pub order_field_values: Vec<String>,
    /// The same of the very first row, to know when going back has arrived.
    #[serde(default)]
    pub first_sort_field_values: Vec<String>,
    /// Whether to go back from the boundary.
    #[serde(default)]
    pub is_previous: bool,
    /// The filter, as predicate JSON.
    #[serde(default = "EntityFilter::everything")]
    pub query: EntityFilter,
    /// The full-text condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_text_filter: Option<FullText>,
    /// Counted for page one and carried.
    #[serde(default)]
    pub total_items: u64,
}

impl Cursor {
    /// Reads a cursor from a request.
    ///
    /// # Errors
    /// [`QueryError::MalformedCursor`] for anything that is not one.
    pub fn decode(text: &str) -> Result<Cursor, QueryError> {
        let cursor: Cursor = decode(text).ok_or(QueryError::MalformedCursor)?;
        let width = if cursor.order_fields.is_empty() { 1 } else { 2 };
        let first = cursor.first_sort_field_values.len();
        if cursor.order_field_values.len() != width || (first != width && first != 0) {
            return Err(QueryError::MalformedCursor);
        }
        Ok(cursor)
    }

    /// The text for a reply.
    #[must_use]
    pub fn encode(&self) -> String {
        encode(self)
    }
}

/// The `after` parameter of `/entities`; overrides `limit` and `offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct After {
    /// Page size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Rows to skip.
    #[serde(default)]
    pub offset: u64,
}

impl After {
    /// Reads an `after` parameter.
    ///
    /// # Errors
    /// [`QueryError::MalformedAfter`] for anything that is not one; `limit` 0 included, because
    /// that page would follow itself for ever.
    pub fn decode(text: &str) -> Result<After, QueryError> {
        decode(text)
            .filter(|after: &After| after.limit != Some(0))
            .ok_or(QueryError::MalformedAfter)
    }

    /// The text for a `Link` header.
    #[must_use]
    pub fn encode(&self) -> String {
        encode(self)
    }
}

/// Where `POST /locations/by-query` goes on (ref §7.8). Unlike [`Cursor`] it holds the page size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LocationCursor {
    /// Page size.
    pub limit: u64,
    /// The id of the last location of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_id: Option<String>,
    /// The predicate as the client wrote it; parsed anew, with its bounds, by whoever asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<Value>,
}

impl LocationCursor {
    /// Reads a cursor from a request.
    ///
    /// # Errors
    /// [`QueryError::MalformedCursor`] for anything that is not one; `limit` 0 included.
    pub fn decode(text: &str) -> Result<LocationCursor, QueryError> {
        decode(text)
            .filter(|cursor: &LocationCursor| cursor.limit > 0)
            .ok_or(QueryError::MalformedCursor)
    }

    /// The text for a reply.
    #[must_use]
    pub fn encode(&self) -> String {
        encode(self)
    }
}

fn decode<T: DeserializeOwned>(text: &str) -> Option<T> {
    if text.len() > MAX_CURSOR_BYTES {
        return None;
    }
    let bytes = STANDARD.decode(text).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn encode(value: &impl Serialize) -> String {
    // Strings, numbers and predicates only: nothing in a cursor can fail to be written.
    STANDARD.encode(serde_json::to_vec(value).unwrap_or_default())
}

//! A place in a catalog file, so that its owner is shown the line and not only the entity.

use serde::{Deserialize, Serialize};

/// A place in a source document; lines and columns from 1, documents from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// Index of the document within its YAML stream.
    pub document: u32,
    /// Line within the stream.
    pub line: u32,
    /// Column in characters.
    pub column: u32,
}

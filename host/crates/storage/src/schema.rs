//! Which version the schema of a database has, for who is about to change it.

use serde::Serialize;

/// What bringing a database to this binary's version means. Each version is one step; all are made, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SchemaPlan {
    /// The version it has; 0 for an empty database, or none.
    pub found: i64,
    /// The newest version this binary knows.
    pub known: i64,
}

impl SchemaPlan {
    /// Steps that are to be made.
    #[must_use]
    pub fn steps(&self) -> u64 {
        u64::try_from(self.known - self.found).unwrap_or(0)
    }
}

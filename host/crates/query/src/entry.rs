//! What goes into the index and what comes out.

use greenroom_model::terms::{Term, TermError, terms};
use greenroom_model::{EntityRef, EntityUid};
use serde_json::{Map, Value};

/// One final entity as the index takes it.
///
/// Relations need no field: they are terms `relations.<type>` (ref §5.7).
#[derive(Clone, Debug)]
pub struct IndexEntry {
    /// The identity: a second entry with this ref replaces the first.
    pub entity_ref: EntityRef,
    /// The uid, tie-break of every order.
    pub uid: EntityUid,
    /// The terms, unique by (key, value).
    pub terms: Vec<Term>,
}

impl IndexEntry {
    /// The entry of a final entity's body.
    ///
    /// # Errors
    /// [`TermError`] when the body cannot be indexed; a stitched entity was checked for that.
    pub fn new(
        entity_ref: EntityRef,
        uid: EntityUid,
        entity: &Map<String, Value>,
    ) -> Result<IndexEntry, TermError> {
        Ok(IndexEntry {
            entity_ref,
            uid,
            terms: terms(entity)?,
        })
    }
}

/// One entity of an answer; the body is fetched from storage by either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The entity's ref.
    pub entity_ref: EntityRef,
    /// The entity's uid.
    pub uid: EntityUid,
}

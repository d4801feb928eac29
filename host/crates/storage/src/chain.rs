//! How far below its origin an entity may be emitted (c19).
//!
//! An origin is what a provider gives, or what nothing reaches any more. Emitted entities may emit in their turn, so a
//! processor that makes a new one from each would never end; a quota of entities alone would let it fill its tenant first.
//! The limit is on making new entities: an emitter that stands as deep as a chain goes still updates what is there, so a
//! cycle ends by itself and nothing served goes because its chain became longer.

use greenroom_model::{Diagnostic, EntityRef};

/// Most steps from an origin to an entity that is emitted.
pub const MAX_CHAIN: usize = 32;

/// What the last entity of a chain is told of those it emitted and that were not added: `first`, and `others` more.
#[must_use]
pub fn chain_too_long(first: &EntityRef, others: usize) -> Diagnostic {
    let (what, are) = match others {
        0 => (format!("`{first}`"), "is"),
        others => (format!("`{first}` and {others} more"), "are"),
    };
    Diagnostic::error(
        "ChainTooLongError",
        format!(
            "{what} {are} not added: more than {MAX_CHAIN} steps from the location or provider it all comes from, \
             which is the limit; end the chain, or register a location nearer to its end"
        ),
    )
    .about(first.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c19_the_message_names_what_was_not_added_and_the_limit() {
        let first = EntityRef::parse("location:default/next").unwrap();
        let told = |others| chain_too_long(&first, others).message;
        assert!(told(0).starts_with("`location:default/next` is not added: more than 32 steps"));
        assert!(told(7).starts_with("`location:default/next` and 7 more are not added"));
    }
}

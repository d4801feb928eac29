//! Predicates of `by-query` (h09): JSON of any shape.

use greenroom_model::filter::EntityFilter;
use serde_json::Value;

use super::cursor::answer;

/// Reads the bytes as a predicate and asks an index.
pub fn run(data: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    if let Ok(filter) = EntityFilter::from_predicate(&value) {
        let predicate = filter.to_predicate();
        let again = EntityFilter::from_predicate(&predicate);
        assert_eq!(
            again.as_ref(),
            Ok(&filter),
            "it reads as it is written: {predicate}"
        );
        answer(filter, Vec::new());
    }
}

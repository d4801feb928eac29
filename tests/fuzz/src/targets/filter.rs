//! Filters of the query string, fields, order and full text (h08, h11). The input is one parameter a line.

use greenroom_model::filter::EntityFilter;
use greenroom_query::{Fields, OrderField};

use super::cursor::answer;

/// Reads the lines as parameters and asks an index.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let lines: Vec<&str> = text.lines().collect();
    let _ = Fields::parse(&text);
    let _ = Fields::from_list(&lines);
    let _ = OrderField::parse_list(&lines);
    let order = OrderField::parse_query(&lines).unwrap_or_default();
    if let Ok(Some(filter)) = EntityFilter::parse_params(&lines) {
        // As a cursor keeps it, which knows one form more than predicates of clients.
        let kept = serde_json::to_value(&filter).unwrap_or_default();
        let again = serde_json::from_value::<EntityFilter>(kept);
        assert_eq!(again.ok().as_ref(), Some(&filter), "it reads as it is kept");
        answer(filter, order);
    }
}

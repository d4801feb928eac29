//! A report as people read it: what is not valid, what would change, and the sum. What is as it should be is only counted.

use serde_json::Value;

use crate::commands::screen::{Ink, Screen, grouped};

/// Operations of one document's difference that are shown.
const SHOWN_OPERATIONS: usize = 10;
/// Longest value shown, in characters.
const VALUE_CHARS: usize = 100;

/// Shows a report.
pub(super) fn show(screen: &Screen, report: &Value) {
    for document in report["documents"].as_array().into_iter().flatten() {
        show_document(screen, document);
    }
    sum(screen, report);
}

/// Where a document is: `path:line:column`.
fn place(document: &Value) -> String {
    let path = document["path"].as_str().unwrap_or_default();
    match (document["line"].as_u64(), document["column"].as_u64()) {
        (Some(line), Some(column)) => format!("{path}:{line}:{column}"),
        _ => path.to_owned(),
    }
}

fn show_document(screen: &Screen, document: &Value) {
    let outcome = document["outcome"].as_str().unwrap_or_default();
    let change = document["change"].as_str().unwrap_or_default();
    let diagnostics = document["diagnostics"].as_array();
    let diagnostics = diagnostics.map(Vec::as_slice).unwrap_or_default();
    let quiet = outcome == "valid" && matches!(change, "" | "unchanged");
    if quiet && diagnostics.is_empty() {
        return;
    }
    let ink = match outcome {
        "valid" => Ink::Good,
        "waiting" => Ink::Warn,
        _ => Ink::Bad,
    };
    // The word first: what stands before the path of a file cannot be chosen by who named the file.
    screen.line(&[
        (ink, &format!("{outcome:<8} ")),
        (Ink::Bold, &place(document)),
        (Ink::Plain, "  "),
        (
            Ink::Plain,
            document["entityRef"].as_str().unwrap_or_default(),
        ),
        (Ink::Plain, "  "),
        (Ink::Warn, change),
    ]);
    for diagnostic in diagnostics {
        let level = diagnostic["level"].as_str().unwrap_or_default();
        let ink = match level {
            "error" => Ink::Bad,
            "warning" => Ink::Warn,
            _ => Ink::Plain,
        };
        screen.line(&[
            (Ink::Plain, "  "),
            (ink, level),
            (Ink::Plain, " "),
            (
                Ink::Plain,
                diagnostic["message"].as_str().unwrap_or_default(),
            ),
        ]);
    }
    let operations = document["diff"].as_array();
    let operations = operations.map(Vec::as_slice).unwrap_or_default();
    for operation in operations.iter().take(SHOWN_OPERATIONS) {
        let side = |name: &str| {
            let text = operation
                .get(name)
                .map_or_else(String::new, Value::to_string);
            let mut shown: String = text.chars().take(VALUE_CHARS).collect();
            if shown.len() < text.len() {
                shown.push('…');
            }
            shown
        };
        screen.line(&[
            (Ink::Plain, "  "),
            (Ink::Warn, operation["op"].as_str().unwrap_or_default()),
            (Ink::Plain, " "),
            (Ink::Plain, operation["path"].as_str().unwrap_or_default()),
            (Ink::Dim, &format!("  {}", side("from"))),
            (Ink::Plain, &format!("  {}", side("to"))),
        ]);
    }
    if operations.len() > SHOWN_OPERATIONS {
        let more = operations.len() - SHOWN_OPERATIONS;
        screen.say(&format!("  and {more} more; `--json` has them"));
    }
}

/// The last line of every way but JSON.
pub(super) fn sum(screen: &Screen, report: &Value) {
    let count = |name: &str| report["summary"][name].as_u64().unwrap_or(0);
    let mut parts = Vec::new();
    for (name, words) in [
        ("valid", "valid"),
        ("invalid", "not valid"),
        ("waiting", "waiting for a read"),
        ("new", "new"),
        ("changed", "changed"),
        ("unchanged", "unchanged"),
        ("warnings", "warnings"),
    ] {
        if count(name) > 0 {
            parts.push(format!("{} {words}", grouped(count(name))));
        }
    }
    let ink = match report["ok"] == true {
        true => Ink::Good,
        false => Ink::Bad,
    };
    let documents = format!("documents: {}  ", grouped(count("documents")));
    screen.line(&[(ink, &documents), (Ink::Plain, &parts.join(", "))]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::screen::{Looks, testing::screen};
    use serde_json::json;

    #[test]
    fn l01_what_is_wrong_is_shown_with_its_place_and_nothing_hostile_raw() {
        let (screen, out, _) = screen(Looks::default());
        let hostile = "x\u{1b}[2J\n\u{202e}";
        show(
            &screen,
            &json!({
                "ok": false,
                "summary": {"documents": 3, "valid": 2, "invalid": 1, "changed": 1, "unchanged": 1},
                "documents": [
                    {"path": "quiet.yaml", "outcome": "valid", "change": "unchanged", "diagnostics": []},
                    {"path": hostile, "line": 3, "column": 5, "outcome": "invalid",
                     "diagnostics": [{"level": "error", "message": hostile}]},
                    {"path": "b.yaml", "line": 1, "column": 1, "entityRef": "component:default/b", "outcome": "valid",
                     "change": "changed", "diagnostics": [],
                     "diff": [{"op": "replace", "path": "/spec/owner", "from": "a", "to": "y".repeat(200)}]},
                ],
            }),
        );
        let text = out.text();
        assert!(!text.contains("quiet.yaml"), "{text}");
        assert!(
            text.starts_with("invalid  x\\u{1b}[2J\\n\\u{202e}:3:5"),
            "{text}"
        );
        assert!(
            text.contains("valid    b.yaml:1:1  component:default/b  changed\n"),
            "{text}"
        );
        assert!(
            text.contains("  replace /spec/owner  \"a\"  \"yyy"),
            "{text}"
        );
        let sum = "documents: 3  2 valid, 1 not valid, 1 changed, 1 unchanged\n";
        assert!(text.ends_with(sum), "{text}");
        let raw = |c: char| c.is_control() && c != '\n';
        assert!(
            !text.contains(raw) && !text.contains('\u{202e}'),
            "{text:?}"
        );
    }
}

//! A report as annotations of GitHub Actions: a workflow command for each diagnostic, at its line of its file.
//!
//! A command is a line that begins with `::`, so every text goes through the escapes of the commands' own toolkit, after those
//! of a terminal: no name and no message can end its command or begin another.

use serde_json::Value;

use super::show;
use crate::commands::escape::one_line;
use crate::commands::screen::Screen;

/// Longest message, in characters.
const MESSAGE_CHARS: usize = 1_000;
/// Longest name, in characters.
const NAME_CHARS: usize = 512;

/// Shows a report.
pub(super) fn show(screen: &Screen, report: &Value) {
    for document in report["documents"].as_array().into_iter().flatten() {
        for diagnostic in document["diagnostics"].as_array().into_iter().flatten() {
            screen.say(&annotation(document, diagnostic));
        }
    }
    show::sum(screen, report);
}

/// What kept the command from its work, which has no file.
pub(super) fn failure(message: &str) -> String {
    format!(
        "::error title=greenroom validate::{}",
        data(message, MESSAGE_CHARS)
    )
}

fn annotation(document: &Value, diagnostic: &Value) -> String {
    let level = match diagnostic["level"].as_str() {
        Some("warning") => "warning",
        Some("info") => "notice",
        _ => "error",
    };
    let path = document["path"].as_str().unwrap_or_default();
    let mut command = format!("::{level} file={}", property(path));
    for (name, key) in [("line", "line"), ("col", "column")] {
        if let Some(number) = document[key].as_u64() {
            command.push_str(&format!(",{name}={number}"));
        }
    }
    if let Some(entity_ref) = document["entityRef"].as_str() {
        command.push_str(&format!(",title={}", property(entity_ref)));
    }
    let message = diagnostic["message"].as_str().unwrap_or_default();
    format!("{command}::{}", data(message, MESSAGE_CHARS))
}

/// The text after a command. Line ends are escaped already; an older form of commands begins anywhere in a line.
fn data(text: &str, chars: usize) -> String {
    one_line(text, chars)
        .replace('%', "%25")
        .replace("##[", "#%23[")
}

/// The value of a property.
fn property(text: &str) -> String {
    data(text, NAME_CHARS)
        .replace(':', "%3A")
        .replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::screen::{Looks, testing::screen};
    use serde_json::json;

    #[test]
    fn a_diagnostic_is_an_annotation_at_its_line() {
        let (screen, out, _) = screen(Looks::default());
        show(
            &screen,
            &json!({
                "ok": false,
                "summary": {"documents": 1, "invalid": 1, "warnings": 1},
                "documents": [{
                    "path": "a/b.yaml", "line": 4, "column": 2, "entityRef": "component:default/b",
                    "diagnostics": [
                        {"level": "error", "message": "100 % wrong"},
                        {"level": "warning", "message": "beware"},
                        {"level": "info", "message": "by the way"},
                    ],
                }],
            }),
        );
        let at = "file=a/b.yaml,line=4,col=2,title=component%3Adefault/b";
        assert_eq!(
            out.text(),
            format!(
                "::error {at}::100 %25 wrong\n::warning {at}::beware\n::notice {at}::by the way\n\
                 documents: 1  1 not valid, 1 warnings\n"
            )
        );
    }

    #[test]
    fn l01_no_text_ends_its_command_or_begins_another() {
        let hostile = "x,line=1::y\r\n::add-mask::z##[group]%0A\u{1b}[2J";
        let document = json!({"path": hostile, "entityRef": hostile});
        let shown = annotation(&document, &json!({"level": hostile, "message": hostile}));
        let (head, message) = shown[2..].split_once("::").unwrap();
        assert_eq!(head.matches(',').count(), 1, "{head}");
        assert!(
            message.starts_with("x,line=1::y\\r\\n::add-mask"),
            "{message}"
        );
        assert!(
            !shown.contains(char::is_control) && !shown.contains("##["),
            "{shown:?}"
        );
        assert!(shown.contains("%250A"), "{shown}");
        assert!(failure(hostile).starts_with("::error title=greenroom validate::x,line"));
    }
}

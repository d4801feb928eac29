//! OpenMetrics text. A label's value may be anything that a tenant writes; it never ends the line that it is on (l06).

use std::fmt::Write as _;

use super::list::{Kind, Spec};

/// The media type of the text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What comes before the series of a metric.
pub(super) fn head(out: &mut String, spec: &Spec) {
    let kind = match spec.kind {
        Kind::Counter => "counter",
        Kind::Gauge | Kind::Peak => "gauge",
        Kind::Histogram => "histogram",
    };
    let name = spec.name;
    line(out, format_args!("# HELP {name} {}", spec.help));
    line(out, format_args!("# TYPE {name} {kind}"));
}

/// One series.
pub(super) fn series(
    out: &mut String,
    spec: &Spec,
    labels: &[(&str, &str)],
    sum: f64,
    buckets: &[u64],
) {
    let name = spec.name;
    let plain = braced(labels, None);
    match spec.kind {
        Kind::Counter => line(out, format_args!("{name}_total{plain} {sum}")),
        Kind::Gauge | Kind::Peak => line(out, format_args!("{name}{plain} {sum}")),
        Kind::Histogram => {
            let mut count = 0_u64;
            for (index, more) in buckets.iter().enumerate() {
                count = count.saturating_add(*more);
                let bound = Spec::BUCKETS.get(index);
                let bound = bound.map_or_else(|| "+Inf".to_owned(), |bound| format!("{bound:?}"));
                let labels = braced(labels, Some(&bound));
                line(out, format_args!("{name}_bucket{labels} {count}"));
            }
            line(out, format_args!("{name}_sum{plain} {sum}"));
            line(out, format_args!("{name}_count{plain} {count}"));
        }
    }
}

fn line(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = out.write_fmt(arguments);
    out.push('\n');
}

fn braced(labels: &[(&str, &str)], bound: Option<&str>) -> String {
    let bound = bound.map(|bound| ("le", bound));
    let pairs: Vec<String> = labels
        .iter()
        .copied()
        .chain(bound)
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
        .collect();
    match pairs.is_empty() {
        true => String::new(),
        false => format!("{{{}}}", pairs.join(",")),
    }
}

/// A value between quotes. What would end a line or take a terminal over is left out.
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use crate::metrics::{Metric, Sheet};

    /// Reads a line as a scraper does: a name, label values between quotes with three escapes, a number.
    fn parse(line: &str) -> (String, Vec<(String, String)>, f64) {
        let end = line.find(['{', ' ']).expect("a name and more");
        let (name, mut rest) = line.split_at(end);
        let mut labels = Vec::new();
        if let Some(inside) = rest.strip_prefix('{') {
            rest = inside;
            loop {
                let (label, after) = rest.split_once("=\"").expect("a label");
                let mut value = String::new();
                let mut chars = after.char_indices();
                let closed = loop {
                    match chars.next().expect("the value ends") {
                        (at, '"') => break at,
                        (_, '\\') => value.push(match chars.next().expect("an escape").1 {
                            'n' => '\n',
                            c @ ('"' | '\\') => c,
                            c => panic!("no escape: {c}"),
                        }),
                        (_, c) => value.push(c),
                    }
                };
                labels.push((label.to_owned(), value));
                rest = &after[closed + 1..];
                match rest.strip_prefix(',') {
                    Some(more) => rest = more,
                    None => break,
                }
            }
            rest = rest.strip_prefix('}').expect("the labels end");
        }
        let number = rest.strip_prefix(' ').expect("a space").parse().unwrap();
        (name.to_owned(), labels, number)
    }

    #[test]
    fn l06_hostile_label_values_are_escaped_and_cut_and_the_text_parses() {
        let long = "x".repeat(1 << 20);
        let hostile = [
            "plain",
            "a\"b",
            "a\nb 1\n# EOF",
            "back\\slash\\",
            "\"} 1\ngreenroom_fake 7",
            "\u{1b}[31m\u{1f}\r\0",
            "",
            long.as_str(),
        ];
        let sheet = Sheet::default();
        for value in hostile {
            sheet.add(Metric::Calls, &[value, value, "answered"], 1.0);
            sheet.observe(Metric::ProcessingDuration, &[value], 1.5);
        }
        let text = sheet.text();
        assert!(text.len() < 64 << 10, "{} bytes", text.len());
        assert!(text.ends_with("\n# EOF\n"));
        assert_eq!(text.matches("# EOF\n").count(), 1);
        let mut values = Vec::new();
        for line in text.lines().filter(|line| !line.starts_with("# ")) {
            let (name, labels, number) = parse(line);
            assert_ne!(name, "greenroom_fake");
            if name == "greenroom_processor_calls_total" {
                assert_eq!(number, 1.0);
                assert_eq!(labels[0].1, labels[1].1);
                values.push(labels[0].1.clone());
            }
        }
        for kept in &hostile[..5] {
            assert!(values.iter().any(|value| value == kept), "{kept:?}");
        }
        let cut = values.iter().find(|value| value.starts_with("xxx"));
        assert_eq!(cut.map(|value| value.chars().count()), Some(129));
        assert!(!text.contains('\u{1b}') && !text.contains('\r'));
    }
}

//! Tests of the YAML reader; rows y01-y07 of the hostile inputs. That everything equals npm `yaml`
//! on real files is tested in `tests/real_catalogs.rs`.

use std::fmt::Write as _;
use std::time::Instant;

use serde_json::json;

use super::*;

fn one(text: &str) -> Value {
    document(text.as_bytes()).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn error(text: &str) -> YamlError {
    documents(text.as_bytes())
        .into_iter()
        .find_map(Result::err)
        .unwrap_or_else(|| panic!("{text:?} is no error"))
}

#[test]
fn y01_aliases_are_counted_and_their_bytes_bounded() {
    assert_eq!(
        one("a: &x {b: 1}\nc: [*x, *x]"),
        json!({"a": {"b": 1}, "c": [{"b": 1}, {"b": 1}]})
    );
    let mut laughs = "a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for (before, name) in ('a'..='i').zip('b'..='j') {
        let aliases = vec![format!("*{before}"); 10].join(", ");
        writeln!(laughs, "{name}: &{name} [{aliases}]").unwrap();
    }
    let start = Instant::now();
    assert!(error(&laughs).message.contains("limit of 100"));
    let many = format!("a: &a 1\nb: [{}]", "*a,".repeat(1_000_000));
    assert!(error(&many).message.contains("limit of 100"));
    assert!(start.elapsed().as_secs() < 5);
    let bytes = format!("a: &a {}\nb: [{}]", "x".repeat(100_000), "*a,".repeat(90));
    assert!(error(&bytes).message.contains("bytes"));
    assert!(error("&a [*a]").message.contains("contains itself"));
    assert!(!error("[*nobody]").message.is_empty());
}

#[test]
fn y02_nesting_is_bounded_without_overflow() {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    assert!(document(nested(MAX_DEPTH).as_bytes()).is_ok());
    for text in [
        nested(MAX_DEPTH + 1),
        "[".repeat(100_000),
        "{\"a\":".repeat(100_000),
        "- ".repeat(100_000),
    ] {
        assert!(
            error(&text).message.contains("nested deeper than 128"),
            "{}",
            error(&text)
        );
    }
}

#[test]
fn y03_streams_are_bounded_and_documents_stand_alone() {
    let many = "---\na: 1\n".repeat(10_000);
    let results = documents(many.as_bytes());
    assert_eq!(results.len(), MAX_DOCUMENTS + 1);
    assert!(
        results
            .last()
            .unwrap()
            .as_ref()
            .unwrap_err()
            .message
            .contains("1000 documents")
    );
    let long = vec![b'a'; MAX_STREAM_BYTES + 1];
    assert!(
        documents(&long)[0]
            .as_ref()
            .unwrap_err()
            .message
            .contains("split the file")
    );
    assert!(documents(b"# only\n# comments\n").is_empty());
    let text = "a: 1\n---\nb: {% x %}\n---\n# blank\n---\n'c': [1\n---\nd: 2\n...\ne: 3\n--- \n";
    let results = documents(text.as_bytes());
    let indices: Vec<_> = results
        .iter()
        .map(|result| match result {
            Ok((_, at)) => (true, at.document, at.line),
            Err(error) => (false, error.document, error.line),
        })
        .collect();
    assert_eq!(
        indices,
        [
            (true, 0, 1),
            (false, 1, 3),
            (false, 3, 8),
            (true, 4, 9),
            (true, 5, 11)
        ]
    );
}

#[test]
fn y03_markers_inside_scalars_end_them() {
    let results = documents(b"a: |\n  x\n---\nb: \"open\n---\nc: 1");
    assert_eq!(results.len(), 3);
    assert!(results[0].is_ok() && results[1].is_err() && results[2].is_ok());
    assert_eq!(one("a: |\n  ---\n  b"), json!({"a": "---\nb\n"}));
}

#[test]
fn y04_keys_and_tags() {
    let duplicate = error("a: 1\nb: 2\n\"a\": 3");
    assert_eq!((duplicate.line, duplicate.column), (3, 1));
    assert!(duplicate.message.contains("unique"));
    assert!(error("1: a\n0x1: b").message.contains("unique"));
    assert!(error("null: a\n~: b").message.contains("unique"));
    assert_eq!(
        one("1: a\n'1': b\ntrue: c\n~: d"),
        json!({"1": "b", "true": "c", "": "d"})
    );
    assert!(error("1: a\n'1': b\n\"1\": c").message.contains("unique"));
    assert_eq!(
        one("a: &x {b: 1}\nc: {<<: *x, b: 2}")["c"],
        json!({"<<": {"b": 1}, "b": 2})
    );
    assert_eq!(one("? [a, {b: 1}]\n: c"), json!({"[ a, { b: 1 } ]": "c"}));
    assert_eq!(
        one(
            "[!!js/function 'x', !!binary aGk=, !foo 1, !!str 1, !!int '7', !!int x, !!set {a}, ! 1]"
        ),
        json!(["x", "aGk=", "1", "1", 7, "x", {"a": null}, "1"])
    );
    assert_eq!(
        one("__proto__: {a: 1}\nconstructor: x"),
        json!({"__proto__": {"a": 1}, "constructor": "x"})
    );
}

#[test]
fn y05_encodings_and_odd_characters() {
    assert_eq!(
        documents(b"\xEF\xBB\xBFa: 1")[0].as_ref().unwrap().0,
        json!({"a": 1})
    );
    for bytes in [&b"\xFF\xFEa\0"[..], b"\xFE\xFF\0a", b"a\0:\0", b"\0a\0:"] {
        assert!(
            documents(bytes)[0]
                .as_ref()
                .unwrap_err()
                .message
                .contains("UTF-16")
        );
    }
    let invalid = documents(b"a: 1\nb: \xFF")[0].clone().unwrap_err();
    assert_eq!((invalid.line, invalid.column), (2, 4));
    assert!(documents(b"ab: x\0y").iter().any(Result::is_err));
    assert_eq!(one("a: \"\\0\""), json!({"a": "\0"}));
    assert_eq!(
        one("a: \"x\u{2028}y\u{85}z\""),
        json!({"a": "x\u{2028}y\u{85}z"})
    );
    assert_eq!(one("a:\t1\r\nb: [\t2 ]\r\n"), json!({"a": 1, "b": [2]}));
    assert!(documents(b"a:\n\tb: 1").iter().any(Result::is_err));
}

#[test]
fn y06_numbers_are_javascripts() {
    let cases = [
        ("1.0", "1"),
        ("1e3", "1000"),
        ("0o17", "15"),
        ("0x1f", "31"),
        (".inf", "null"),
        ("-.INF", "null"),
        (".nan", "null"),
        ("9007199254740993", "9007199254740992"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("+12", "12"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1e400", "null"),
        ("0xffffffffffffffffff", "4.722366482869645e+21"),
        ("123e-2", "1.23"),
        ("1152921504606846977", "1152921504606847000"),
        ("0o", "\"0o\""),
        ("0x", "\"0x\""),
        ("1e", "\"1e\""),
        (".", "\".\""),
        ("+.nan", "\"+.nan\""),
        ("-", "[null]"),
    ];
    for (text, json) in cases {
        assert_eq!(one(text).to_string(), json, "{text}");
    }
    let digits = "7".repeat(400);
    assert_eq!(one(&digits), Value::Null);
    assert_eq!(
        one("{1.0: a, 1e21: b, 1e-7: c, .inf: d, -0: e}"),
        json!({"1": "a", "1e+21": "b", "1e-7": "c", "Infinity": "d", "0": "e"})
    );
}

#[test]
fn y07_only_the_core_schema_resolves() {
    for text in [
        "yes",
        "on",
        "off",
        "2020-01-01",
        "1_000",
        "0b1",
        "1:30",
        "nULL",
        "tRUE",
    ] {
        assert_eq!(one(text), json!(text));
    }
    assert_eq!(
        one("[~, null, Null, NULL, True, FALSE, 0777]"),
        json!([null, null, null, null, true, false, 777])
    );
    assert_eq!(one("a:\nb: ''"), json!({"a": null, "b": ""}));
}

#[test]
fn exactly_one_document() {
    assert!(document(b"a\n---\nb").is_err());
    assert!(document(b"").is_err());
    assert_eq!(one("# c\n---\na: 1\n"), json!({"a": 1}));
}

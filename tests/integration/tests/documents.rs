//! Proves that the pages do not name what is not there: the tests in the columns *shown by* and *broken by* of their tables
//! exist and run, their links lead somewhere, and every decision that a source sends its reader to is there.

use std::collections::BTreeSet;

use greenroom_integration_tests::documents::{
    TEST_COLUMNS, pages, programs, read, root, sources, tables, test_names, wrong_test_names,
};

#[test]
fn every_test_that_a_table_names_exists() {
    let mut known = test_names();
    assert!(known.len() > 500, "{} tests were found", known.len());
    known.extend(programs());
    let (mut wrong, mut naming) = (Vec::new(), BTreeSet::new());
    for page in pages() {
        let text = read(&page);
        wrong.extend(
            wrong_test_names(&text, &known)
                .into_iter()
                .map(|wrong| format!("{page}: {wrong}")),
        );
        let named = |name: &str| {
            tables(&text)
                .iter()
                .any(|table| table.column(name).is_some())
        };
        if TEST_COLUMNS.iter().any(|name| named(name)) {
            naming.insert(page);
        }
    }
    assert!(
        wrong.is_empty(),
        "name the test that shows it, or take the promise back:\n  {}",
        wrong.join("\n  ")
    );
    for page in ["docs/limits.md", "docs/processing.md", "docs/security.md"] {
        assert!(naming.contains(page), "{page} names tests");
    }
}

#[test]
fn links_of_pages_lead_somewhere() {
    let mut wrong = Vec::new();
    for page in pages() {
        let folder = root().join(&page);
        let folder = folder.parent().expect("a page has a folder").to_owned();
        let text = read(&page);
        let links = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.starts_with("https://")) {
            let (path, place) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() {
                root().join(&page)
            } else {
                folder.join(path)
            };
            let there = target.exists()
                && (place.is_empty()
                    || std::fs::read_to_string(&target)
                        .is_ok_and(|text| has_heading(&text, place)));
            if !there {
                wrong.push(format!("{page} links to `{link}`, which is not there"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether a page has a heading of that anchor, as code hosts make them.
fn has_heading(page: &str, anchor: &str) -> bool {
    page.lines()
        .filter(|line| line.starts_with('#'))
        .any(|line| {
            let heading = line.trim_start_matches('#').trim().to_lowercase();
            let kept = heading
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.collect::<String>().replace(' ', "-") == anchor
        })
}

#[test]
fn decisions_that_sources_name_are_there() {
    let pages = pages();
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        for (at, _) in text.match_indices("docs/decisions/") {
            let rest = &text[at..];
            let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '.' | '_');
            let end = rest.find(|c| !part(c)).unwrap_or(rest.len());
            let named = rest[..end].trim_end_matches('.');
            // A page may be named by its number alone.
            let there = pages
                .iter()
                .any(|page| page == named || page.starts_with(&format!("{named}-")));
            if named != "docs/decisions/" && !there {
                wrong.push(format!("{path} names `{named}`, which is not there"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

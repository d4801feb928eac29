//! What the tests of the documents share: the tables of a page, the names of all tests, and the value of a constant as its
//! source writes it.
//!
//! A document that names a test or a number is true as long as somebody looks. These read the documents and the sources as
//! text, so that a constant may stay private where it belongs and still be compared with what is promised of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Headings of the columns that name the tests which show, or break, what a row says.
pub const TEST_COLUMNS: [&str; 2] = ["shown by", "broken by"];

/// The repository.
///
/// # Panics
/// If it is not two levels up.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("this crate lives two levels down")
}

/// A file of the repository.
///
/// # Panics
/// If it cannot be read.
#[must_use]
pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("read `{path}`: {error}"))
}

/// The pages: those at the root of the repository, of `docs` and of its decisions, relative to the repository.
///
/// # Panics
/// If a folder cannot be read.
#[must_use]
pub fn pages() -> Vec<String> {
    let mut pages = Vec::new();
    for folder in ["", "docs/", "docs/decisions/"] {
        for entry in fs::read_dir(root().join(folder)).expect("a folder of pages") {
            let name = entry.expect("an entry of it").file_name();
            let name = name.to_string_lossy().into_owned();
            if name.ends_with(".md") {
                pages.push(format!("{folder}{name}"));
            }
        }
    }
    pages.sort_unstable();
    pages
}

/// A table of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The heading it stands below.
    pub section: String,
    /// The names of its columns.
    pub columns: Vec<String>,
    /// Its rows, each with as many cells as there are columns.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// The index of the column of that name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }

    /// The cell of a row in the column of that name.
    ///
    /// # Panics
    /// If the table has no such column.
    #[must_use]
    pub fn cell<'a>(&self, row: &'a [String], name: &str) -> &'a str {
        let column = self.column(name);
        &row[column.unwrap_or_else(|| panic!("`{}` has no column `{name}`", self.section))]
    }
}

/// The tables of a page, outside of its code. No cell has a `|` in it.
///
/// # Panics
/// If a row has more or fewer cells than its table has columns.
#[must_use]
pub fn tables(page: &str) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    let (mut section, mut within, mut code) = (String::new(), false, false);
    for line in page.lines() {
        code ^= line.starts_with("```");
        if let Some(heading) = line.strip_prefix('#').filter(|_| !code) {
            heading
                .trim_start_matches('#')
                .trim()
                .clone_into(&mut section);
        }
        let Some(cells) = line.strip_prefix("| ").filter(|_| !code) else {
            within = false;
            continue;
        };
        let cells = cells.trim_end();
        let cells = cells.strip_suffix('|').unwrap_or(cells);
        let cells: Vec<String> = cells
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect();
        match tables.last_mut().filter(|_| within) {
            None => tables.push(Table {
                section: section.clone(),
                columns: cells,
                rows: Vec::new(),
            }),
            Some(_) if cells.iter().all(|cell| cell.trim_matches('-').is_empty()) => {}
            Some(table) => {
                let expected = table.columns.len();
                assert_eq!(cells.len(), expected, "cells of `{line}`");
                table.rows.push(cells);
            }
        }
        within = true;
    }
    tables
}

/// The words of a text that are written as code.
#[must_use]
pub fn code_words(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// What is wrong with the test columns of a page: a row that names no test, and a name that none of `tests` has.
#[must_use]
pub fn wrong_test_names(page: &str, tests: &BTreeSet<String>) -> Vec<String> {
    let mut wrong = Vec::new();
    for table in tables(page) {
        for column in TEST_COLUMNS.iter().filter_map(|name| table.column(name)) {
            for row in &table.rows {
                let named = code_words(&row[column]);
                if named.is_empty() {
                    wrong.push(format!("{} names no test", row[0]));
                }
                for name in named.into_iter().filter(|name| !tests.contains(*name)) {
                    wrong.push(format!("{} names `{name}`, which is no test", row[0]));
                }
            }
        }
    }
    wrong
}

/// The names of all tests that run: functions with a test attribute and without `#[ignore]`, the storage tests and scenarios
/// that each backend is put through, and test programs without the usual harness, by the name of their file.
///
/// # Panics
/// If a source cannot be read.
#[must_use]
pub fn test_names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (path, text) in sources() {
        if path.ends_with(".rs") {
            names.extend(tests_of(&text));
            names.extend(backend_tests(&text));
        } else if path.ends_with("Cargo.toml") {
            names.extend(own_harness(&text));
        }
    }
    names
}

/// The sources and manifests of the repository, by their paths in it.
///
/// # Panics
/// If one cannot be read.
#[must_use]
pub fn sources() -> Vec<(String, String)> {
    let root = root();
    let mut found = Vec::new();
    for top in ["guest-sdk", "host", "processors", "tests", "wit"] {
        collect(&root, &root.join(top), &mut found);
    }
    found
}

/// The programs of `tests/programs`, one behaviour each.
///
/// # Panics
/// If their folder cannot be read.
#[must_use]
pub fn programs() -> BTreeSet<String> {
    let folder = root().join("tests/programs/examples");
    fs::read_dir(folder)
        .expect("the programs")
        .filter_map(|entry| entry.ok()?.path().file_stem()?.to_str().map(str::to_owned))
        .collect()
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("a folder of the repository") {
        let path = entry.expect("an entry of it").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            let foreign = matches!(&*name, "target" | "node_modules" | "fixtures" | "corpus");
            if !foreign && !name.starts_with('.') {
                collect(root, &path, found);
            }
        } else if [".rs", ".toml", ".wit"]
            .iter()
            .any(|end| name.ends_with(end))
        {
            let relative = path.strip_prefix(root).expect("below the root");
            let text = fs::read_to_string(&path).expect("a source");
            found.push((relative.to_string_lossy().into_owned(), text));
        }
    }
}

/// The test functions of a source file.
fn tests_of(source: &str) -> Vec<String> {
    let (mut names, mut test, mut ignored) = (Vec::new(), false, false);
    for line in source.lines().map(str::trim_start) {
        test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        ignored |= line.starts_with("#[ignore");
        let visible = line
            .strip_prefix("pub(crate) ")
            .or_else(|| line.strip_prefix("pub "))
            .unwrap_or(line);
        let function = visible.strip_prefix("async ").unwrap_or(visible);
        if let Some(rest) = function.strip_prefix("fn ") {
            if let Some((name, _)) = rest.split_once('(').filter(|_| test && !ignored) {
                names.push(name.to_owned());
            }
            (test, ignored) = (false, false);
        }
    }
    names
}

/// The names in the lists, one a line, of which a macro makes a test for each backend: those of the storage suite's groups,
/// and those of scenarios.
fn backend_tests(source: &str) -> Vec<String> {
    let (mut names, mut group) = (Vec::new(), false);
    for line in source.lines().map(str::trim) {
        if line.contains("(@group $run, ") && line.ends_with('[') || line == "on_every_backend! {" {
            group = true;
        } else if line.starts_with([']', '}']) {
            group = false;
        } else if let Some(name) = line.strip_suffix(',').filter(|_| group) {
            names.push(name.to_owned());
        }
    }
    names
}

/// The test programs of a manifest that bring their own `main`.
fn own_harness(manifest: &str) -> Vec<String> {
    manifest
        .split("[[test]]")
        .skip(1)
        .filter(|section| {
            let section = section.split("\n[").next().unwrap_or_default();
            section.contains("harness = false")
        })
        .filter_map(|section| {
            Some(
                section
                    .split_once("name = \"")?
                    .1
                    .split_once('"')?
                    .0
                    .to_owned(),
            )
        })
        .collect()
}

/// The value of `const name: … = …;` in a source file: a number, or the number in a duration.
///
/// # Panics
/// If there is no such constant, or it is made of more than numbers, `+`, `*`, `<<`, `Duration::from_secs` and
/// `from_millis`, and other such constants of the file.
#[must_use]
pub fn constant(path: &str, name: &str) -> u64 {
    value_of(&read(path), name).unwrap_or_else(|wrong| panic!("`{path}`: {wrong}"))
}

fn value_of(source: &str, name: &str) -> Result<u64, String> {
    let marker = format!("const {name}: ");
    let (_, rest) = source
        .split_once(&marker)
        .ok_or_else(|| format!("has no constant `{name}`"))?;
    let (_, rest) = rest
        .split_once('=')
        .ok_or_else(|| format!("`{name}` has no value"))?;
    let written = rest.split(';').next().unwrap_or_default();
    value(source, written)
}

/// The value of an expression, the loosest operator first.
fn value(source: &str, written: &str) -> Result<u64, String> {
    type Operate = fn(u64, u64) -> Option<u64>;
    const OPERATORS: [(&str, Operate); 3] = [
        ("<<", |left, right| {
            left.checked_mul(1_u64.checked_shl(u32::try_from(right).ok()?)?)
        }),
        ("+", u64::checked_add),
        ("*", u64::checked_mul),
    ];
    let written = written.trim();
    for (sign, operate) in OPERATORS {
        if let Some((left, right)) = written.rsplit_once(sign) {
            let (left, right) = (value(source, left)?, value(source, right)?);
            return operate(left, right).ok_or_else(|| format!("`{written}` is too large"));
        }
    }
    let inner = written
        .strip_prefix("Duration::from_secs(")
        .or_else(|| written.strip_prefix("Duration::from_millis("))
        .and_then(|inner| inner.strip_suffix(')'));
    if let Some(inner) = inner {
        return value(source, inner);
    }
    if written.starts_with(|first: char| first.is_ascii_digit()) {
        return written
            .replace('_', "")
            .parse()
            .map_err(|_| format!("`{written}` is no number"));
    }
    value_of(source, written)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# Page

```
| no | table |
```

## One

| promise | shown by |
| --- | --- |
| a | `first`, and `second` |
| b | nothing |

Text.

| number | unit |
| --- | --- |
| 1 | s |
";

    #[test]
    fn tables_are_read_with_their_headings() {
        let tables = tables(PAGE);
        assert_eq!(tables.len(), 2);
        assert_eq!(tables[0].section, "One");
        assert_eq!(tables[0].cell(&tables[0].rows[1], "shown by"), "nothing");
        assert_eq!(tables[1].rows, [["1", "s"]]);
    }

    #[test]
    fn a_test_that_is_not_there_and_a_row_without_one_are_found() {
        let tests = BTreeSet::from(["first".to_owned()]);
        assert_eq!(
            wrong_test_names(PAGE, &tests),
            ["a names `second`, which is no test", "b names no test"]
        );
    }

    #[test]
    fn tests_that_do_not_run_do_not_count() {
        let source = "\
#[test]
pub(crate) fn runs() {}
#[tokio::test(flavor = \"multi_thread\")]
async fn runs_too() {}
#[test]
#[ignore = \"slow\"]
fn is_left_out() {}
// #[test]
fn helps() {}
";
        assert_eq!(tests_of(source), ["runs", "runs_too"]);
        let suite =
            "    m!(@group $run, runs, [\n        first,\n        second,\n    ]);\n    other,\n";
        assert_eq!(backend_tests(suite), ["first", "second"]);
        let scenarios =
            "on_every_backend! {\n    one,\n    two,\n}\n\nasync fn one() {}\n    other,\n";
        assert_eq!(backend_tests(scenarios), ["one", "two"]);
        let manifest = "[[test]]\nname = \"a\"\n\n[[test]]\nname = \"b\"\nharness = false\n";
        assert_eq!(own_harness(manifest), ["b"]);
    }

    #[test]
    fn constants_are_worked_out_as_the_compiler_would() {
        let source = "const KIB: u64 = 1_024;\nconst BYTES: usize = 4 * KIB * 2 + 64 * KIB;\n\
                      const SHIFTED: u64 = 32 << 20;\nconst WAIT: Duration = Duration::from_secs(10);\n";
        for (name, expected) in [
            ("KIB", 1024),
            ("BYTES", 72 * 1024),
            ("SHIFTED", 32 << 20),
            ("WAIT", 10),
        ] {
            assert_eq!(value_of(source, name), Ok(expected), "{name}");
        }
        assert!(value_of(source, "NONE").is_err());
        assert!(value_of("const A: u64 = f(1);", "A").is_err());
    }
}

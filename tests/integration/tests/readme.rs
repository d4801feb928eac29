//! Proves that what README shows is true of this tree: the processor in it is the SDK's example, which is compiled and tested,
//! and is short; the commands it names exist.

use std::fs;
use std::path::{Path, PathBuf};

const EXAMPLE: &str = "guest-sdk/examples/team_label.rs";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("read `{path}`: {error}"))
}

/// The example as README shows it: without its head and without its tests.
fn shown(example: &str) -> String {
    let code = example
        .lines()
        .skip_while(|line| line.starts_with("//!") || line.is_empty())
        .collect::<Vec<_>>()
        .join("\n");
    let code = code.split("#[cfg(test)]").next().unwrap_or_default();
    code.trim_end().to_owned()
}

#[test]
fn the_processor_in_readme_is_the_example_and_under_25_lines() {
    let readme = read("README.md");
    let block = readme
        .split_once("```rust\n")
        .and_then(|(_, rest)| rest.split_once("```"))
        .map(|(block, _)| block.trim_end())
        .expect("README shows a processor");
    let code = shown(&read(EXAMPLE));
    assert_eq!(block, code, "copy {EXAMPLE} into README.md");
    assert!(code.lines().count() < 25, "{} lines", code.lines().count());
}

#[test]
fn the_commands_in_readme_exist() {
    let (readme, makefile) = (read("README.md"), read("Makefile"));
    let mut found = 0;
    for line in readme.lines() {
        if let Some(target) = line.strip_prefix("$ make ") {
            let target = target.split_whitespace().next().unwrap_or_default();
            assert!(
                makefile.contains(&format!("\n{target}:")),
                "`make {target}` is no target of Makefile"
            );
            found += 1;
        }
    }
    assert!(found >= 2, "README names make run and make test");
}

//! Proves that the YAML reader gives what npm `yaml` gives on real files: values equal, errors where it has errors, document by
//! document. The real catalogs where they are, and everywhere the example catalog and the small one with oddities. Texts made
//! up to be hard are in `guest-sdk/tests/npm_yaml.rs`, with what npm gave for them; here npm itself is run.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use greenroom_integration_tests::node_checks;
use greenroom_sdk::{Value, yaml};

/// Where YAML files are looked for, relative to this crate.
const PLACES: [&str; 3] = [
    "../../docs/example",
    "fixtures/oddities",
    "../../../shared/data/catalogs",
];

fn yaml_files(directory: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(directory) else {
        eprintln!("SKIPPED: {} is not here", directory.display());
        return;
    };
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        if path.is_dir() {
            yaml_files(&path, found);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml")
        {
            found.push(path);
        }
    }
}

/// What npm `yaml` says of each file: a JSON line each.
fn npm_yaml(folder: &Path, files: &[PathBuf]) -> Vec<Value> {
    let mut node = Command::new("node")
        .arg("yaml.mjs")
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node starts");
    let paths: Vec<&str> = files.iter().filter_map(|path| path.to_str()).collect();
    let mut input = node.stdin.take().expect("a pipe");
    input
        .write_all(paths.join("\n").as_bytes())
        .expect("node reads");
    drop(input);
    let output = node.wait_with_output().expect("node ends");
    assert!(output.status.success(), "{}", output.status);
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON line"))
        .collect()
}

/// The first document on which we differ, if there is one.
fn difference(
    expected: &Value,
    ours: &[Result<(Value, yaml::Position), yaml::YamlError>],
) -> Option<String> {
    let expected = expected.as_array().expect("documents");
    for (index, expected) in expected.iter().enumerate() {
        let found = ours.iter().find(|one| match one {
            Ok((_, position)) => position.document as usize == index,
            Err(error) => error.document as usize == index,
        });
        let equal = match (expected.get("value"), found) {
            (Some(Value::Null), None) => true,
            (Some(value), Some(Ok((ours, _)))) => value == ours,
            (None, Some(Err(_))) => true,
            _ => false,
        };
        if !equal {
            return Some(format!("document {index}: npm {expected}, ours {found:?}"));
        }
    }
    None
}

#[test]
fn every_file_gives_what_npm_yaml_gives() {
    let Some(folder) = node_checks() else {
        return;
    };
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for place in PLACES {
        yaml_files(&here.join(place), &mut files);
    }
    let theirs = npm_yaml(&folder, &files);
    assert_eq!(theirs.len(), files.len());
    let (mut documents, mut wrong) = (0, Vec::new());
    for (file, theirs) in files.iter().zip(&theirs) {
        let bytes = std::fs::read(file).expect("a file");
        documents += theirs["docs"].as_array().map_or(0, Vec::len);
        if let Some(difference) = difference(&theirs["docs"], &yaml::documents(&bytes)) {
            wrong.push(format!("{}: {difference}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    eprintln!("{documents} documents of {} files are equal", files.len());
}

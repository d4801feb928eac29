//! The guest SDK that this binary was built with, as files. It is not published: a new processor gets the sources, so that
//! its crate builds anywhere, without this repository and, once its few dependencies are there, without a network.
//!
//! The build script embeds the sources; here the two manifests get a workspace that says what this repository's says about
//! them, and the lock file pins what this repository has tested.

use std::collections::BTreeSet;

use anyhow::Context as _;
use toml::{Table, Value};

use super::template::NewFile;

/// Folder of the SDK in a new crate.
pub(super) const SDK_FOLDER: &str = "greenroom-sdk";

/// Path in the repository, text.
const EMBEDDED: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/sdk_files.rs"));

/// Where the repository's folders are in the SDK's.
const PLACES: [(&str, &str); 3] = [
    ("guest-sdk/", "guest-sdk/"),
    ("host/crates/model/", "model/"),
    ("wit/", "wit/"),
];

fn embedded(path: &str) -> anyhow::Result<&'static str> {
    let found = EMBEDDED.iter().find(|(name, _)| *name == path);
    found
        .map(|(_, text)| *text)
        .with_context(|| format!("find `{path}` among the embedded files"))
}

/// The SDK's files, below [`SDK_FOLDER`].
pub(super) fn files() -> anyhow::Result<Vec<NewFile>> {
    let mut files = vec![
        (format!("{SDK_FOLDER}/Cargo.toml"), workspace()?),
        (
            format!("{SDK_FOLDER}/LICENSE"),
            embedded("LICENSE")?.to_owned(),
        ),
    ];
    for (path, text) in EMBEDDED {
        for (from, to) in PLACES {
            if let Some(rest) = path.strip_prefix(from) {
                files.push((format!("{SDK_FOLDER}/{to}{rest}"), (*text).to_owned()));
            }
        }
    }
    Ok(files)
}

/// The manifest that the SDK's crates inherit from: this repository's, without what they do not name.
fn workspace() -> anyhow::Result<String> {
    let root: Table = embedded("Cargo.toml")?
        .parse()
        .context("read the embedded manifest")?;
    let root = root["workspace"]
        .as_table()
        .context("find the embedded workspace")?;
    let mut named = BTreeSet::new();
    for manifest in ["guest-sdk/Cargo.toml", "host/crates/model/Cargo.toml"] {
        let manifest: Table = embedded(manifest)?
            .parse()
            .context("read an embedded manifest")?;
        let dependencies = manifest.get("dependencies").and_then(Value::as_table);
        named.extend(
            dependencies
                .into_iter()
                .flat_map(|table| table.keys().cloned()),
        );
    }
    let all = root["dependencies"]
        .as_table()
        .context("find the embedded dependencies")?;
    let mut dependencies = Table::new();
    for name in named {
        let value = if name == "greenroom-model" {
            Value::Table(Table::from_iter([(
                "path".to_owned(),
                Value::from("model"),
            )]))
        } else {
            all.get(&name)
                .with_context(|| format!("find `{name}` in the embedded workspace"))?
                .clone()
        };
        dependencies.insert(name, value);
    }
    let workspace = Table::from_iter([
        ("resolver".to_owned(), Value::from("3")),
        (
            "members".to_owned(),
            Value::from(vec!["guest-sdk", "model"]),
        ),
        ("package".to_owned(), root["package"].clone()),
        ("dependencies".to_owned(), Value::Table(dependencies)),
        ("lints".to_owned(), root["lints"].clone()),
    ]);
    let manifest = Table::from_iter([("workspace".to_owned(), Value::Table(workspace))]);
    let head = "# The Greenroom guest SDK, as it came with the `greenroom` that made this crate. Replace the folder to update it.\n\n";
    Ok(head.to_owned() + &toml::to_string(&manifest)?)
}

/// The lock file of a crate called `name` that uses the SDK: the versions this repository was tested with.
pub(super) fn lock_for(name: &str) -> anyhow::Result<String> {
    let lock: Table = embedded("Cargo.lock")?
        .parse()
        .context("read the embedded lock file")?;
    let packages = lock["package"]
        .as_array()
        .context("find the embedded packages")?;
    let text = |package: &Value, key: &str| {
        package
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (mut wanted, mut kept) = (vec!["greenroom-sdk".to_owned()], BTreeSet::new());
    while let Some(next) = wanted.pop() {
        let mut parts = next.split(' ');
        let (package_name, version) = (parts.next().unwrap_or_default(), parts.next());
        for (index, package) in packages.iter().enumerate() {
            let fits = text(package, "name") == package_name
                && version.is_none_or(|version| text(package, "version") == version);
            if fits && kept.insert(index) {
                let dependencies = package.get("dependencies").and_then(Value::as_array);
                wanted.extend(
                    dependencies
                        .into_iter()
                        .flatten()
                        .filter_map(|one| one.as_str().map(str::to_owned)),
                );
            }
        }
    }
    let mut packages: Vec<Value> = kept
        .into_iter()
        .map(|index| packages[index].clone())
        .collect();
    packages.push(Value::Table(Table::from_iter([
        ("name".to_owned(), Value::from(name)),
        ("version".to_owned(), Value::from("0.1.0")),
        (
            "dependencies".to_owned(),
            Value::from(vec!["greenroom-sdk"]),
        ),
    ])));
    packages.sort_by_key(|package| (text(package, "name"), text(package, "version")));
    let table = Table::from_iter([
        ("version".to_owned(), lock["version"].clone()),
        ("package".to_owned(), Value::Array(packages)),
    ]);
    Ok(toml::to_string(&table)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_has_what_the_crates_inherit_and_no_more() {
        let manifest: Table = workspace().unwrap().parse().unwrap();
        let dependencies = manifest["workspace"]["dependencies"].as_table().unwrap();
        assert_eq!(
            dependencies["greenroom-model"]["path"].as_str(),
            Some("model")
        );
        assert!(dependencies.contains_key("wit-bindgen") && !dependencies.contains_key("wasmtime"));
        assert_eq!(
            manifest["workspace"]["package"]["edition"].as_str(),
            Some("2024")
        );
    }

    #[test]
    fn the_lock_file_is_closed_under_dependencies() {
        let lock: Table = lock_for("my-processor").unwrap().parse().unwrap();
        let packages = lock["package"].as_array().unwrap();
        let names: BTreeSet<&str> = packages
            .iter()
            .map(|package| package["name"].as_str().unwrap())
            .collect();
        assert!(
            names.contains("my-processor")
                && names.contains("serde_json")
                && !names.contains("wasmtime")
        );
        for package in packages {
            for dependency in package
                .get("dependencies")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                let name = dependency.as_str().unwrap().split(' ').next().unwrap();
                assert!(names.contains(name), "{name}");
            }
        }
    }
}

//! The members of the workspace as `cargo metadata` tells them, cut down to what the arrows are about.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("this crate lives two levels down")
}

/// Every member.
pub(crate) struct Workspace {
    pub(crate) packages: Vec<Package>,
}

/// One member.
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) description: String,
    /// Names of normal and build dependencies.
    pub(crate) dependencies: BTreeSet<String>,
    /// The text of its Cargo.toml.
    pub(crate) manifest: String,
}

impl Workspace {
    pub(crate) fn read() -> Self {
        let metadata = MetadataCommand::new()
            .manifest_path(root().join("Cargo.toml"))
            .no_deps()
            .exec()
            .expect("cargo metadata describes the workspace");
        let packages = metadata
            .workspace_packages()
            .into_iter()
            .map(|package| Package {
                name: package.name.to_string(),
                description: package.description.clone().unwrap_or_default(),
                dependencies: package
                    .dependencies
                    .iter()
                    .filter(|dependency| dependency.kind != DependencyKind::Development)
                    .map(|dependency| dependency.name.clone())
                    .collect(),
                manifest: fs::read_to_string(&package.manifest_path)
                    .expect("cargo has just read this manifest"),
            })
            .collect();
        Self { packages }
    }

    pub(crate) fn is_member(&self, name: &str) -> bool {
        self.packages.iter().any(|package| package.name == name)
    }
}

impl Package {
    /// The lines of every dependency table.
    pub(crate) fn dependency_lines(&self) -> impl Iterator<Item = &str> {
        let mut inside = false;
        self.manifest.lines().filter(move |line| {
            if line.starts_with('[') {
                inside = line.ends_with("dependencies]");
                return false;
            }
            inside && !line.trim().is_empty() && !line.starts_with('#')
        })
    }
}

//! Embeds the sources of the guest SDK, from which `greenroom processor new` makes a crate that builds without this
//! repository.

#![expect(
    clippy::disallowed_methods,
    reason = "build scripts are exempt from the rules on environment and paths"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// What a crate needs to use the SDK, relative to the repository.
const SOURCES: [&str; 10] = [
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "guest-sdk/Cargo.toml",
    "guest-sdk/README.md",
    "guest-sdk/examples",
    "guest-sdk/src",
    "host/crates/model/Cargo.toml",
    "host/crates/model/src",
    "wit/v0.1",
];

fn main() {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let root = here
        .join("..")
        .canonicalize()
        .expect("the workspace is one up");
    let mut table = String::from("&[\n");
    for source in SOURCES {
        let path = root.join(source);
        println!("cargo::rerun-if-changed={}", path.display());
        embed(&root, &path, &mut table);
    }
    table.push_str("]\n");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join("sdk_files.rs"), table).expect("write the table");
}

fn embed(root: &Path, path: &Path, table: &mut String) {
    if path.is_dir() {
        let mut inside: Vec<PathBuf> = fs::read_dir(path)
            .expect("a folder of the SDK")
            .map(|entry| entry.expect("an entry of it").path())
            .collect();
        inside.sort();
        for path in inside {
            embed(root, &path, table);
        }
        return;
    }
    let name = path.strip_prefix(root).expect("below the root");
    writeln!(table, "({name:?}, include_str!({path:?})),").expect("a string takes all");
}

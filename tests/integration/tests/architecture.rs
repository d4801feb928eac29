//! Proves that the workspace still has the shape `docs/architecture.md` describes: which crate may depend on which, which crate
//! alone may use a library, and which directory alone may speak a name.
//!
//! It reads `cargo metadata`, the manifests and the sources; it builds nothing and runs nothing. Arrows bind normal and build
//! dependencies, not dev ones: a test may look behind any door. What clippy can express is in `clippy.toml` and not repeated.
//! A failure here is a question to the author, not a nuisance: change the code, or change the table in the commit that argues
//! for it.

#[path = "architecture/arrows.rs"]
mod arrows;
#[path = "architecture/sources.rs"]
mod sources;
#[path = "architecture/workspace.rs"]
mod workspace;

use std::collections::BTreeSet;

use arrows::{ARROWS, OWNERS};
use sources::CONFINED;
use workspace::Workspace;

/// Fails with every offence at once, so that one run shows all there is to mend.
fn assert_none(offences: &[String], rule: &str) {
    assert!(offences.is_empty(), "{rule}:\n  {}", offences.join("\n  "));
}

#[test]
fn every_crate_depends_only_where_its_arrow_points() {
    let workspace = Workspace::read();
    let mut offences = Vec::new();
    for package in &workspace.packages {
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == package.name) else {
            offences.push(format!(
                "`{}` has no row in ARROWS: say what it may depend on",
                package.name
            ));
            continue;
        };
        for dependency in package
            .dependencies
            .iter()
            .filter(|name| workspace.is_member(name))
        {
            if !allowed.contains(&dependency.as_str()) {
                offences.push(format!("`{}` depends on `{dependency}`", package.name));
            }
        }
    }
    assert_none(&offences, "an arrow of the workspace is broken");
}

#[test]
fn no_arrow_leads_in_a_circle_and_none_is_left_over() {
    let workspace = Workspace::read();
    let mut placed = BTreeSet::new();
    let mut left: Vec<_> = ARROWS.iter().collect();
    loop {
        let before = left.len();
        left.retain(|(name, allowed)| {
            let ready = allowed.iter().all(|dependency| placed.contains(dependency));
            if ready {
                placed.insert(*name);
            }
            !ready
        });
        if left.len() == before {
            break;
        }
    }
    assert!(
        left.is_empty(),
        "these rows of ARROWS lead in a circle or to a crate without a row: {left:?}"
    );
    let gone: Vec<_> = placed
        .iter()
        .filter(|name| !workspace.is_member(name))
        .collect();
    assert!(
        gone.is_empty(),
        "these rows of ARROWS name no crate: {gone:?}"
    );
}

#[test]
fn each_confined_library_has_its_owners_only() {
    let workspace = Workspace::read();
    let mut offences = Vec::new();
    for package in &workspace.packages {
        for dependency in &package.dependencies {
            let owners = OWNERS.iter().find(|(library, _)| library == dependency);
            if owners.is_some_and(|(_, owners)| !owners.contains(&package.name.as_str())) {
                offences.push(format!("`{}` depends on `{dependency}`", package.name));
            }
        }
    }
    assert_none(
        &offences,
        "a library is used outside the crates that own it",
    );
}

#[test]
fn each_confined_name_is_spoken_only_where_its_row_says() {
    let offences: Vec<String> = sources::production(&workspace::root())
        .into_iter()
        .flat_map(|source| {
            CONFINED.iter().filter_map(move |row| {
                let line = row.offence(&source)?;
                Some(format!(
                    "{}:{line}: `{}`: {}",
                    source.path, row.name, row.because
                ))
            })
        })
        .collect();
    assert_none(
        &offences,
        "a name is spoken outside the place it is confined to",
    );
}

#[test]
fn every_source_file_says_what_it_is() {
    let offences: Vec<String> = sources::all(&workspace::root())
        .into_iter()
        .filter(|source| {
            !source
                .text
                .trim_start_matches('\u{feff}')
                .starts_with("//! ")
        })
        .map(|source| source.path)
        .collect();
    assert_none(&offences, "a file does not open with a `//!` head");
}

#[test]
fn every_crate_takes_lints_and_versions_from_the_workspace() {
    let workspace = Workspace::read();
    let mut offences = Vec::new();
    for package in &workspace.packages {
        if package.description.trim().is_empty() {
            offences.push(format!("`{}` has no description", package.name));
        }
        if !package.manifest.contains("[lints]\nworkspace = true\n") {
            offences.push(format!(
                "`{}` does not opt into the workspace lints",
                package.name
            ));
        }
        for line in package.dependency_lines() {
            if !line.contains("workspace = true") {
                offences.push(format!(
                    "`{}` sets a version or a path of its own: `{line}`",
                    package.name
                ));
            }
        }
    }
    assert_none(&offences, "a manifest does not follow the workspace");
}

//! Walking a root for the files that match a pattern.
//!
//! Iterative and bounded in entries seen, matches and depth; a walk that meets a bound is refused and
//! never returns a part. Links to files count as files if they stay below the root; links to folders
//! are not entered, so a walk ends.

use std::io;
use std::path::Path;

use cap_std::fs::Dir;

use crate::files::{is_file, stop_for};
use crate::glob::PathPattern;
use crate::listing::MATCHES;
use crate::outcome::Stop;

/// Most folder entries looked at for one pattern.
const ENTRIES: usize = 200_000;
/// Deepest folder below the root.
const DEPTH: usize = 64;

/// The relative paths of all matching files, in no order.
pub(super) fn matches(dir: &Dir, pattern: &PathPattern) -> Result<Vec<String>, Stop> {
    let mut found = Vec::new();
    let mut seen = 0;
    let mut folders = vec![pattern.base().to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match list_folder(dir, &folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(folder_stop(&error)),
        };
        for entry in entries {
            seen += 1;
            if seen > ENTRIES {
                return Err(too_many(ENTRIES, "files and folders to look at"));
            }
            let entry = entry.map_err(|error| folder_stop(&error))?;
            // A name that is not UTF-8 can be named by no target.
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            if !pattern.admits(&name) {
                continue;
            }
            let path = if folder.is_empty() {
                name
            } else {
                format!("{folder}/{name}")
            };
            let kind = entry.file_type().map_err(|error| folder_stop(&error))?;
            if kind.is_dir() {
                if path.split('/').count() >= DEPTH {
                    return Err(Stop::refused(format!(
                        "folders are nested deeper than {DEPTH}"
                    )));
                }
                folders.push(path);
            } else if pattern.matches(&path)
                && (kind.is_file()
                    || kind.is_symlink() && is_file(dir, Path::new(&path)).unwrap_or(false))
            {
                found.push(path);
                if found.len() > MATCHES {
                    return Err(too_many(MATCHES, "matching files"));
                }
            }
        }
    }
    Ok(found)
}

fn list_folder(dir: &Dir, folder: &str) -> io::Result<cap_std::fs::ReadDir> {
    if folder.is_empty() {
        dir.entries()
    } else {
        dir.read_dir(folder)
    }
}

/// A folder that cannot be read is no empty folder: what was found there before must not vanish.
fn folder_stop(error: &io::Error) -> Stop {
    match stop_for(error) {
        Stop::NotFound => Stop::unavailable("a folder changed while it was listed"),
        Stop::Refused(_) => Stop::refused("a folder that the pattern reaches is not readable"),
        other => other,
    }
}

fn too_many(limit: usize, what: &str) -> Stop {
    Stop::refused(format!(
        "the pattern has more than {limit} {what}; narrow it"
    ))
}

//! Runs something again whenever a file changes. Looks at sizes and times twice a second: it needs no notification service,
//! works over every file system, and an author saves more slowly than that.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::commands::exit::Exit;
use crate::commands::files;
use crate::commands::screen::Screen;

/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What a set of files looks like.
type Look = Vec<(PathBuf, u64, Option<SystemTime>)>;

/// Runs `pass` now and after each change below `paths`; ends with the process.
pub(super) fn watch(
    screen: &Screen,
    paths: &[PathBuf],
    pass: impl Fn() -> anyhow::Result<Exit>,
) -> anyhow::Result<Exit> {
    loop {
        // Looked at before the pass, so that a change during it is not missed.
        let before = look(paths);
        if let Err(error) = pass() {
            screen.failure(Exit::Failed, &error);
        }
        screen.say("watching; Ctrl-C ends");
        while look(paths) == before {
            std::thread::sleep(LOOK_EVERY);
        }
        screen.say("");
    }
}

fn look(paths: &[PathBuf]) -> Look {
    let mut seen = Look::new();
    for path in paths {
        if files::is_folder(path) {
            let inside = files::below(path, &|_| true).unwrap_or_default();
            seen.extend(inside.iter().map(|file| look_at(file)));
        } else {
            seen.push(look_at(path));
        }
    }
    seen
}

fn look_at(path: &Path) -> (PathBuf, u64, Option<SystemTime>) {
    #[expect(clippy::disallowed_methods, reason = "a path the author gave")]
    let metadata = path.metadata().ok();
    let size = metadata.as_ref().map_or(0, std::fs::Metadata::len);
    (
        path.to_owned(),
        size,
        metadata.and_then(|metadata| metadata.modified().ok()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_added_or_removed_file_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        let paths = [folder.path().to_owned(), folder.path().join("later")];
        files::write(&file, b"1").unwrap();
        let first = look(&paths);
        assert_eq!(look(&paths), first);
        files::write(&file, b"22").unwrap();
        let second = look(&paths);
        assert_ne!(second, first);
        files::write(&folder.path().join("later"), b"").unwrap();
        assert_ne!(look(&paths), second);
    }
}

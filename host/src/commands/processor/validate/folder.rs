//! The folder of a repository: which catalog files are in it, and what they refer to.
//!
//! What a document refers to is chosen by whoever wrote the document, and may end on a host. So a reference is read through a
//! directory handle, which nothing leads out of, and nothing hidden is: `.git` and `.env` hold what is not for a catalog.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, bail};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use greenroom_model::GivenFile;
use greenroom_model::rules::glob_matches;

use crate::commands::files;

/// Most bytes of all catalog files: what a host takes.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// Largest file that documents refer to, in bytes.
const MAX_REFERENCE_BYTES: u64 = 1024 * 1024;

/// See the module's head.
pub(super) struct Folder {
    shown: String,
    /// Absolute, without `.` and `..`.
    root: PathBuf,
    dir: Dir,
}

impl Folder {
    pub(super) fn open(root: &Path) -> anyhow::Result<Folder> {
        let shown = root.display().to_string();
        let dir = Dir::open_ambient_dir(root, ambient_authority())
            .with_context(|| format!("open the folder `{shown}`"))?;
        Ok(Folder {
            shown,
            root: plain(&files::current_folder()?.join(root)),
            dir,
        })
    }

    /// The files named, and those in folders whose names match.
    pub(super) fn catalog_files(
        &self,
        paths: &[PathBuf],
        names: &[String],
    ) -> anyhow::Result<Vec<GivenFile>> {
        let mut found: Vec<GivenFile> = Vec::new();
        let mut bytes = 0;
        for path in paths {
            let inside = if files::is_folder(path) {
                let wanted = |name: &str| names.iter().any(|one| glob_matches(one, name));
                files::below(path, &wanted)?
            } else {
                vec![path.clone()]
            };
            if inside.is_empty() {
                let names = names.join("`, `");
                bail!("there is no `{names}` below `{}`", path.display());
            }
            for file in inside {
                let place = self.place(&file)?;
                if found.iter().any(|known| known.path == place) {
                    continue;
                }
                let text = files::read_text(&file)?;
                bytes += text.len();
                if bytes > MAX_BYTES {
                    bail!("there are more than {MAX_BYTES} bytes: validate fewer files at a time");
                }
                found.push(GivenFile { path: place, text });
            }
        }
        Ok(found)
    }

    /// A file's path below the root, with `/`.
    fn place(&self, path: &Path) -> anyhow::Result<String> {
        let whole = plain(&files::current_folder()?.join(path));
        let inside = whole.strip_prefix(&self.root).ok();
        let names: Option<Vec<&str>> = inside.and_then(|inside| {
            let names = inside.components().map(|part| part.as_os_str().to_str());
            names.collect()
        });
        match names {
            Some(names) if !names.is_empty() => Ok(names.join("/")),
            _ => bail!(
                "`{}` is not below `{}`: name the folder of the repository by `--root`",
                path.display(),
                self.shown
            ),
        }
    }

    /// A file that a document refers to, if it is there and for a catalog.
    pub(super) fn reference(&self, path: &str) -> Option<GivenFile> {
        let hidden = |name: &str| name.starts_with('.') || name.is_empty();
        if path.split('/').any(hidden) {
            return None;
        }
        let metadata = self.dir.metadata(path).ok()?;
        if !metadata.is_file() || metadata.len() > MAX_REFERENCE_BYTES {
            return None;
        }
        Some(GivenFile {
            path: path.to_owned(),
            text: self.dir.read_to_string(path).ok()?,
        })
    }
}

/// A path without `.` and `..`, by its letters alone.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            Component::Normal(_) | Component::RootDir | Component::Prefix(_) => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, bytes: &[u8]) {
        let path = folder.join(name);
        files::make_folder(path.parent().unwrap()).unwrap();
        files::write(&path, bytes).unwrap();
    }

    fn names() -> Vec<String> {
        vec!["catalog-info.y*ml".to_owned()]
    }

    #[test]
    fn folders_are_searched_and_files_taken_as_named() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for name in [
            "catalog-info.yaml",
            "a/Catalog-Info.yml",
            "a/other.yaml",
            ".github/catalog-info.yaml",
        ] {
            write(root, name, b"x");
        }
        let folder = Folder::open(root).unwrap();
        let paths = [
            root.to_owned(),
            root.join("a/../a/other.yaml"),
            root.join("catalog-info.yaml"),
        ];
        let found = folder.catalog_files(&paths, &names()).unwrap();
        let found: Vec<_> = found.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(
            found,
            ["a/Catalog-Info.yml", "catalog-info.yaml", "a/other.yaml"]
        );
    }

    #[test]
    fn what_cannot_be_taken_is_named_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("repository");
        write(&root, "bytes.yaml", b"\xff\xfe");
        write(&root, "big.yaml", &vec![b'x'; MAX_BYTES + 1]);
        write(directory.path(), "outside.yaml", b"x");
        let folder = Folder::open(&root).unwrap();
        for (path, said) in [
            (root.clone(), "there is no `catalog-info.y*ml` below"),
            (root.join("../outside.yaml"), "by `--root`"),
            (root.join("bytes.yaml"), "is not UTF-8"),
            (root.join("big.yaml"), "validate fewer files"),
            (root.join("none.yaml"), "none.yaml"),
        ] {
            let error = folder.catalog_files(&[path], &names()).unwrap_err();
            let error = format!("{error:#}");
            assert!(error.contains(said), "{error}");
        }
        assert!(Folder::open(&root.join("none")).is_err());
    }

    #[test]
    fn a_reference_leads_to_nothing_hidden_and_nowhere_else() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("repository");
        write(&root, "docs/api.yaml", b"openapi");
        write(&root, ".env", b"secret");
        write(&root, ".git/config", b"secret");
        write(&root, "large", &vec![b'x'; 1024 * 1024 + 1]);
        write(directory.path(), "secret", b"secret");
        std::os::unix::fs::symlink("../secret", root.join("link")).unwrap();
        let folder = Folder::open(&root).unwrap();
        let found = folder.reference("docs/api.yaml").unwrap();
        assert_eq!((&*found.path, &*found.text), ("docs/api.yaml", "openapi"));
        for path in [
            ".env",
            ".git/config",
            "docs/../.env",
            "../secret",
            "/etc/passwd",
            "link",
            "docs",
            "large",
            "none",
            "",
        ] {
            assert!(folder.reference(path).is_none(), "{path}");
        }
    }
}

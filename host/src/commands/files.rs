//! Files an author names. Like `open` of a directory elsewhere in `commands`, this is where paths of the person at the
//! keyboard become bytes; sizes are bounded, because a saved fault or a component may come from somebody else (l05).

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// Largest component, as the host takes it.
pub(super) const COMPONENT_BYTES: u64 = 32 << 20;
/// Largest text: an entity file, a document, a saved fault with its 16 MiB of documents in base64.
pub(super) const TEXT_BYTES: u64 = 64 << 20;
/// Deepest folder that is looked into.
const MAX_DEPTH: usize = 16;

/// The bytes of a file of at most `limit` bytes.
pub(super) fn read(path: &Path, limit: u64) -> anyhow::Result<Vec<u8>> {
    let shown = path.display();
    #[expect(clippy::disallowed_methods, reason = "a path the author gave")]
    let file = std::fs::File::open(path).with_context(|| format!("open `{shown}`"))?;
    if !file
        .metadata()
        .with_context(|| format!("look at `{shown}`"))?
        .is_file()
    {
        bail!("`{shown}` is not a plain file");
    }
    let mut bytes = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("read `{shown}`"))?;
    if bytes.len() as u64 > limit {
        bail!("`{shown}` is larger than {limit} bytes");
    }
    Ok(bytes)
}

/// The text of a file.
pub(super) fn read_text(path: &Path) -> anyhow::Result<String> {
    String::from_utf8(read(path, TEXT_BYTES)?)
        .map_err(|_| anyhow::anyhow!("`{}` is not UTF-8 text", path.display()))
}

/// Writes a file, replacing it.
pub(super) fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "a path the author gave")]
    std::fs::write(path, bytes).with_context(|| format!("write `{}`", path.display()))
}

/// A file to be read bit by bit, of any size.
pub(super) fn open(path: &Path) -> anyhow::Result<std::fs::File> {
    let shown = path.display();
    #[expect(clippy::disallowed_methods, reason = "a path the operator gave")]
    let file = std::fs::File::open(path).with_context(|| format!("open `{shown}`"))?;
    let metadata = file
        .metadata()
        .with_context(|| format!("look at `{shown}`"))?;
    if metadata.is_dir() {
        bail!("`{shown}` is a folder");
    }
    Ok(file)
}

/// Makes a file that only its owner may read; fails if anything of that name is there, links included.
pub(super) fn create_private(path: &Path) -> anyhow::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    #[expect(clippy::disallowed_methods, reason = "a path the operator gave")]
    let file = options.open(path);
    file.with_context(|| format!("make the new file `{}`", path.display()))
}

/// Removes a file.
pub(super) fn remove(path: &Path) -> anyhow::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "a path the operator gave")]
    std::fs::remove_file(path).with_context(|| format!("remove `{}`", path.display()))
}

/// Makes a folder and those above it.
pub(super) fn make_folder(path: &Path) -> anyhow::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "a path the author gave")]
    std::fs::create_dir_all(path).with_context(|| format!("make the folder `{}`", path.display()))
}

/// Whether something is there.
pub(super) fn is_there(path: &Path) -> bool {
    #[expect(clippy::disallowed_methods, reason = "a path the author gave")]
    path.exists()
}

/// Whether it is a folder.
pub(super) fn is_folder(path: &Path) -> bool {
    #[expect(clippy::disallowed_methods, reason = "a path the author gave")]
    path.is_dir()
}

/// The names in a folder, sorted; hidden ones left out.
pub(super) fn names_in(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let shown = folder.display();
    #[expect(clippy::disallowed_methods, reason = "a path the author gave")]
    let entries = std::fs::read_dir(folder).with_context(|| format!("list `{shown}`"))?;
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("list `{shown}`"))?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// Every file below a folder whose name `wanted` accepts, sorted; hidden folders, `target` and links to folders left out.
pub(super) fn below(folder: &Path, wanted: &dyn Fn(&str) -> bool) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        for path in names_in(&folder)? {
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned());
            let name = name.unwrap_or_default();
            if is_folder(&path) && !path.is_symlink() {
                if depth < MAX_DEPTH && !matches!(name.as_str(), "target" | "node_modules") {
                    folders.push((path, depth + 1));
                }
            } else if wanted(&name) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The working directory.
pub(super) fn current_folder() -> anyhow::Result<PathBuf> {
    #[expect(
        clippy::disallowed_methods,
        reason = "commands resolve relative paths once, at the start"
    )]
    std::env::current_dir().context("find the working directory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l05_a_file_over_the_limit_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("big");
        write(&path, &[b'x'; 11]).unwrap();
        let error = read(&path, 10).unwrap_err().to_string();
        assert!(error.contains("larger than 10 bytes"), "{error}");
        assert_eq!(read(&path, 11).unwrap().len(), 11);
        assert!(read(folder.path(), 10).is_err(), "a folder is no file");
    }

    #[test]
    fn folders_are_walked_in_order_without_what_is_built() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "b/x.yaml",
            "a.yaml",
            "target/y.yaml",
            ".git/z.yaml",
            "a.txt",
        ] {
            let path = folder.path().join(name);
            make_folder(path.parent().unwrap()).unwrap();
            write(&path, b"").unwrap();
        }
        let found = below(folder.path(), &|name| name.ends_with(".yaml")).unwrap();
        let names: Vec<_> = found
            .iter()
            .map(|path| path.strip_prefix(folder.path()).unwrap())
            .collect();
        assert_eq!(names, [Path::new("a.yaml"), Path::new("b/x.yaml")]);
    }
}

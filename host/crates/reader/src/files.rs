//! Files that a catalog names, below the roots that the operator lists.
//!
//! A target is an absolute path. It is compared with the roots by whole names, and what is left of it
//! is opened through the root's `Dir`, so no `..` and no symbolic link leads outside: that is the
//! kernel's and cap-std's doing, not a comparison of ours. Only regular files are read; a pipe or a
//! device is opened without waiting and refused.
//!
//! Who may name a file at all (operator configuration, or a `file` Location below the same root) is
//! decided by the caller and expressed as the [`Grant`].

mod walk;

use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt as _};
use greenroom_model::Digest;

use crate::conditional::Conditional;
use crate::glob::{PathPattern, is_pattern};
use crate::grant::Grant;
use crate::outcome::{ReadOutcome, Stop, Want};

/// Bytes read for the digests of one listing.
const LISTING_BYTES: usize = 256 << 20;

/// A folder below which files may be read.
#[derive(Debug)]
pub struct FileRoot {
    /// Its absolute path, as targets spell it.
    pub path: PathBuf,
    /// The folder itself, opened by the command that started the process.
    pub dir: Dir,
}

/// Reads files. Holds only what the operator listed.
#[derive(Debug)]
pub struct FileReader {
    /// Longest path first, so that a root inside another one wins.
    roots: Vec<FileRoot>,
    document_bytes: usize,
}

/// A root that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileReaderError {
    /// The path is relative, or has `.` or `..` in it.
    #[error("file root `{0}` is not an absolute path")]
    Root(String),
}

impl FileReader {
    /// A reader of files of at most `document_bytes` below `roots`.
    ///
    /// # Errors
    /// [`FileReaderError::Root`] names a path that is not absolute.
    pub fn new(
        mut roots: Vec<FileRoot>,
        document_bytes: usize,
    ) -> Result<FileReader, FileReaderError> {
        for root in &mut roots {
            let path = root.path.to_str().and_then(normalise);
            root.path =
                path.ok_or_else(|| FileReaderError::Root(root.path.display().to_string()))?;
        }
        roots.sort_by_key(|root| std::cmp::Reverse(root.path.components().count()));
        Ok(FileReader {
            roots,
            document_bytes,
        })
    }

    /// The listed root that `target` lies below, for [`Grant::file_root`].
    #[must_use]
    pub fn root_of(&self, target: &str) -> Option<&Path> {
        let path = normalise(target)?;
        self.root(&path).map(|root| root.path.as_path())
    }

    /// Reads `want` under `grant`. Blocks on file I/O; call it where blocking is allowed.
    #[must_use]
    pub fn read(&self, grant: &Grant, want: &Want) -> ReadOutcome {
        let ended = match want {
            Want::Get(target) => self.get(grant, target),
            Want::List(pattern) => self.list(grant, pattern),
        };
        ended.unwrap_or_else(ReadOutcome::from)
    }

    fn root(&self, path: &Path) -> Option<&FileRoot> {
        self.roots.iter().find(|root| path.starts_with(&root.path))
    }

    /// The root and the path below it that `target` means, if the grant permits it.
    fn locate<'p>(&self, grant: &Grant, path: &'p Path) -> Result<(&FileRoot, &'p Path), Stop> {
        let found = self.root(path).filter(|_| grant.permits_file(path));
        let found = found.and_then(|root| Some((root, path.strip_prefix(&root.path).ok()?)));
        found.ok_or_else(|| Stop::refused("the file is not below a root that may be read here"))
    }

    fn get(&self, grant: &Grant, target: &str) -> Result<ReadOutcome, Stop> {
        let path = normalise(target).ok_or_else(not_a_path)?;
        let (root, below) = self.locate(grant, &path)?;
        let bytes = read_file(&root.dir, below, self.document_bytes)?;
        Ok(ReadOutcome::Document {
            digest: Digest::of(&bytes),
            bytes: Bytes::from(bytes),
            final_url: path.to_string_lossy().into_owned(),
            conditional: Conditional::default(),
        })
    }

    fn list(&self, grant: &Grant, pattern: &str) -> Result<ReadOutcome, Stop> {
        let path = normalise(pattern).ok_or_else(not_a_path)?;
        let (root, below) = self.locate(grant, &path)?;
        let below = below.to_str().ok_or_else(not_a_path)?;
        let found = if is_pattern(below) {
            let pattern = PathPattern::new(below)
                .ok_or_else(|| Stop::refused("the pattern is not a glob of at most 1024 bytes"))?;
            walk::matches(&root.dir, &pattern)?
        } else {
            match is_file(&root.dir, Path::new(below)) {
                Ok(true) => vec![below.to_owned()],
                Ok(false) => return Err(Stop::NotFound),
                Err(error) => return Err(stop_for(&error)),
            }
        };
        let mut left = LISTING_BYTES;
        let mut entries = Vec::with_capacity(found.len());
        for file in found {
            let content =
                match read_file(&root.dir, Path::new(&file), self.document_bytes.min(left)) {
                    Ok(bytes) => {
                        left -= bytes.len();
                        Digest::of(&bytes).to_string()
                    }
                    Err(Stop::NotFound) => continue,
                    // Listed all the same: reading it tells the reason, and only that target fails.
                    Err(Stop::Refused(_)) if left >= self.document_bytes => "unreadable".to_owned(),
                    Err(Stop::Refused(_)) => {
                        return Err(Stop::refused(
                            "the pattern matches more than 256 MiB of files",
                        ));
                    }
                    Err(stop) => return Err(stop),
                };
            let target = root.path.join(&file).to_string_lossy().into_owned();
            entries.push((target, content));
        }
        Ok(ReadOutcome::listing(entries, Conditional::default()))
    }
}

/// An absolute path without `.`, `..` and repeated slashes; none for anything else. `file:` and
/// `file://` may stand before it.
pub(crate) fn normalise(target: &str) -> Option<PathBuf> {
    let path = target.strip_prefix("file:").unwrap_or(target);
    let path = match path.strip_prefix("//") {
        Some(rest) if path.len() < target.len() => rest,
        _ => path,
    };
    if path.contains('\0') || !path.starts_with('/') || path.len() > 4096 {
        return None;
    }
    let mut normal = PathBuf::from("/");
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => {
                normal.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Some(normal)
}

fn not_a_path() -> Stop {
    Stop::refused("not an absolute path; write it like `/folder/file.yaml`")
}

fn is_file(dir: &Dir, path: &Path) -> io::Result<bool> {
    if path.as_os_str().is_empty() {
        return Ok(false);
    }
    dir.metadata(path).map(|metadata| metadata.is_file())
}

/// Reads a regular file of at most `limit` bytes.
fn read_file(dir: &Dir, path: &Path, limit: usize) -> Result<Vec<u8>, Stop> {
    let not_regular = || Stop::refused("not a regular file");
    if path.as_os_str().is_empty() {
        return Err(not_regular());
    }
    // Asked before opening, because opening a device can have effects; asked again after it, because
    // the name may have changed hands. Opening a pipe does not wait.
    if !is_file(dir, path).map_err(|error| stop_for(&error))? {
        return Err(not_regular());
    }
    let mut options = OpenOptions::new();
    options
        .read(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    let file = dir
        .open_with(path, &options)
        .map_err(|error| stop_for(&error))?;
    let metadata = file.metadata().map_err(|error| stop_for(&error))?;
    if !metadata.is_file() {
        return Err(not_regular());
    }
    let mut bytes = Vec::new();
    // One byte more than allowed tells a longer file from one that just fits.
    file.take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| stop_for(&error))?;
    if bytes.len() > limit {
        return Err(Stop::refused(format!(
            "the file is larger than {limit} bytes"
        )));
    }
    Ok(bytes)
}

/// The end that an I/O error is. A name that leads outside its root is `PermissionDenied`.
fn stop_for(error: &io::Error) -> Stop {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Stop::NotFound,
        io::ErrorKind::PermissionDenied => {
            Stop::refused("the file is not readable, or a link leads outside its root")
        }
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidFilename => {
            Stop::refused("the file name cannot be opened")
        }
        _ if rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::LOOP) => {
            Stop::refused("the file is a link that leads nowhere")
        }
        _ => Stop::unavailable("the file system failed"),
    }
}

#[cfg(test)]
mod tests;

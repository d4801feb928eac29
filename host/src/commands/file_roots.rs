//! Opens the file roots: below them, and nowhere else, `file` locations are read.

use std::path::PathBuf;

use anyhow::Context as _;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use greenroom_reader::{FileReader, FileRoot};

/// Largest document, in bytes (DESIGN §3.1).
const DOCUMENT_BYTES: usize = 16 * 1024 * 1024;

/// A reader of files below `roots`.
pub(super) fn open(roots: &[PathBuf]) -> anyhow::Result<FileReader> {
    let roots = roots
        .iter()
        .map(|path| {
            let dir = Dir::open_ambient_dir(path, ambient_authority())
                .with_context(|| format!("open the file root `{}`", path.display()))?;
            Ok(FileRoot {
                path: path.clone(),
                dir,
            })
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    Ok(FileReader::new(roots, DOCUMENT_BYTES)?)
}

//! The data directory: made, checked and opened once; what is in it is reached through its handle.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt as _, PermissionsExt as _};
use rand::TryRng as _;

/// Name of the file that holds the key of stored artifacts.
const ARTIFACT_KEY: &str = "artifact-key";

/// The opened directory.
pub(super) struct DataDir {
    dir: Dir,
    path: PathBuf,
}

impl DataDir {
    /// Makes the directory (0700) if it is not there, and opens it.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("make the data directory `{shown}`"))?;
        let dir = Dir::open_ambient_dir(path, ambient_authority())
            .with_context(|| format!("open the data directory `{shown}`"))?;
        let mode = dir.dir_metadata()?.permissions().mode();
        if mode & 0o002 != 0 {
            bail!(
                "the data directory `{shown}` can be written by everybody: run `chmod o-w {shown}`"
            );
        }
        Ok(Self {
            dir,
            path: path.to_owned(),
        })
    }

    /// Where the SQLite driver finds its file.
    pub(super) fn database(&self) -> PathBuf {
        self.path.join("greenroom.db")
    }

    /// Where a file in it is, for people.
    pub(super) fn shown(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    /// Writes a new file that only its owner may read; fails if anything of that name is there, links included (i15).
    pub(super) fn create_private(&self, name: &str, bytes: &[u8]) -> std::io::Result<()> {
        let mut file = self.dir.open_with(
            name,
            OpenOptions::new().write(true).create_new(true).mode(0o600),
        )?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    /// Reads a file that nobody else may read.
    pub(super) fn read_private(&self, name: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let shown = self.shown(name);
        let metadata = match self.dir.symlink_metadata(name) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("look at `{shown}`")),
        };
        if !metadata.is_file() {
            bail!("`{shown}` is not a plain file: move it away");
        }
        if metadata.permissions().mode() & 0o077 != 0 {
            bail!("`{shown}` can be read by others: run `chmod 600 {shown}`");
        }
        let mut bytes = Vec::new();
        self.dir
            .open(name)?
            .take(4096)
            .read_to_end(&mut bytes)
            .with_context(|| format!("read `{shown}`"))?;
        Ok(Some(bytes))
    }

    /// The key that authenticates stored artifacts; made at the first start.
    pub(super) fn artifact_key(&self) -> anyhow::Result<[u8; 32]> {
        if let Some(bytes) = self.read_private(ARTIFACT_KEY)? {
            return <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| {
                anyhow::anyhow!(
                    "`{}` is damaged: remove it, artifacts are compiled again",
                    self.shown(ARTIFACT_KEY)
                )
            });
        }
        let key = random_bytes()?;
        match self.create_private(ARTIFACT_KEY, &key) {
            Ok(()) => Ok(key),
            // Another worker of this directory was quicker.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => self.artifact_key(),
            Err(error) => Err(error).context("write the artifact key"),
        }
    }
}

/// Random bytes from the operating system.
pub(super) fn random_bytes() -> anyhow::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    rand::rngs::SysRng
        .try_fill_bytes(&mut bytes)
        .context("get random bytes")?;
    Ok(bytes)
}

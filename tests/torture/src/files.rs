//! The files of a world: one directory with everything in it, kept where something was found.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A directory that goes with the value, unless it is kept.
pub(crate) struct Files(TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("greenroom-torture-")
            .tempdir();
        Self(directory.expect("a directory for the world"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The configuration of all processes: one key for what they compile.
    pub(crate) fn configuration(&self) -> PathBuf {
        let key = self.path().join("artifact-key");
        fs::write(&key, "5e".repeat(32)).expect("write a key");
        fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("close a key");
        let path = self.path().join("greenroom.toml");
        let text = format!("artifact_key_file = \"{}\"\n", key.display());
        fs::write(&path, text).expect("write the configuration");
        path
    }

    /// Where a process writes its log; every start goes on in the same file.
    pub(crate) fn log(&self, name: &str) -> File {
        let path = self.path().join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(path);
        file.expect("open a log")
    }

    /// Leaves it where it is, to be looked at.
    pub(crate) fn keep(self) -> PathBuf {
        self.0.keep()
    }
}

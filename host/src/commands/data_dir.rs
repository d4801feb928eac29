//! The data directory: made, checked and opened once; what is in it is reached through its handle.
//!
//! No name leads out of it, neither by `..` nor by a link that was planted in it (s04). The SQLite driver alone opens by path,
//! and would follow a link: its files are looked at through the handle first.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, Metadata, OpenOptions, OpenOptionsExt as _, PermissionsExt as _};
use rand::TryRng as _;

/// Names of the database's files, its own first.
const DATABASE: [&str; 3] = ["greenroom.db", "greenroom.db-wal", "greenroom.db-shm"];
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

    /// Where the SQLite driver finds its file, which with those beside it is a plain one or not there yet.
    pub(super) fn database(&self) -> anyhow::Result<PathBuf> {
        for name in DATABASE {
            self.plain_file(name)?;
        }
        Ok(self.path.join(DATABASE[0]))
    }

    /// Where the SQLite driver finds its file, if it is there.
    pub(super) fn existing_database(&self) -> anyhow::Result<Option<PathBuf>> {
        let path = self.database()?;
        Ok(self.plain_file(DATABASE[0])?.map(|_| path))
    }

    /// Puts a file of the directory in the place of the database, which is not there.
    pub(super) fn become_database(&self, name: &str) -> anyhow::Result<()> {
        self.dir
            .hard_link(name, &self.dir, DATABASE[0])
            .and_then(|()| self.dir.remove_file(name))
            .with_context(|| format!("put `{}` in its place", self.shown(DATABASE[0])))?;
        self.dir
            .open(".")
            .and_then(|directory| directory.sync_all())
            .with_context(|| format!("keep `{}`", self.path.display()))
    }

    /// Removes a file, if it is there.
    pub(super) fn remove(&self, name: &str) -> anyhow::Result<()> {
        match self.dir.remove_file(name) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("remove `{}`", self.shown(name)))
            }
            _ => Ok(()),
        }
    }

    /// The path of a file in it, for the SQLite driver.
    pub(super) fn driver_path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// What is known of a file, if it is there; an error if it is a link or anything else.
    fn plain_file(&self, name: &str) -> anyhow::Result<Option<Metadata>> {
        let shown = self.shown(name);
        match self.dir.symlink_metadata(name) {
            Ok(metadata) if metadata.is_file() => Ok(Some(metadata)),
            Ok(_) => bail!("`{shown}` is not a plain file: move it away"),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("look at `{shown}`")),
        }
    }

    /// Bytes that are left for us where it is.
    pub(super) fn free_bytes(&self) -> Option<u64> {
        let stat = rustix::fs::fstatvfs(&self.dir).ok()?;
        Some(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Size of SQLite's write-ahead log, if there is one.
    pub(super) fn wal_bytes(&self) -> Option<u64> {
        let log = self.dir.symlink_metadata(DATABASE[1]).ok()?;
        Some(log.len())
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
        let Some(metadata) = self.plain_file(name)? else {
            return Ok(None);
        };
        let shown = self.shown(name);
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

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "an attacker of the test plants files and links"
)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A data directory in one that holds a file of somebody else's.
    struct Planted {
        outside: tempfile::TempDir,
        data: DataDir,
    }

    impl Planted {
        fn new() -> Planted {
            let outside = tempfile::tempdir().unwrap();
            std::fs::write(outside.path().join("theirs"), "theirs").unwrap();
            let data = DataDir::open(&outside.path().join("data")).unwrap();
            Planted { outside, data }
        }

        fn link(&self, to: &str, name: &str) {
            symlink(to, self.data.path.join(name)).unwrap();
        }

        /// Nothing but what was there is outside, and nothing of it has changed.
        fn assert_untouched(&self) {
            let mut names: Vec<_> = std::fs::read_dir(self.outside.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            names.sort();
            assert_eq!(names, ["data", "theirs"]);
            let theirs = std::fs::read(self.outside.path().join("theirs")).unwrap();
            assert_eq!(theirs, b"theirs");
        }
    }

    #[test]
    fn s04_no_name_leads_out_of_the_data_directory() {
        let planted = Planted::new();
        let absolute = planted.outside.path().join("theirs");
        for name in [
            "../theirs",
            "../new",
            "x/../../theirs",
            "./../theirs",
            "..",
            "/etc/passwd",
            absolute.to_str().unwrap(),
            "a\0b",
            "../theirs\0",
            "",
        ] {
            assert!(
                planted.data.create_private(name, b"ours").is_err(),
                "{name:?}"
            );
            let read = planted.data.read_private(name);
            assert!(!matches!(read, Ok(Some(_))), "{name:?}: {read:?}");
        }
        planted.assert_untouched();
    }

    #[test]
    fn s04_links_in_the_data_directory_are_not_followed() {
        for to in ["../theirs", "../new", "/etc/passwd", "inside", "..", "."] {
            let planted = Planted::new();
            planted.data.create_private("inside", &[7; 32]).unwrap();
            planted.link(to, "operator-token");
            planted.link(to, ARTIFACT_KEY);
            assert!(
                planted
                    .data
                    .create_private("operator-token", b"ours")
                    .is_err()
            );
            for refused in [
                planted.data.read_private("operator-token").map(drop),
                planted.data.artifact_key().map(drop),
            ] {
                let told = refused.unwrap_err().to_string();
                assert!(told.contains("is not a plain file: move it away"), "{told}");
            }
            planted.assert_untouched();
        }
        // A directory on the way is as good as a file at its end.
        let planted = Planted::new();
        planted.link("..", "below");
        assert!(planted.data.create_private("below/new", b"ours").is_err());
        assert!(planted.data.read_private("below/theirs").is_err());
        planted.assert_untouched();
    }

    #[test]
    fn s04_the_database_is_a_plain_file_with_plain_files_beside_it() {
        for name in DATABASE {
            let planted = Planted::new();
            planted.data.database().unwrap();
            planted.link("../theirs", name);
            let told = planted.data.database().unwrap_err().to_string();
            assert!(
                told.contains(name) && told.contains("not a plain file"),
                "{told}"
            );
        }
        let planted = Planted::new();
        planted.data.create_private(DATABASE[0], b"").unwrap();
        assert!(
            planted
                .data
                .database()
                .unwrap()
                .ends_with("data/greenroom.db")
        );
    }
}

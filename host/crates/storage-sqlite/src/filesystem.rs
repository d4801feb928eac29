//! Refusing network file systems, where SQLite's locks and shared memory do not hold (design note Q5).
//!
//! A list of what is known to be one; FUSE and 9P may be local and are let through. Only Linux tells.

use std::path::Path;

use greenroom_storage::StorageError;

/// Refuses a path whose directory lies on a network file system.
pub(crate) fn refuse_network(path: &Path) -> Result<(), StorageError> {
    match path.parent().and_then(network_name) {
        None => Ok(()),
        Some(name) => Err(StorageError::Failed {
            operation: "open the database",
            source: format!(
                "the data directory is on a network file system (`{name}`): move it to a local disk"
            )
            .into(),
        }),
    }
}

#[cfg(target_os = "linux")]
fn network_name(directory: &Path) -> Option<&'static str> {
    let directory = if directory.as_os_str().is_empty() {
        Path::new(".")
    } else {
        directory
    };
    let magic = rustix::fs::statfs(directory).ok()?.f_type;
    name_of(u32::try_from(magic & 0xffff_ffff).ok()?)
}

#[cfg(not(target_os = "linux"))]
fn network_name(_directory: &Path) -> Option<&'static str> {
    None
}

/// Magic numbers of `statfs(2)`.
#[cfg(target_os = "linux")]
fn name_of(magic: u32) -> Option<&'static str> {
    match magic {
        0x6969 => Some("nfs"),
        0x517b => Some("smb"),
        0xff53_4d42 => Some("cifs"),
        0xfe53_4d42 => Some("smb2"),
        0x00c3_6400 => Some("ceph"),
        0x0bd0_0bd0 => Some("lustre"),
        0x5346_414f => Some("afs"),
        0x4750_4653 => Some("gpfs"),
        _ => None,
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known_by_their_magic_and_local_ones_pass() {
        assert_eq!(name_of(0x6969), Some("nfs"));
        assert_eq!(name_of(0xff53_4d42), Some("cifs"));
        assert_eq!(name_of(0xef53), None);
        let directory = tempfile::tempdir().unwrap();
        refuse_network(&directory.path().join("catalog.db")).unwrap();
    }
}

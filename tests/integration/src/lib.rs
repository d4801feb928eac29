//! What the integration tests share beside `tests/support`: the folder of the Node checks, skipping aloud, a server of files,
//! and reading [`documents`].
//!
//! The tests themselves are in `tests/`, one file for each thing that is proved; each says at its head what that is.

pub mod documents;
mod file_server;

pub use file_server::FileServer;

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of the Node checks, if node and the packages are there. Where they are not, says that the test is skipped.
///
/// # Panics
/// On CI (`CI=true`), where nothing may be skipped.
#[must_use]
pub fn node_checks() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("node");
    let node = Command::new("node").arg("--version").output();
    let missing = if !node.is_ok_and(|output| output.status.success()) {
        "node is not installed"
    } else if !folder.join("node_modules/.package-lock.json").is_file() {
        "the packages of the Node checks are not installed: run `npm ci` in tests/integration/node"
    } else {
        return Some(folder);
    };
    skipped(missing);
    None
}

/// Says that a test is skipped, and why.
///
/// # Panics
/// On CI (`CI=true`), where nothing may be skipped.
pub fn skipped(missing: &str) {
    let on_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!on_ci, "{missing}");
    eprintln!("SKIPPED: {missing}");
}

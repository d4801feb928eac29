//! What the processes of one host believe of their machine: how far its clock is off, and whether its disk is full.
//!
//! Neither can be had for real without root, so both are told to them by a few functions in C, preloaded into the binary as it
//! ships: see `machine.c`. Sandbox and compile children have no environment, and so the machine as it is.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A machine that lies when it is told to.
pub struct Machine {
    page: File,
    has_room: Arc<AtomicBool>,
    environment: Vec<(&'static str, PathBuf)>,
}

impl Machine {
    /// A machine, described in `directory`, whose disk is below `disk`.
    ///
    /// # Panics
    /// If there is no C compiler.
    pub fn new(directory: &Path, disk: &Path) -> Self {
        let library = directory.join("machine.so");
        if !library.exists() {
            build(&library);
        }
        let path = directory.join(format!("machine-{}", name_of(disk)));
        fs::write(&path, [0; 16]).expect("write the page of a machine");
        let page = File::options().write(true).open(&path);
        Self {
            page: page.expect("open the page of a machine"),
            has_room: Arc::new(AtomicBool::new(true)),
            environment: vec![
                ("LD_PRELOAD", library),
                ("TORTURE_MACHINE", path),
                ("TORTURE_DISK", disk.to_owned()),
            ],
        }
    }

    /// With what a process is started that believes it.
    pub fn environment(&self) -> &[(&'static str, PathBuf)] {
        &self.environment
    }

    /// Whether its disk has room, now and later.
    pub(crate) fn has_room(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.has_room)
    }

    /// Sets its clock so many seconds ahead of the true one.
    ///
    /// # Panics
    /// If it cannot be told.
    pub fn set_clock(&self, ahead_s: i64) {
        self.tell(0, ahead_s);
    }

    /// Fills its disk, or makes room again.
    ///
    /// # Panics
    /// If it cannot be told.
    pub fn fill_disk(&self, full: bool) {
        self.has_room.store(!full, Ordering::SeqCst);
        self.tell(8, i64::from(full));
    }

    fn tell(&self, at: u64, value: i64) {
        let told = self.page.write_all_at(&value.to_ne_bytes(), at);
        told.expect("tell a machine how it is");
    }
}

fn build(library: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/machine.c");
    let output = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(library)
        .arg(source)
        .arg("-ldl")
        .output()
        .expect("run `cc`: install a C compiler");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

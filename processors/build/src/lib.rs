//! Builds guest crates to components from a build script, by a nested cargo.
//!
//! Guests have their own target directory, `<workspace>/target-guests`: a nested cargo in the
//! directory of the outer one would wait for its lock for ever. What the outer cargo sets for its
//! own compiler (flags, wrappers, target directory) is cleared, and the link arguments of ref wasm
//! §1.3 are set: a stack of 64 KiB below static data, and 256 KiB of memory from the start, so that
//! a fresh instance costs the host as little as it can.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The target guests are built for.
pub const TARGET: &str = "wasm32-wasip2";

const LINK_ARGS: &str = "-Clink-arg=-zstack-size=65536 -Clink-arg=--initial-memory=262144";

/// Set by the outer cargo, or by its user, for code that is not the guests'.
const CLEARED: [&str; 9] = [
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_TARGET_DIR",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "RUSTDOCFLAGS",
];

/// What to build.
#[derive(Clone, Debug)]
pub struct GuestBuild {
    workspace: PathBuf,
    packages: Vec<String>,
    examples: bool,
    optimised: bool,
}

/// A guest that could not be built.
#[derive(Debug)]
pub enum GuestBuildError {
    /// The standard library for the guests' target is not installed.
    TargetMissing,
    /// Cargo could not be run.
    Run(std::io::Error),
    /// Cargo ran and failed; its own words went to standard error.
    Failed(String),
    /// Cargo succeeded and the component is not where it should be.
    Missing(PathBuf),
}

impl std::fmt::Display for GuestBuildError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            GuestBuildError::TargetMissing => write!(
                f,
                "the target {TARGET} is not installed; run `rustup target add {TARGET}`"
            ),
            GuestBuildError::Run(error) => write!(f, "run cargo for the guests: {error}"),
            GuestBuildError::Failed(packages) => write!(f, "build the guests `{packages}`"),
            GuestBuildError::Missing(path) => {
                write!(f, "find `{}` after building it", path.display())
            }
        }
    }
}

impl std::error::Error for GuestBuildError {}

impl GuestBuild {
    /// Guests of the workspace whose root is `workspace`.
    #[must_use]
    pub fn new(workspace: impl Into<PathBuf>) -> GuestBuild {
        GuestBuild {
            workspace: workspace.into(),
            packages: Vec::new(),
            examples: false,
            optimised: true,
        }
    }

    /// Adds a package.
    #[must_use]
    pub fn package(mut self, name: impl Into<String>) -> GuestBuild {
        self.packages.push(name.into());
        self
    }

    /// Builds the examples of the packages, each a component, and not their libraries.
    #[must_use]
    pub fn examples(mut self) -> GuestBuild {
        self.examples = true;
        self
    }

    /// Leaves out link-time optimisation, for guests that only tests run.
    #[must_use]
    pub fn quick(mut self) -> GuestBuild {
        self.optimised = false;
        self
    }

    /// Builds, and tells the outer cargo which sources were used.
    ///
    /// # Errors
    /// [`GuestBuildError`], whose text says what to do.
    pub fn run(&self) -> Result<Built, GuestBuildError> {
        check_target()?;
        for source in [
            "guest-sdk/src",
            "guest-sdk/Cargo.toml",
            "host/crates/model/src",
            "wit",
        ] {
            rerun_if_changed(&self.workspace.join(source));
        }
        let target_dir = self.workspace.join("target-guests");
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .current_dir(&self.workspace)
            .args(["build", "--profile", "guest", "--target", TARGET])
            .arg("--target-dir")
            .arg(&target_dir);
        for package in &self.packages {
            cargo.args(["-p", package]);
        }
        if self.examples {
            cargo.arg("--examples");
        } else {
            cargo.arg("--lib");
        }
        for name in CLEARED {
            cargo.env_remove(name);
        }
        cargo.env("RUSTFLAGS", LINK_ARGS);
        if !self.optimised {
            cargo.env("CARGO_PROFILE_GUEST_LTO", "off");
            cargo.env("CARGO_PROFILE_GUEST_CODEGEN_UNITS", "16");
        }
        let status = cargo.status().map_err(GuestBuildError::Run)?;
        if !status.success() {
            return Err(GuestBuildError::Failed(self.packages.join("`, `")));
        }
        let mut directory = target_dir.join(TARGET).join("guest");
        if self.examples {
            directory.push("examples");
        }
        Ok(Built { directory })
    }
}

/// Components that were built.
#[derive(Clone, Debug)]
pub struct Built {
    directory: PathBuf,
}

impl Built {
    /// Where the component of a package or example is; `-` in its name is `_` in the file's.
    ///
    /// # Errors
    /// [`GuestBuildError::Missing`] when there is none.
    pub fn component(&self, name: &str) -> Result<PathBuf, GuestBuildError> {
        let file = format!("{}.wasm", name.replace('-', "_"));
        let path = self.directory.join(file);
        if path.is_file() {
            Ok(path)
        } else {
            Err(GuestBuildError::Missing(path))
        }
    }
}

/// Tells the outer cargo to run the build script again when `path`, or anything below it, changes.
pub fn rerun_if_changed(path: &Path) {
    println!("cargo::rerun-if-changed={}", path.display());
}

fn check_target() -> Result<(), GuestBuildError> {
    let output = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .map_err(GuestBuildError::Run)?;
    let libdir = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() && Path::new(&libdir).is_dir() {
        Ok(())
    } else {
        Err(GuestBuildError::TargetMissing)
    }
}

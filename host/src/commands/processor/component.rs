//! The component a command is about: a file, or what the crate in a folder builds to. Building is cargo's work; its words go
//! to standard error as they are, since they are about the author's own code.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use clap::Args;
use greenroom_model::ProcessorName;
use serde_json::Value;

use crate::commands::files;

/// The target components are built for.
const TARGET: &str = "wasm32-wasip2";

/// Which component.
#[derive(Debug, Clone, Args)]
pub(super) struct ComponentFlags {
    /// A built component; without it the crate is built
    #[arg(long, value_name = "FILE.wasm", conflicts_with = "crate_dir")]
    pub(super) component: Option<PathBuf>,
    /// Folder of the processor's crate
    #[arg(long = "crate", value_name = "DIR", default_value = ".")]
    pub(super) crate_dir: PathBuf,
    /// Name of the processor; that of the crate or file if not given
    #[arg(long)]
    pub(super) name: Option<String>,
}

/// A component and what it is called.
#[derive(Debug)]
pub(super) struct Component {
    pub(super) path: PathBuf,
    pub(super) wasm: Vec<u8>,
    pub(super) name: ProcessorName,
}

impl ComponentFlags {
    /// Finds or builds the component.
    pub(super) fn obtain(&self) -> anyhow::Result<Component> {
        let path = match &self.component {
            Some(path) => path.clone(),
            None => build(&self.crate_dir)?,
        };
        let wasm = files::read(&path, files::COMPONENT_BYTES)?;
        let name = self.processor_name()?;
        Ok(Component { path, wasm, name })
    }

    /// The processor's name, without building anything.
    pub(super) fn processor_name(&self) -> anyhow::Result<ProcessorName> {
        let text = match (&self.name, &self.component) {
            (Some(name), _) => name.clone(),
            (None, Some(path)) => path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            (None, None) => package_name(&self.crate_dir)?,
        };
        let derived = if self.name.is_some() {
            text
        } else {
            text.replace('_', "-").to_lowercase()
        };
        ProcessorName::parse(&derived).with_context(|| {
            format!("use `{derived}` as the processor's name: choose one with `--name`")
        })
    }

    /// What `--watch` looks at: the component, or the crate's sources.
    pub(super) fn sources(&self) -> Vec<PathBuf> {
        match &self.component {
            Some(path) => vec![path.clone()],
            None => ["src", "Cargo.toml"]
                .iter()
                .map(|name| self.crate_dir.join(name))
                .collect(),
        }
    }
}

/// The package name in a crate's manifest.
pub(super) fn package_name(folder: &Path) -> anyhow::Result<String> {
    let manifest = folder.join("Cargo.toml");
    if !files::is_there(&manifest) {
        bail!(
            "there is no Cargo.toml in `{}`: name a component with `--component`, a crate with `--crate`, \
             or begin one with `greenroom processor new`",
            folder.display()
        );
    }
    let text = files::read_text(&manifest)?;
    let table: toml::Table = text
        .parse()
        .with_context(|| format!("read `{}`", manifest.display()))?;
    let name = table
        .get("package")
        .and_then(|package| package.get("name")?.as_str());
    name.map(str::to_owned)
        .with_context(|| format!("find a package name in `{}`", manifest.display()))
}

/// Builds the crate in `folder`; where its component is.
fn build(folder: &Path) -> anyhow::Result<PathBuf> {
    package_name(folder)?;
    check_target(folder)?;
    let output = Command::new("cargo")
        .args(["build", "--release", "--lib", "--target", TARGET])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(folder)
        .env_remove("GREENROOM_TOKEN")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("run `cargo`: install Rust from https://rustup.rs, or name a component with `--component`")?;
    if !output.status.success() {
        bail!(
            "the crate in `{}` does not build; cargo says why above",
            folder.display()
        );
    }
    let folder = folder.join("Cargo.toml");
    component_in(&String::from_utf8_lossy(&output.stdout)).with_context(|| {
        format!(
            "find a component of `{}`: its `[lib]` needs `crate-type = [\"cdylib\", \"rlib\"]`",
            folder.display()
        )
    })
}

/// The component among cargo's messages: the last artifact of the crate that was asked for.
fn component_in(messages: &str) -> Option<PathBuf> {
    let mut found = None;
    for line in messages.lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        if message["reason"] != "compiler-artifact" {
            continue;
        }
        let files = message["filenames"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        if let Some(file) = files.into_iter().find(|file| file.ends_with(".wasm")) {
            found = Some(PathBuf::from(file));
        }
    }
    found
}

/// Says what is missing before cargo says it in its own way.
fn check_target(folder: &Path) -> anyhow::Result<()> {
    let output = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .context("run `rustc`: install Rust from https://rustup.rs")?;
    let libdir = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() || !files::is_folder(Path::new(&libdir)) {
        bail!("the target {TARGET} is not installed: run `rustup target add {TARGET}`");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_component_is_found_among_cargos_messages() {
        let messages = "garbage\n\
            {\"reason\":\"compiler-artifact\",\"filenames\":[\"/t/libserde.rlib\"]}\n\
            {\"reason\":\"compiler-artifact\",\"filenames\":[\"/t/team_label.wasm\",\"/t/libteam_label.rlib\"]}\n\
            {\"reason\":\"build-finished\",\"success\":true}\n";
        assert_eq!(component_in(messages), Some("/t/team_label.wasm".into()));
        assert_eq!(component_in("{\"reason\":\"build-finished\"}"), None);
    }

    #[test]
    fn the_name_comes_from_the_flag_the_file_or_the_crate() {
        let folder = tempfile::tempdir().unwrap();
        let flags = |name: Option<&str>, component: Option<&str>| ComponentFlags {
            component: component.map(Into::into),
            crate_dir: folder.path().to_owned(),
            name: name.map(str::to_owned),
        };
        let name = |flags: &ComponentFlags| flags.processor_name().map(|name| name.to_string());
        assert_eq!(
            name(&flags(None, Some("t/Team_Label.wasm"))).unwrap(),
            "team-label"
        );
        assert_eq!(
            name(&flags(Some("other"), Some("t/x.wasm"))).unwrap(),
            "other"
        );
        let error = name(&flags(None, None)).unwrap_err();
        assert!(error.to_string().contains("processor new"), "{error}");
        files::write(
            &folder.path().join("Cargo.toml"),
            b"[package]\nname = \"my_proc\"\n",
        )
        .unwrap();
        assert_eq!(name(&flags(None, None)).unwrap(), "my-proc");
        let error = format!("{:#}", name(&flags(None, Some("t/a..wasm"))).unwrap_err());
        assert!(error.contains("--name"), "{error}");
    }
}

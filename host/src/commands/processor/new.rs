//! `greenroom processor new`: a crate that compiles and passes its tests at once.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use greenroom_model::ProcessorName;
use serde_json::json;

use super::component::package_name;
use super::template::{self, Sdk};
use crate::commands::exit::Exit;
use crate::commands::files;
use crate::commands::screen::{Ink, Screen};

/// Names that are another crate's wherever it is built.
const TAKEN: [&str; 7] = [
    "alloc",
    "core",
    "greenroom-model",
    "greenroom-sdk",
    "proc-macro",
    "std",
    "test",
];

/// Flags of `new`.
#[derive(Debug, Args)]
pub(super) struct NewFlags {
    /// Name of the processor and of its crate: lower-case letters, digits and inner `-`
    name: String,
    /// Where the crate is made [default: a folder of that name here]
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// An SDK on this disk to use instead of the copy that comes with this binary
    #[arg(long, value_name = "DIR")]
    sdk: Option<PathBuf>,
}

pub(super) fn run(screen: &Screen, flags: &NewFlags) -> anyhow::Result<Exit> {
    let name = crate_name(&flags.name)?;
    let folder = flags
        .path
        .clone()
        .unwrap_or_else(|| PathBuf::from(name.as_str()));
    let shown = folder.display().to_string();
    if files::is_there(&folder) && !files::is_folder(&folder) {
        bail!("`{shown}` is a file: choose another folder with `--path`");
    }
    if files::is_folder(&folder) && !files::names_in(&folder)?.is_empty() {
        bail!("`{shown}` is not empty: choose another folder with `--path`");
    }
    let sdk = match &flags.sdk {
        None => None,
        Some(path) => {
            let found = package_name(path)
                .with_context(|| format!("find an SDK in `{}`", path.display()))?;
            if found != "greenroom-sdk" {
                bail!(
                    "`{}` is the crate `{found}` and not greenroom-sdk",
                    path.display()
                );
            }
            let absolute = files::current_folder()?.join(path);
            Some(
                absolute
                    .to_str()
                    .context("use an SDK at a path that is not UTF-8")?
                    .to_owned(),
            )
        }
    };
    let written = template::files(
        name.as_str(),
        &sdk.as_deref().map_or(Sdk::Embedded, Sdk::At),
    )?;
    for (path, text) in &written {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            files::make_folder(parent)?;
        }
        files::write(&path, text.as_bytes())?;
    }
    screen.json(&json!({"name": name, "path": folder, "files": written.len()}));
    screen.line(&[
        (Ink::Good, "made "),
        (Ink::Bold, name.as_str()),
        (Ink::Plain, " in "),
        (Ink::Plain, &shown),
    ]);
    screen.next(&format!(
        "cd {shown} && cargo test && greenroom processor test"
    ));
    Ok(Exit::Done)
}

/// A name that a host and cargo both take.
fn crate_name(text: &str) -> anyhow::Result<ProcessorName> {
    let name = ProcessorName::parse(text)?;
    if !text.starts_with(|first: char| first.is_ascii_lowercase()) {
        bail!("`{text}` does not begin with a letter, as the name of a crate must");
    }
    if TAKEN.contains(&text) {
        bail!("`{text}` is another crate's name: choose one such as `{text}-processor`");
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_processors_and_crates() {
        assert!(crate_name("team-label").is_ok());
        for wrong in ["Team", "1x", "core", "a/b", "../x", "", "x\u{1b}[2J", "-x"] {
            assert!(crate_name(wrong).is_err(), "{wrong:?}");
        }
    }
}

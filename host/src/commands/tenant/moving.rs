//! `greenroom tenant export` and `import`: a tenant as a file, from one host and to another.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::commands::client::HostClient;
use crate::commands::files;
use crate::commands::operate::text;
use crate::commands::screen::{Ink, Screen, bytes, grouped};
use crate::config::HostAddress;

/// Longest last line: what is kept of the end of a file to be looked at.
const END_BYTES: usize = 1024;

#[derive(Debug, Args)]
pub(super) struct ExportFlags {
    /// Its name
    name: String,
    /// A new file, which only you may read [default: NAME.ndjson]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    host: HostAddress,
}

#[derive(Debug, Args)]
pub(super) struct ImportFlags {
    /// The name it is to have, which no tenant of the host has
    name: String,
    /// What `export` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    host: HostAddress,
}

pub(super) fn export(screen: &Screen, flags: &ExportFlags) -> anyhow::Result<()> {
    let client = HostClient::operator(&flags.host)?;
    let path = match &flags.file {
        Some(path) => path.clone(),
        None if flags
            .name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-') =>
        {
            PathBuf::from(format!("{}.ndjson", flags.name))
        }
        None => bail!("`{}` is no name of a tenant", flags.name),
    };
    let shown = path.display().to_string();
    let file = files::create_private(&path)?;
    let end = match download(screen, &client, &flags.name, &file, &path) {
        Ok(end) => end,
        Err(error) => {
            files::remove(&path)?;
            return Err(error);
        }
    };
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    let lines = end["lines"].as_u64().unwrap_or(0);
    let quiet = end["quiet"] == true;
    screen.json(&json!({"file": shown, "bytes": size, "lines": lines, "quiet": quiet}));
    screen.line(&[
        (Ink::Good, "exported "),
        (Ink::Bold, &flags.name),
        (
            Ink::Plain,
            &format!("  to {shown}, {} lines, {}", grouped(lines), bytes(size)),
        ),
    ]);
    if !quiet {
        screen.note(
            "the catalog changed while it was read: for an exact copy stop what writes to it and export again",
        );
    }
    screen.next(&format!(
        "greenroom tenant import {} {shown} --host URL",
        flags.name
    ));
    Ok(())
}

/// Writes the file; its last line, without which it is not whole.
fn download(
    screen: &Screen,
    client: &HostClient,
    name: &str,
    mut file: &File,
    path: &Path,
) -> anyhow::Result<Value> {
    let shown = path.display();
    let mut end: Vec<u8> = Vec::new();
    client.download(screen, "exporting", &["tenants", name, "export"], |piece| {
        end.extend_from_slice(piece);
        end.drain(..end.len().saturating_sub(END_BYTES));
        file.write_all(piece)
            .with_context(|| format!("write `{shown}`"))
    })?;
    file.sync_all().with_context(|| format!("keep `{shown}`"))?;
    let last = end.trim_ascii_end().rsplit(|byte| *byte == b'\n').next();
    let last: Value = serde_json::from_slice(last.unwrap_or_default()).unwrap_or(Value::Null);
    if !last["end"].is_object() {
        bail!("the host broke off: its log says why; export again");
    }
    Ok(last["end"].clone())
}

pub(super) fn import(screen: &Screen, flags: &ImportFlags) -> anyhow::Result<()> {
    let client = HostClient::operator(&flags.host)?;
    let file = files::open(&flags.file)?;
    let path = ["tenants", &flags.name, "import"];
    let reply = client.upload(screen, "importing", &path, "application/x-ndjson", file)?;
    let tenant = client.json(&reply)?;
    screen.json(&tenant);
    screen.line(&[
        (Ink::Good, "imported "),
        (Ink::Bold, text(&tenant, "name")),
        (
            Ink::Plain,
            &format!("  {} lines", grouped(tenant["lines"].as_u64().unwrap_or(0))),
        ),
    ]);
    screen.next(&format!(
        "greenroom token create --tenant {} --scope admin",
        flags.name
    ));
    Ok(())
}

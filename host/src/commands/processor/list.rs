//! `greenroom processor list`: the tenant's processors and after them the bundled ones, or the revisions of one.

use clap::Args;
use serde_json::Value;

use crate::commands::client::HostClient;
use crate::commands::exit::Exit;
use crate::commands::screen::{Ink, Screen, bytes};
use crate::config::HostFlags;

/// Flags of `list`.
#[derive(Debug, Args)]
pub(super) struct ListFlags {
    /// A processor, to list its revisions
    name: Option<String>,
    #[command(flatten)]
    host: HostFlags,
}

pub(super) fn run(screen: &Screen, flags: &ListFlags) -> anyhow::Result<Exit> {
    let client = HostClient::open(&flags.host)?;
    let listed = match &flags.name {
        None => client.get(screen, &["processors"], &[])?,
        Some(name) => client.get(screen, &["processors", name, "revisions"], &[])?,
    };
    screen.json(&listed);
    let items = listed["items"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    match &flags.name {
        None => {
            let (bundled, own): (Vec<&Value>, Vec<&Value>) = items
                .iter()
                .partition(|processor| processor["bundled"].is_object());
            own.iter()
                .for_each(|processor| show_processor(screen, processor));
            bundled
                .iter()
                .for_each(|processor| show_bundled(screen, processor));
            screen.next(if own.is_empty() {
                "greenroom processor new NAME"
            } else {
                "greenroom processor list NAME"
            });
        }
        Some(name) => {
            items
                .iter()
                .for_each(|revision| show_revision(screen, revision));
            screen.next(&if items.is_empty() {
                "greenroom processor push".to_owned()
            } else {
                format!("greenroom processor activate {name} --revision N")
            });
        }
    }
    Ok(Exit::Done)
}

fn show_processor(screen: &Screen, processor: &Value) {
    let current = processor["current"].as_u64().map_or_else(
        || "no current revision".to_owned(),
        |number| format!("revision {number}"),
    );
    let off = if processor["settings"]["enabled"] == false {
        "  disabled"
    } else {
        ""
    };
    let state = processor["activation"]["state"]
        .as_str()
        .unwrap_or_default();
    let ink = if state == "quarantined" {
        Ink::Bad
    } else {
        Ink::Dim
    };
    screen.line(&[
        (Ink::Bold, processor["name"].as_str().unwrap_or_default()),
        (Ink::Plain, "  "),
        (Ink::Plain, &current),
        (Ink::Warn, off),
        (Ink::Plain, "  "),
        (ink, state),
    ]);
}

fn show_bundled(screen: &Screen, processor: &Value) {
    let (ink, state) = match processor["settings"]["enabled"].as_bool() {
        Some(false) => (Ink::Dim, "bundled, off"),
        _ => (Ink::Plain, "bundled"),
    };
    screen.line(&[
        (Ink::Dim, processor["name"].as_str().unwrap_or_default()),
        (Ink::Plain, "  "),
        (ink, state),
    ]);
}

fn show_revision(screen: &Screen, revision: &Value) {
    let text = |name: &str| revision[name].as_str().unwrap_or_default();
    let current = revision["current"] == true;
    let ink = match text("state") {
        "ready" => Ink::Good,
        "rejected" | "damaged" => Ink::Bad,
        _ => Ink::Warn,
    };
    screen.line(&[
        (Ink::Plain, if current { "* " } else { "  " }),
        (Ink::Bold, &revision["number"].to_string()),
        (Ink::Plain, "  "),
        (ink, text("state")),
        (
            Ink::Plain,
            &format!("  {}  ", bytes(revision["bytes"].as_u64().unwrap_or(0))),
        ),
        (Ink::Dim, text("digest").get(..12).unwrap_or_default()),
        (Ink::Plain, "  "),
        (Ink::Plain, text("reason")),
    ]);
}

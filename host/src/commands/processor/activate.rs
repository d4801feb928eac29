//! `greenroom processor activate` and `rollback`: which revision is current.

use anyhow::bail;
use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use crate::commands::client::{Body, HostClient};
use crate::commands::exit::Exit;
use crate::commands::screen::{Ink, Screen};
use crate::config::HostFlags;

/// Flags of `activate`.
#[derive(Debug, Args)]
pub(super) struct ActivateFlags {
    /// The processor
    name: String,
    /// The revision [default: the newest that is ready]
    #[arg(long, value_name = "N")]
    revision: Option<u64>,
    #[command(flatten)]
    host: HostFlags,
}

/// Flags of `rollback`.
#[derive(Debug, Args)]
pub(super) struct RollbackFlags {
    /// The processor
    name: String,
    #[command(flatten)]
    host: HostFlags,
}

pub(super) fn run(screen: &Screen, flags: &ActivateFlags) -> anyhow::Result<Exit> {
    let client = HostClient::open(&flags.host)?;
    let number = match flags.revision {
        Some(number) => number,
        None => newest_ready(screen, &client, &flags.name)?,
    };
    let processor = activate(screen, &client, &flags.name, number)?;
    screen.json(&processor);
    screen.next(&format!("greenroom processor faults {}", flags.name));
    Ok(Exit::Done)
}

/// Makes a revision current.
pub(super) fn activate(
    screen: &Screen,
    client: &HostClient,
    name: &str,
    number: u64,
) -> anyhow::Result<Value> {
    let body = Body::Json(json!({"revision": number}));
    let reply = client.send(
        screen,
        "activating",
        Method::POST,
        &["processors", name, "activate"],
        &[],
        body,
    )?;
    let processor = client.json(&reply)?;
    show(screen, &processor);
    Ok(processor)
}

pub(super) fn roll_back(screen: &Screen, flags: &RollbackFlags) -> anyhow::Result<Exit> {
    let client = HostClient::open(&flags.host)?;
    let body = Body::Json(json!({}));
    let reply = client.send(
        screen,
        "rolling back",
        Method::POST,
        &["processors", &flags.name, "rollback"],
        &[],
        body,
    )?;
    let processor = client.json(&reply)?;
    screen.json(&processor);
    show(screen, &processor);
    screen.next(&format!("greenroom processor faults {}", flags.name));
    Ok(Exit::Done)
}

fn show(screen: &Screen, processor: &Value) {
    screen.line(&[
        (Ink::Good, "current "),
        (Ink::Bold, processor["name"].as_str().unwrap_or_default()),
        (Ink::Plain, &format!("  revision {}", processor["current"])),
    ]);
    if let Some(state) = processor["activation"]["state"].as_str() {
        screen.line(&[(Ink::Plain, "  "), (Ink::Plain, state)]);
    }
}

fn newest_ready(screen: &Screen, client: &HostClient, name: &str) -> anyhow::Result<u64> {
    let revisions = client.get(screen, &["processors", name, "revisions"], &[])?;
    let ready = revisions["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|one| one["state"] == "ready");
    match ready.filter_map(|one| one["number"].as_u64()).max() {
        Some(number) => Ok(number),
        None => bail!(
            "`{name}` has no revision that is ready: upload one with `greenroom processor push`"
        ),
    }
}

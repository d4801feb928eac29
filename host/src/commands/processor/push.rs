//! `greenroom processor push`: checks here, uploads, waits for the host's inspection; with `--preview` runs the revision
//! beside the current one over live entities, writing nothing; with `--activate` makes it current.

use anyhow::bail;
use clap::Args;
use greenroom_sandbox::CallLimits;
use reqwest::Method;
use serde_json::{Value, json};

use super::component::ComponentFlags;
use super::workshop::{Setting, Workshop};
use super::{activate, preview};
use crate::commands::client::{Body, HostClient, HostError, WAIT_S};
use crate::commands::exit::Exit;
use crate::commands::screen::{Ink, Screen, bytes};
use crate::config::HostFlags;

/// Flags of `push`.
#[derive(Debug, Args)]
pub(super) struct PushFlags {
    #[command(flatten)]
    component: ComponentFlags,
    /// Runs it beside the current revision over N matching entities, or `all`, and shows what would change
    #[arg(long, value_name = "N|all")]
    preview: Option<String>,
    /// Makes it current at once
    #[arg(long)]
    activate: bool,
    /// Leaves the check on this machine out
    #[arg(long)]
    no_check: bool,
    #[command(flatten)]
    host: HostFlags,
}

pub(super) fn run(screen: &Screen, flags: &PushFlags) -> anyhow::Result<Exit> {
    let asked = flags
        .preview
        .as_deref()
        .map(preview::entities)
        .transpose()?;
    let component = flags.component.obtain()?;
    let name = component.name.as_str();
    if !flags.no_check {
        let limits = CallLimits::default();
        let setting = Setting {
            name: component.name.clone(),
            config: "{}".into(),
            limits,
            priority: None,
        };
        Workshop::open()?.own(&component.wasm, &setting)?;
    }
    let client = HostClient::open(&flags.host)?;
    create(screen, &client, name)?;
    let size = component.wasm.len() as u64;
    let revision = upload(screen, &client, name, component.wasm)?;
    let number = revision["number"].as_u64().unwrap_or(0);
    if revision["state"] == "rejected" {
        screen.json(&json!({"revision": revision}));
        let reason = revision["reason"].as_str().unwrap_or("no reason given");
        screen.line(&[(Ink::Bad, "rejected "), (Ink::Plain, reason)]);
        return Ok(Exit::Rejected);
    }
    screen.line(&[
        (Ink::Good, "uploaded "),
        (Ink::Bold, name),
        (
            Ink::Plain,
            &format!("  revision {number}, {}, {}", bytes(size), state(&revision)),
        ),
    ]);
    let mut shown = json!({"revision": revision});
    let mut exit = Exit::Done;
    if let Some(entities) = asked {
        let (ended, previewed) = preview::run(screen, &client, name, number, &entities)?;
        exit = ended;
        shown["preview"] = previewed;
    }
    if flags.activate && exit == Exit::Done {
        shown["processor"] = activate::activate(screen, &client, name, number)?;
        screen.next(&format!("greenroom processor faults {name}"));
    } else if flags.activate {
        screen.line(&[(
            Ink::Warn,
            "not activated: entities fail in the preview that do not fail now",
        )]);
    } else {
        screen.next(&format!(
            "greenroom processor activate {name} --revision {number}"
        ));
    }
    screen.json(&shown);
    Ok(exit)
}

fn state(revision: &Value) -> &str {
    revision["state"].as_str().unwrap_or("in an unknown state")
}

/// Makes the processor, unless there is one of that name.
fn create(screen: &Screen, client: &HostClient, name: &str) -> anyhow::Result<()> {
    match client.get(screen, &["processors", name], &[]) {
        Ok(_) => return Ok(()),
        Err(error)
            if matches!(
                error.downcast_ref(),
                Some(HostError::Refused { status: 404, .. })
            ) => {}
        Err(error) => return Err(error),
    }
    client.send(
        screen,
        "creating",
        Method::PUT,
        &["processors", name],
        &[],
        Body::Json(json!({})),
    )?;
    Ok(())
}

/// Uploads, and waits until the host has inspected.
fn upload(
    screen: &Screen,
    client: &HostClient,
    name: &str,
    wasm: Vec<u8>,
) -> anyhow::Result<Value> {
    let wait = WAIT_S.to_string();
    let reply = client.send(
        screen,
        "uploading and inspecting",
        Method::POST,
        &["processors", name, "revisions"],
        &[("wait", &wait)],
        Body::Component(wasm),
    )?;
    let revision = client.json(&reply)?;
    if reply.status != 202 {
        return Ok(revision);
    }
    client.result(screen, "inspecting", &reply)?;
    let number = revision["number"].clone();
    let all = client.get(screen, &["processors", name, "revisions"], &[])?;
    let found = all["items"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|one| one["number"] == number);
    match found {
        Some(found) if found["state"] != "inspecting" => Ok(found.clone()),
        _ => bail!(
            "revision {number} is still being inspected: look again with `greenroom processor list {name}`"
        ),
    }
}

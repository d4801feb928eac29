//! `greenroom processor replay`: a fault of production on this machine. The same component and the same call give the same
//! fault at the same fuel, or the reason why not is said.

use std::path::Path;

use anyhow::{Context as _, bail};
use clap::Args;
use greenroom_sandbox::{CallOutcome, Called, RecordedCall, StageAnswer};
use reqwest::Method;
use serde_json::json;

use super::component::ComponentFlags;
use super::run::{called_json, show_called};
use super::workshop::Workshop;
use super::{faults, recorded};
use crate::commands::client::{Body, HostClient};
use crate::commands::exit::Exit;
use crate::commands::screen::{Ink, Screen, grouped};
use crate::config::HostFlags;

/// Flags of `replay`.
#[derive(Debug, Args)]
pub(super) struct ReplayFlags {
    /// A saved fault in a file; or the processor's name, followed by the fault's id
    #[arg(value_name = "FILE|NAME")]
    what: String,
    /// The fault's id
    id: Option<String>,
    /// Replays although the component is not the revision that faulted
    #[arg(long)]
    other_revision: bool,
    #[command(flatten)]
    component: ComponentFlags,
    #[command(flatten)]
    host: HostFlags,
}

pub(super) fn run(screen: &Screen, flags: &ReplayFlags) -> anyhow::Result<Exit> {
    let (recorded, wasm) = match &flags.id {
        None => {
            let recorded = recorded::read(Path::new(&flags.what))?;
            (recorded, flags.component.obtain()?.wasm)
        }
        Some(id) => {
            let client = HostClient::open(&flags.host)?;
            let recorded = recorded::parse(&faults::download(screen, &client, &flags.what, id)?)?;
            let wasm = match &flags.component.component {
                Some(_) => flags.component.obtain()?.wasm,
                None => component_of(screen, &client, &flags.what, &recorded)?,
            };
            (recorded, wasm)
        }
    };
    let workshop = Workshop::open()?;
    let loaded = workshop.load(&wasm)?;
    let mismatches = recorded::mismatches(&recorded, &loaded);
    if loaded.revision() != recorded.revision && !flags.other_revision {
        bail!(
            "{}; name the component that faulted with `--component`, or replay all the same with `--other-revision`",
            mismatches.join("; ")
        );
    }
    let called =
        recorded::again(&workshop, &loaded, &recorded).context("make the recorded call")?;
    let difference = difference(&recorded, &called);
    let mut shown = called_json(&called, &recorded.limits, &mismatches);
    shown["reproduced"] = json!(difference.is_none());
    shown["difference"] = json!(difference);
    screen.json(&shown);
    for mismatch in &mismatches {
        screen.line(&[(Ink::Warn, mismatch)]);
    }
    show_called(
        screen,
        recorded.processor.as_str(),
        recorded.call.stage().as_str(),
        &called,
        &recorded.limits,
    );
    let file = flags
        .id
        .as_ref()
        .map_or(flags.what.as_str(), |_| "FAULT.json");
    match &difference {
        None => {
            screen.line(&[(Ink::Good, "reproduced: the same end at the same fuel")]);
            screen.next(&format!(
                "change the code, then greenroom processor run --request {file} --watch"
            ));
            Ok(Exit::Done)
        }
        Some(difference) => {
            screen.line(&[(Ink::Warn, "not reproduced: "), (Ink::Plain, difference)]);
            Ok(Exit::Differs)
        }
    }
}

/// How the call ended otherwise than recorded; none where it did not.
fn difference(recorded: &RecordedCall, called: &Called<StageAnswer>) -> Option<String> {
    let found = called.outcome.fault();
    let name = |fault: Option<&greenroom_sandbox::GuestFault>| {
        fault.map_or("no fault", |fault| fault.kind.as_str())
    };
    let expected = recorded.fault.as_ref();
    if expected.map(|fault| fault.kind) != found.map(|fault| fault.kind) {
        let why = match expected {
            Some(fault) if !fault.kind.is_deterministic() => {
                "; such a fault depends on the machine"
            }
            _ => "",
        };
        return Some(format!(
            "recorded {}, here {}{why}",
            name(expected),
            name(found)
        ));
    }
    let (before, now) = (recorded.report.fuel, called.report.fuel);
    let machine = expected.is_some_and(|fault| !fault.kind.is_deterministic());
    if before != now && !machine {
        return Some(format!(
            "recorded {} fuel, here {}",
            grouped(before),
            grouped(now)
        ));
    }
    match (&called.outcome, expected) {
        (CallOutcome::Faulted(found), Some(expected))
            if found.message != expected.message && !machine =>
        {
            Some(format!(
                "recorded `{}`, here `{}`",
                expected.message, found.message
            ))
        }
        _ => None,
    }
}

/// The component of the revision that faulted.
fn component_of(
    screen: &Screen,
    client: &HostClient,
    name: &str,
    recorded: &RecordedCall,
) -> anyhow::Result<Vec<u8>> {
    let revisions = client.get(screen, &["processors", name, "revisions"], &[])?;
    let digest = recorded.revision.to_string();
    let found = revisions["items"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|one| one["digest"] == digest.as_str());
    let Some(number) = found.and_then(|one| one["number"].as_u64()) else {
        bail!(
            "the host has no revision {digest} of `{name}` any more: name its component with `--component`"
        );
    };
    let number = number.to_string();
    let segments = ["processors", name, "revisions", &number, "component"];
    let reply = client.send(
        screen,
        "downloading the component",
        Method::GET,
        &segments,
        &[],
        Body::None,
    )?;
    Ok(reply.bytes)
}

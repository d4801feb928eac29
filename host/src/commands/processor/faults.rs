//! `greenroom processor faults`: what went wrong on the host, on which entity, and where in the code.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use greenroom_sandbox::{CallLimits, CallLog, FaultKind, Frame, GuestFault};
use reqwest::Method;
use serde_json::Value;

use super::{recorded, report};
use crate::commands::client::{Body, HostClient};
use crate::commands::exit::Exit;
use crate::commands::files;
use crate::commands::screen::{Ink, Screen};
use crate::config::HostFlags;

/// Flags of `faults`.
#[derive(Debug, Args)]
pub(super) struct FaultsFlags {
    /// The processor
    name: String,
    /// A fault, to show it whole
    id: Option<String>,
    /// As many as are shown
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u32,
    /// Keeps the whole call in a file, for `run --request` and `replay`
    #[arg(long, value_name = "FILE", requires = "id")]
    save: Option<PathBuf>,
    #[command(flatten)]
    host: HostFlags,
}

pub(super) fn run(screen: &Screen, flags: &FaultsFlags) -> anyhow::Result<Exit> {
    let client = HostClient::open(&flags.host)?;
    let name = flags.name.as_str();
    let Some(id) = &flags.id else {
        let limit = flags.limit.to_string();
        let listed = client.get(
            screen,
            &["processors", name, "faults"],
            &[("limit", &limit)],
        )?;
        screen.json(&listed);
        let items = listed["items"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        items.iter().for_each(|fault| show_line(screen, fault));
        match items.first().and_then(|fault| fault["id"].as_str()) {
            Some(id) => screen.next(&format!("greenroom processor replay {name} {id}")),
            None => screen.line(&[(Ink::Good, "no faults are kept")]),
        }
        return Ok(Exit::Done);
    };
    let fault = client.get(screen, &["processors", name, "faults", id], &[])?;
    screen.json(&fault);
    show_line(screen, &fault);
    show_whole(screen, &fault);
    if let Some(path) = &flags.save {
        let bytes = download(screen, &client, name, id)?;
        // Read before it is kept: what is not a saved call is no use in a file.
        recorded::parse(&bytes).context("read what the host sent")?;
        files::write(path, &bytes)?;
        screen.say(&format!("kept in `{}`", path.display()));
        screen.next(&format!(
            "greenroom processor run --request {} --watch",
            path.display()
        ));
    } else {
        screen.next(&format!("greenroom processor replay {name} {id}"));
    }
    Ok(Exit::Done)
}

/// The whole call of a fault.
pub(super) fn download(
    screen: &Screen,
    client: &HostClient,
    name: &str,
    id: &str,
) -> anyhow::Result<Vec<u8>> {
    let segments = ["processors", name, "faults", id, "request"];
    Ok(client
        .send(
            screen,
            "downloading the call",
            Method::GET,
            &segments,
            &[],
            Body::None,
        )?
        .bytes)
}

fn show_line(screen: &Screen, fault: &Value) {
    let text = |name: &str| fault[name].as_str().unwrap_or_default();
    screen.line(&[
        (Ink::Dim, text("id")),
        (Ink::Plain, "  "),
        (Ink::Dim, text("at")),
        (Ink::Plain, "  "),
        (Ink::Bold, text("entityRef")),
        (Ink::Plain, "  "),
        (Ink::Plain, text("stage")),
        (Ink::Plain, "  "),
        (Ink::Bad, text("fault")),
        (Ink::Plain, " "),
        (Ink::Plain, text("message")),
    ]);
}

fn show_whole(screen: &Screen, fault: &Value) {
    let count = |name: &str| fault[name].as_u64().unwrap_or(0);
    let cost = report::cost_line(
        count("fuel"),
        count("peakMemoryBytes"),
        count("cpuUs"),
        &CallLimits::default(),
    );
    screen.say(&format!("  {cost} of the default limits"));
    let backtrace: Vec<Frame> =
        serde_json::from_value(fault["backtrace"].clone()).unwrap_or_default();
    let kind = FaultKind::ALL
        .into_iter()
        .find(|kind| fault["fault"] == kind.as_str());
    let message = fault["message"].as_str().unwrap_or_default();
    report::show_fault(
        screen,
        &GuestFault {
            backtrace,
            ..GuestFault::new(kind.unwrap_or(FaultKind::Trap), message)
        },
    );
    let log: CallLog = serde_json::from_value(fault["log"].clone()).unwrap_or_default();
    report::show_log(screen, &log);
}

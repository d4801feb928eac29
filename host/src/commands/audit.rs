//! `greenroom audit`: who changed what, newest first, with the filters of the route.

use std::process::ExitCode;

use clap::Args;

use super::client::HostClient;
use super::operate::{self, EXIT_HELP, items, text};
use super::screen::{Ink, Screen};
use crate::config::HostAddress;

/// Flags of `greenroom audit`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_HELP)]
pub(super) struct AuditFlags {
    /// Only what concerns this tenant
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Most records
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    limit: u16,
    /// Writes the records as one JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    host: HostAddress,
}

/// Runs the command; the exit codes are those of the help.
pub(super) fn run(flags: &AuditFlags) -> ExitCode {
    operate::run(flags.json, |screen| show(screen, flags))
}

fn show(screen: &Screen, flags: &AuditFlags) -> anyhow::Result<()> {
    let client = HostClient::operator(&flags.host)?;
    let limit = flags.limit.to_string();
    let mut query = vec![("limit", limit.as_str())];
    query.extend(flags.tenant.as_deref().map(|tenant| ("tenant", tenant)));
    let listed = client.get(screen, &["audit"], &query)?;
    screen.json(&listed);
    for record in items(&listed) {
        let change = match (text(record, "before"), text(record, "after")) {
            ("", "") => String::new(),
            ("", after) => format!("  {after}"),
            (before, after) => format!("  {before} → {after}"),
        };
        screen.line(&[
            (Ink::Dim, text(record, "at")),
            (Ink::Plain, "  "),
            (Ink::Bold, text(record, "action")),
            (Ink::Plain, "  "),
            (Ink::Plain, text(record, "subject")),
            (Ink::Dim, "  by "),
            (Ink::Plain, text(record, "actor")),
            (Ink::Dim, " from "),
            (Ink::Plain, text(record, "remote")),
            (Ink::Dim, &change),
        ]);
    }
    Ok(())
}

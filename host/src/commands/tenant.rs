//! `greenroom tenant`: the tenants of a host, made, listed, deleted and moved by its operator.

mod moving;

use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::json;

use super::client::{Body, HostClient};
use super::operate::{self, EXIT_HELP, items, text};
use super::screen::{Ink, Screen};
use crate::config::HostAddress;

/// Flags of `greenroom tenant`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_HELP)]
pub(super) struct TenantFlags {
    #[command(subcommand)]
    command: TenantCommand,
    /// Writes results as JSON, one document a line
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum TenantCommand {
    /// List the tenants
    List(ListFlags),
    /// Make a tenant
    Create(CreateFlags),
    /// Delete a tenant with everything in it
    Delete(DeleteFlags),
    /// Write a tenant to a file
    Export(moving::ExportFlags),
    /// Make a tenant from a file
    Import(moving::ImportFlags),
}

#[derive(Debug, Args)]
struct ListFlags {
    #[command(flatten)]
    host: HostAddress,
}

#[derive(Debug, Args)]
struct CreateFlags {
    /// Its name: a-z, 0-9 and inner -, at most 63 characters
    name: String,
    #[command(flatten)]
    host: HostAddress,
}

#[derive(Debug, Args)]
struct DeleteFlags {
    /// Its name
    name: String,
    /// Says that everything in it is to go
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    host: HostAddress,
}

/// Runs a command; the exit codes are those of the help.
pub(super) fn run(flags: &TenantFlags) -> ExitCode {
    operate::run(flags.json, |screen| match &flags.command {
        TenantCommand::List(flags) => list(screen, flags),
        TenantCommand::Create(flags) => create(screen, flags),
        TenantCommand::Delete(flags) => delete(screen, flags),
        TenantCommand::Export(flags) => moving::export(screen, flags),
        TenantCommand::Import(flags) => moving::import(screen, flags),
    })
}

fn list(screen: &Screen, flags: &ListFlags) -> anyhow::Result<()> {
    let client = HostClient::operator(&flags.host)?;
    let listed = client.get(screen, &["tenants"], &[])?;
    screen.json(&listed);
    for tenant in items(&listed) {
        screen.line(&[
            (Ink::Bold, text(tenant, "name")),
            (Ink::Plain, "  "),
            (Ink::Dim, text(tenant, "createdAt")),
        ]);
    }
    Ok(())
}

fn create(screen: &Screen, flags: &CreateFlags) -> anyhow::Result<()> {
    let client = HostClient::operator(&flags.host)?;
    let body = Body::Json(json!({"name": flags.name}));
    let reply = client.send(screen, "creating", Method::POST, &["tenants"], &[], body)?;
    let tenant = client.json(&reply)?;
    screen.json(&tenant);
    screen.line(&[(Ink::Good, "created "), (Ink::Bold, text(&tenant, "name"))]);
    screen.next(&format!(
        "greenroom token create --tenant {} --scope admin",
        flags.name
    ));
    Ok(())
}

fn delete(screen: &Screen, flags: &DeleteFlags) -> anyhow::Result<()> {
    let name = &flags.name;
    if !flags.yes {
        bail!(
            "this deletes every entity, processor and token of `{name}`: keep it by `greenroom tenant export {name}`, \
             then say `--yes`"
        );
    }
    let client = HostClient::operator(&flags.host)?;
    let path = ["tenants", name];
    client.send(screen, "deleting", Method::DELETE, &path, &[], Body::None)?;
    screen.json(&json!({"deleted": name}));
    screen.line(&[(Ink::Good, "deleted "), (Ink::Bold, name)]);
    Ok(())
}

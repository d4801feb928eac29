//! `greenroom token`: bearer tokens of a tenant, or without `--tenant` of operators.
//!
//! A secret is in the answer to its creation and nowhere else. It goes to standard output, which the person chose, or to a new
//! file that only they may read; never into a log, a note or an argument.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};
use greenroom_model::Clock as _;
use reqwest::Method;
use serde_json::{Value, json};

use super::client::{Body, HostClient};
use super::clock::SystemClock;
use super::files;
use super::operate::{self, EXIT_HELP, items, text};
use super::screen::{Ink, Screen};
use crate::config::HostAddress;

const DAY_MS: i64 = 86_400_000;

/// Flags of `greenroom token`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_HELP)]
pub(super) struct TokenFlags {
    #[command(subcommand)]
    command: TokenCommand,
    /// Writes results as JSON, one document a line
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// List tokens, without their secrets
    List(ListFlags),
    /// Make a token
    Create(CreateFlags),
    /// Revoke a token, which acts everywhere within 5 s
    Revoke(RevokeFlags),
}

/// Whose tokens.
#[derive(Debug, Args)]
struct Whose {
    /// The tenant; operators if none is given
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    #[command(flatten)]
    host: HostAddress,
}

impl Whose {
    fn path<'a>(&'a self, id: Option<&'a str>) -> Vec<&'a str> {
        let mut path = match &self.tenant {
            Some(tenant) => vec!["tenants", tenant, "tokens"],
            None => vec!["tokens"],
        };
        path.extend(id);
        path
    }
}

#[derive(Debug, Args)]
struct ListFlags {
    #[command(flatten)]
    whose: Whose,
}

#[derive(Debug, Args)]
struct CreateFlags {
    /// What it may do in the tenant; may be given several times
    #[arg(long = "scope", value_enum, value_delimiter = ',', requires = "tenant", num_args = 1..)]
    scopes: Vec<Scope>,
    /// A name for people
    #[arg(long, value_name = "TEXT", default_value = "")]
    name: String,
    /// Ends by itself after so many days
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=3_650))]
    days: Option<u16>,
    /// A new file for the token, which only you may read; standard output if none is given
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    whose: Whose,
}

#[derive(Debug, Args)]
struct RevokeFlags {
    /// Its id, as `list` shows it: the middle of `gr_ID_SECRET`
    id: String,
    #[command(flatten)]
    whose: Whose,
}

/// What a token may do in a tenant.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Scope {
    /// Read the catalog
    Read,
    /// Change the catalog
    Write,
    /// Upload, activate and roll back processors
    Deploy,
    /// Everything in the tenant
    Admin,
}

impl Scope {
    fn name(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Write => "write",
            Scope::Deploy => "deploy",
            Scope::Admin => "admin",
        }
    }
}

/// Runs a command; the exit codes are those of the help.
pub(super) fn run(flags: &TokenFlags) -> ExitCode {
    operate::run(flags.json, |screen| match &flags.command {
        TokenCommand::List(flags) => list(screen, flags),
        TokenCommand::Create(flags) => create(screen, flags),
        TokenCommand::Revoke(flags) => revoke(screen, flags),
    })
}

fn list(screen: &Screen, flags: &ListFlags) -> anyhow::Result<()> {
    let client = HostClient::operator(&flags.whose.host)?;
    let listed = client.get(screen, &flags.whose.path(None), &[])?;
    screen.json(&listed);
    items(&listed).iter().for_each(|token| show(screen, token));
    Ok(())
}

fn show(screen: &Screen, token: &Value) {
    let scopes: Vec<&str> = token["scopes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let (ink, end) = match (text(token, "revokedAt"), text(token, "expiresAt")) {
        ("", "") => (Ink::Dim, String::new()),
        ("", at) => (Ink::Warn, format!("  until {at}")),
        (at, _) => (Ink::Bad, format!("  revoked {at}")),
    };
    screen.line(&[
        (Ink::Bold, text(token, "id")),
        (Ink::Plain, "  "),
        (Ink::Plain, &scopes.join(",")),
        (Ink::Plain, "  "),
        (Ink::Dim, text(token, "createdAt")),
        (ink, &end),
        (Ink::Plain, "  "),
        (Ink::Plain, text(token, "name")),
    ]);
}

fn create(screen: &Screen, flags: &CreateFlags) -> anyhow::Result<()> {
    if flags.whose.tenant.is_some() && flags.scopes.is_empty() {
        bail!("say what it may do: `--scope read`, `write`, `deploy` or `admin`");
    }
    let client = HostClient::operator(&flags.whose.host)?;
    // Made first: a token whose secret has no place would be nobody's.
    let place = flags
        .output
        .as_deref()
        .map(files::create_private)
        .transpose()?;
    let expires_at = flags.days.map(|days| {
        SystemClock::default()
            .now()
            .plus_ms(i64::from(days) * DAY_MS)
    });
    let scopes: Vec<&str> = flags.scopes.iter().map(|scope| scope.name()).collect();
    let body = Body::Json(json!({"name": flags.name, "scopes": scopes, "expiresAt": expires_at}));
    let path = flags.whose.path(None);
    let made = client.send(screen, "creating", Method::POST, &path, &[], body)?;
    let mut made = client.json(&made)?;
    if let (Some(mut file), Some(path)) = (place, &flags.output) {
        use std::io::Write as _;
        let shown = path.display().to_string();
        let token = text(&made, "token").to_owned();
        writeln!(file, "{token}")
            .and_then(|()| file.sync_all())
            .with_context(|| {
                format!(
                    "write `{shown}`: revoke `{}` and make another",
                    text(&made, "id")
                )
            })?;
        made["token"] = Value::Null;
        made["tokenFile"] = json!(shown);
        screen.line(&[
            (Ink::Good, "created "),
            (Ink::Bold, text(&made, "id")),
            (Ink::Plain, &format!("  in {shown}")),
        ]);
    } else {
        screen.say(text(&made, "token"));
    }
    screen.json(&made);
    Ok(())
}

fn revoke(screen: &Screen, flags: &RevokeFlags) -> anyhow::Result<()> {
    let client = HostClient::operator(&flags.whose.host)?;
    let path = flags.whose.path(Some(&flags.id));
    client.send(screen, "revoking", Method::DELETE, &path, &[], Body::None)?;
    screen.json(&json!({"revoked": flags.id}));
    screen.line(&[(Ink::Good, "revoked "), (Ink::Bold, &flags.id)]);
    Ok(())
}

//! `greenroom validate`: catalog files judged before they are merged, together and without writing anything. Without a host by
//! the bundled processors in this process, with one by the tenant's whole pipeline and against its catalog.
//!
//! It stands beside the commands for authors because it is made of their parts: workshop, client, screen. Both ways run the same
//! batches and give the same report; what documents refer to is handed over after it was asked for, so that a `$text` is
//! that of this folder and not that of the last commit.

mod annotations;
mod folder;
mod here;
mod show;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use greenroom_model::{GivenFile, GivenFiles, NOWHERE};
use reqwest::Method;
use serde_json::{Value, json};

use crate::commands::client::{Body, HostClient, HostError, WAIT_S};
use crate::commands::exit::Exit;
use crate::commands::screen::Screen;
use crate::config::{HostAddress, HostFlags, in_github_actions, reject_unknown_variables};
use folder::Folder;
use here::Here;

/// Most times a batch is judged again with what it refers to: references of references are rare.
const MAX_ROUNDS: usize = 8;
/// Every exit code, as `--help` shows them and docs/validate.md promises them. 2 is the parser's.
const EXIT_HELP: &str = "Exit codes:\n  \
    0  every document is valid\n  \
    1  it could not be found out: a file, this machine\n  \
    2  wrong arguments\n  \
    3  a document is not valid, or waits for a read; with --strict also one that is warned of\n  \
    6  the host refused, or could not be reached";

/// Flags of `greenroom validate`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_HELP)]
pub(in crate::commands) struct ValidateFlags {
    /// Catalog files, or folders that are searched for them
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Names of catalog files in folders; may be given several times
    #[arg(long, value_name = "PATTERN", default_values = ["catalog-info.yaml", "catalog-info.yml"])]
    name: Vec<String>,
    /// Folder of the repository; everything named and referred to is below it
    #[arg(long, value_name = "DIR", default_value = ".")]
    root: PathBuf,
    /// URL of that folder, such as `https://github.com/acme/shop/blob/main/`
    #[arg(long, value_name = "URL")]
    location: Option<String>,
    /// Fails on warnings too
    #[arg(long)]
    strict: bool,
    /// How results are shown; `github` in GitHub Actions and `text` elsewhere, if not said
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    #[command(flatten)]
    host: HostChoice,
}

/// Who judges. A token is never a flag: arguments are seen by every process of the machine.
#[derive(Debug, Args)]
struct HostChoice {
    /// URL of a host whose tenant judges; the bundled processors do if neither this nor --tenant is given
    #[arg(long, value_name = "URL", env = "GREENROOM_URL")]
    host: Option<String>,
    /// The tenant; `default` if only a host is given
    #[arg(long, value_name = "NAME", env = "GREENROOM_TENANT")]
    tenant: Option<String>,
    /// File with the token; else the variable GREENROOM_TOKEN, else the operator token of a host on this machine
    #[arg(long, value_name = "FILE", env = "GREENROOM_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// Data directory of a host on this machine, for its operator token
    #[arg(
        long,
        value_name = "DIR",
        env = "GREENROOM_DATA_DIR",
        default_value = "./greenroom-data"
    )]
    data_dir: PathBuf,
    /// Without a host, whatever the variables say
    #[arg(long)]
    offline: bool,
}

impl HostChoice {
    fn host(&self) -> Option<HostFlags> {
        if self.offline || (self.host.is_none() && self.tenant.is_none()) {
            return None;
        }
        let or = |given: &Option<String>, default: &str| {
            given.clone().unwrap_or_else(|| default.to_owned())
        };
        Some(HostFlags {
            address: HostAddress {
                host: or(&self.host, "http://127.0.0.1:7007"),
                token_file: self.token_file.clone(),
                data_dir: self.data_dir.clone(),
            },
            tenant: or(&self.tenant, "default"),
        })
    }
}

/// How results are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// The report as one JSON document
    Json,
    /// Annotations of GitHub Actions
    Github,
}

/// Runs the command.
pub(in crate::commands) fn run(flags: &ValidateFlags) -> ExitCode {
    let format = match flags.format {
        Some(format) => format,
        None if flags.json => Format::Json,
        None if in_github_actions() => Format::Github,
        None => Format::Text,
    };
    let screen = Screen::standard(format == Format::Json);
    let result = reject_unknown_variables()
        .map_err(anyhow::Error::from)
        .and_then(|()| validate(&screen, flags, format));
    let exit = result.unwrap_or_else(|error| {
        let exit = super::exit_of(&error);
        screen.failure(exit, &error);
        if format == Format::Github {
            screen.say(&annotations::failure(&format!("{error:#}")));
        }
        exit
    });
    exit.into()
}

fn validate(screen: &Screen, flags: &ValidateFlags, format: Format) -> anyhow::Result<Exit> {
    let folder = Folder::open(&flags.root)?;
    let mut given = GivenFiles {
        base: base(flags.location.as_deref())?,
        files: folder.catalog_files(&flags.paths, &flags.name)?,
        references: Vec::new(),
    };
    let judge = Judge::of(flags)?;
    let mut report = judge.report(screen, &given)?;
    for _ in 1..MAX_ROUNDS {
        let found = wanted(&report, &folder, &given);
        if found.is_empty() {
            break;
        }
        given.references.extend(found);
        report = judge.report(screen, &given)?;
    }
    screen.json(&report);
    match format {
        Format::Github => annotations::show(screen, &report),
        Format::Text | Format::Json => show::show(screen, &report),
    }
    let warned = report["summary"]["warnings"].as_u64().unwrap_or(0) > 0;
    Ok(match report["ok"] == true && !(flags.strict && warned) {
        true => Exit::Done,
        false => Exit::Rejected,
    })
}

/// Where files are said to be.
fn base(location: Option<&str>) -> anyhow::Result<String> {
    let Some(location) = location else {
        return Ok(NOWHERE.to_owned());
    };
    if !location.starts_with("https://") && !location.starts_with("http://") {
        anyhow::bail!("`--location {location}` is no http or https URL");
    }
    Ok(format!("{}/", location.trim_end_matches('/')))
}

/// What the last round wanted, as far as the folder has it.
fn wanted(report: &Value, folder: &Folder, given: &GivenFiles) -> Vec<GivenFile> {
    let known = |path: &str| given.references.iter().any(|one| one.path == path);
    let wanted = report["wanted"].as_array().into_iter().flatten();
    wanted
        .filter_map(Value::as_str)
        .filter(|path| !known(path))
        .filter_map(|path| folder.reference(path))
        .collect()
}

/// Who judges a batch.
enum Judge {
    /// This process.
    Here(Box<Here>),
    /// A tenant of a host.
    Host {
        client: Box<HostClient>,
        location: Option<String>,
    },
}

impl Judge {
    fn of(flags: &ValidateFlags) -> anyhow::Result<Judge> {
        let Some(host) = flags.host.host() else {
            return Ok(Judge::Here(Box::new(Here::open()?)));
        };
        let base = base(flags.location.as_deref())?;
        Ok(Judge::Host {
            client: Box::new(HostClient::open(&host)?),
            location: flags.location.is_some().then_some(base),
        })
    }

    fn report(&self, screen: &Screen, given: &GivenFiles) -> anyhow::Result<Value> {
        let (client, location) = match self {
            Judge::Here(here) => return here.report(given),
            Judge::Host { client, location } => (client, location),
        };
        let wait = WAIT_S.to_string();
        let mut query = vec![("wait", wait.as_str())];
        query.extend(location.as_deref().map(|location| ("location", location)));
        let body = json!({"files": given.files, "references": given.references});
        let reply = client.send(
            screen,
            "validating",
            Method::POST,
            &["validate"],
            &query,
            Body::Json(body),
        )?;
        let report = client.result(screen, "validating", &reply)?;
        let refused = [&report["refused"]["message"], &report["unavailable"]];
        if let Some(reason) = refused.into_iter().find_map(Value::as_str) {
            anyhow::bail!(HostError::refused(reason));
        }
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_and_the_page_list_every_code() {
        let page = include_str!("../../../../docs/validate.md");
        for exit in [Exit::Done, Exit::Failed, Exit::Rejected, Exit::Refused] {
            let code = exit.code();
            assert!(EXIT_HELP.contains(&format!("  {code}  ")), "{exit:?}");
            assert!(page.contains(&format!("| {code} | ")), "{exit:?}");
        }
    }

    #[test]
    fn a_location_is_a_folder() {
        assert_eq!(base(None).unwrap(), NOWHERE);
        assert_eq!(base(Some("https://h/a")).unwrap(), "https://h/a/");
        assert_eq!(base(Some("https://h/a/")).unwrap(), "https://h/a/");
        assert!(base(Some("file:///etc")).is_err());
    }
}

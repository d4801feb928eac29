//! `GREENROOM_…` variables. Their values are read by the flags of the same name; here unknown ones are refused, because a
//! misspelt variable would otherwise be silently ignored.

use thiserror::Error;

use super::Secret;

/// Every variable, with the flag it stands for.
pub const VARIABLES: [(&str, &str); 12] = [
    ("GREENROOM_DATA_DIR", "--data-dir"),
    ("GREENROOM_LISTEN", "--listen"),
    ("GREENROOM_METRICS_LISTEN", "--metrics-listen"),
    ("GREENROOM_WORKERS", "--workers"),
    ("GREENROOM_FILE_ROOTS", "--file-root"),
    ("GREENROOM_CONFIG", "--config"),
    (
        "GREENROOM_DATABASE_URL",
        "the key `database_url`: a Postgres database instead of the file in the data directory",
    ),
    (
        "GREENROOM_LOG",
        "the log filter, such as `info` or `greenroom=debug`",
    ),
    ("GREENROOM_URL", "--host"),
    ("GREENROOM_TENANT", "--tenant"),
    ("GREENROOM_TOKEN_FILE", "--token-file"),
    (
        "GREENROOM_TOKEN",
        "the token of the commands that speak to a host",
    ),
];

/// A variable that no flag has.
#[derive(Debug, Error)]
#[error("environment variable `{name}` is not known: use one of {}", known())]
pub struct UnknownVariable {
    name: String,
}

fn known() -> String {
    VARIABLES.map(|(name, _)| name).join(", ")
}

/// Refuses a `GREENROOM_…` variable that is not in [`VARIABLES`].
///
/// # Errors
/// Names the first unknown one.
pub fn reject_unknown_variables() -> Result<(), UnknownVariable> {
    #[expect(
        clippy::disallowed_methods,
        reason = "config is where the environment is read"
    )]
    let variables = std::env::vars_os();
    for (name, _) in variables {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("GREENROOM_") && !VARIABLES.iter().any(|(known, _)| *known == name) {
            return Err(UnknownVariable { name });
        }
    }
    Ok(())
}

/// The log filter, if one is set.
pub fn log_filter() -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "config is where the environment is read"
    )]
    let filter = std::env::var("GREENROOM_LOG");
    filter.ok()
}

/// The URL of the database, if one is set. It is no flag: it holds a password, and arguments are seen by every process.
pub fn database_url() -> Option<Secret> {
    #[expect(
        clippy::disallowed_methods,
        reason = "config is where the environment is read"
    )]
    let url = std::env::var("GREENROOM_DATABASE_URL");
    url.ok().filter(|url| !url.is_empty()).map(Secret::from)
}

/// The token of the commands that speak to a host, if one is set.
pub fn token() -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "config is where the environment is read"
    )]
    let token = std::env::var("GREENROOM_TOKEN");
    token
        .ok()
        .map(|token| token.trim().to_owned())
        .filter(|token| !token.is_empty())
}

/// Whether colours are not wanted (<https://no-color.org>), or the terminal has none.
pub fn plain_terminal() -> bool {
    #[expect(
        clippy::disallowed_methods,
        reason = "config is where the environment is read"
    )]
    let (no_color, term) = (std::env::var_os("NO_COLOR"), std::env::var_os("TERM"));
    no_color.is_some_and(|value| !value.is_empty()) || term.is_some_and(|term| term == "dumb")
}

/// Whether this is a job of GitHub Actions, whose log takes annotations.
pub fn in_github_actions() -> bool {
    #[expect(
        clippy::disallowed_methods,
        reason = "config is where the environment is read"
    )]
    let actions = std::env::var_os("GITHUB_ACTIONS");
    actions.is_some_and(|value| value == "true")
}

//! The configuration file: the flags' keys, and each tenant's settings in the spelling of app-config.yaml.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;
use thiserror::Error;

use super::{Quotas, Secret, TenantSection};

/// The file as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ConfigFile {
    pub(super) data_dir: Option<PathBuf>,
    /// A Postgres database; without one the catalog is a file in the data directory.
    pub(super) database_url: Option<Secret>,
    /// A file with the certificates of the authorities that the database's is of, if not a public one.
    pub(super) database_ca_file: Option<PathBuf>,
    /// A file with the key of stored artifacts, for hosts that share a database.
    pub(super) artifact_key_file: Option<PathBuf>,
    /// A file with the operator token, for hosts that share a database.
    pub(super) operator_token_file: Option<PathBuf>,
    pub(super) listen: Option<SocketAddr>,
    pub(super) metrics_listen: Option<SocketAddr>,
    pub(super) workers: Option<u16>,
    pub(super) file_roots: Vec<PathBuf>,
    /// Networks in CIDR notation that the reader may reach although they are private.
    pub(super) private_networks: Vec<String>,
    /// What each tenant may have.
    pub(super) quotas: Quotas,
    pub(super) tenants: BTreeMap<String, TenantSection>,
}

/// Why the file cannot be used.
#[derive(Debug, Error)]
pub enum ConfigFileError {
    /// It cannot be read.
    #[error("read the configuration file `{path}`")]
    Read {
        /// The path as given.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// It is not what a configuration file is; the text names line and key.
    #[error("the configuration file `{path}` is wrong")]
    Parse {
        /// The path as given.
        path: String,
        /// Where, and what.
        source: WrongToml,
    },
}

/// What is wrong, and in which line if that is known. The parser would show the line and the value, which may be a secret (l02).
#[derive(Debug)]
pub struct WrongToml {
    line: Option<usize>,
    message: String,
}

impl WrongToml {
    fn new(text: &str, error: &toml::de::Error) -> Self {
        let before = error.span().and_then(|span| text.get(..span.start));
        Self {
            line: before.map(|before| before.matches('\n').count() + 1),
            message: without_values(error.message()),
        }
    }
}

impl std::fmt::Display for WrongToml {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for WrongToml {}

/// The text without what the parser quotes of values: `string "…"`.
fn without_values(message: &str) -> String {
    const QUOTED: &str = "string \"";
    let Some((before, value)) = message.split_once(QUOTED) else {
        return message.to_owned();
    };
    // To the last quote before what was expected, so that a quote in the value shows nothing of it.
    let after = value
        .rsplit_once("\", expected")
        .map_or("", |(_, after)| after);
    let expected = if after.is_empty() { "" } else { ", expected" };
    format!("{before}a string{expected}{after}")
}

pub(super) fn parse(path: &str, text: &str) -> Result<ConfigFile, ConfigFileError> {
    toml::from_str(text).map_err(|error| ConfigFileError::Parse {
        path: path.to_owned(),
        source: WrongToml::new(text, &error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a person reads: the error and what it comes from.
    fn told(text: &str) -> String {
        let error = parse("c.toml", text).unwrap_err();
        format!("{:#}", anyhow::Error::from(error))
    }

    #[test]
    fn an_unknown_key_is_named_once() {
        let error = told("lisen = \"127.0.0.1:1\"");
        assert!(
            error.contains("c.toml")
                && error.contains("expected one of")
                && error.contains("`listen`"),
            "{error}"
        );
        assert_eq!(error.matches("unknown field `lisen`").count(), 1, "{error}");
        let error = told("[quotas]\nuploads_per_hour = 3");
        assert!(error.contains("uploads_per_minute"), "{error}");
        let error = told("[quotas.call_limits]\nfuel = 0");
        assert!(
            error.contains("`fuel` is 0; set it to a whole number between 1 and 10000000000"),
            "{error}"
        );
        let error = told("[tenants.default.catalog]\nlocation = []");
        assert!(error.contains("unknown field `location`"), "{error}");
    }

    #[test]
    fn l02_an_error_shows_no_value_of_the_file() {
        for text in [
            "database_url = \"postgres://u:canary@db/x\" and more",
            "database_url = [\"canary\"]",
            "workers = \"canary\"",
            "listen = \"canary\\\", expected canary\"",
            "[[tenants.default.integrations.github]]\nhost = \"h\"\ntoken = { a = \"canary\" }",
            "[[tenants.default.integrations.github]]\nhost = \"h\"\ntoken = \"canary",
            "tenants = \"canary\"",
        ] {
            let error = told(text);
            assert!(!error.contains("canary"), "{error}");
        }
        let error = told("workers = 1\nlisten = ");
        assert!(error.contains("line 2"), "{error}");
    }
}

//! The configuration as the rest of the host sees it: every value present, every path absolute.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use greenroom_model::TenantName;
use greenroom_reader::Network;
use thiserror::Error;

use super::file::{self, ConfigFile};
use super::{ConfigFileError, Quotas, Secret, ServeFlags, TenantSection, WorkerFlags};

/// Everything the operator decides.
#[derive(Debug, Clone)]
pub struct Config {
    /// The configuration file, if one is used.
    pub file: Option<PathBuf>,
    /// Directory of the database, the operator token and scratch files.
    pub data_dir: PathBuf,
    /// The Postgres database that holds the catalog; without one it is a file in the data directory.
    pub database_url: Option<Secret>,
    /// A file with the certificates of the authorities that the database's is of, if not a public one.
    pub database_ca_file: Option<PathBuf>,
    /// A file with the key of stored artifacts, for hosts that share a database; without one the data directory has it.
    pub artifact_key_file: Option<PathBuf>,
    /// A file with the operator token, for hosts that share a database; without one the data directory has it.
    pub operator_token_file: Option<PathBuf>,
    /// Address of the API.
    pub listen: SocketAddr,
    /// Address of metrics and probes.
    pub metrics_listen: SocketAddr,
    /// Number of worker processes.
    pub workers: u16,
    /// Directories below which `file` locations may be read.
    pub file_roots: Vec<PathBuf>,
    /// Private networks that the reader may reach.
    pub private_networks: Vec<Network>,
    /// What each tenant may have.
    pub quotas: Quotas,
    /// Tenants and their settings. `default` is always there.
    pub tenants: BTreeMap<TenantName, TenantSection>,
}

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file.
    #[error(transparent)]
    File(#[from] ConfigFileError),
    /// A tenant's name.
    #[error("`[tenants.{name}]`: {reason}")]
    TenantName {
        /// As written.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A network.
    #[error("`private_networks`: {0}")]
    Network(String),
    /// A static location.
    #[error(
        "`catalog.locations` of tenant `{tenant}`: `{target}` is a `file` below no file root: add one with `--file-root DIR`"
    )]
    OutsideRoots {
        /// Whose.
        tenant: String,
        /// The target, absolute.
        target: String,
    },
}

impl Config {
    /// Where metrics and probes are if nobody says.
    pub const METRICS_LISTEN: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7008);

    /// Reads the configuration of `greenroom serve`. `read` opens the configuration file; `current` is the working
    /// directory that relative paths of flags are relative to (those of the file are relative to the file).
    ///
    /// # Errors
    /// Names the key, the file and what to write instead.
    pub fn read(
        flags: &ServeFlags,
        current: &Path,
        read: impl FnOnce(&Path) -> std::io::Result<String>,
    ) -> Result<Self, ConfigError> {
        let (file, base) = read_file(&flags.worker, current, read)?;
        let WorkerFlags {
            data_dir,
            metrics_listen,
            file_roots,
            ..
        } = &flags.worker;
        let from_file = |path: PathBuf| clean(&base.join(path));
        let mut config = Self {
            file: flags
                .worker
                .config
                .as_ref()
                .map(|path| clean(&current.join(path))),
            data_dir: match (data_dir, file.data_dir) {
                (Some(flag), _) => clean(&current.join(flag)),
                (None, Some(path)) => from_file(path),
                (None, None) => clean(&current.join("greenroom-data")),
            },
            database_url: file.database_url,
            database_ca_file: file.database_ca_file.map(from_file),
            artifact_key_file: file.artifact_key_file.map(from_file),
            operator_token_file: file.operator_token_file.map(from_file),
            listen: flags.listen.or(file.listen).unwrap_or(local(7007)),
            metrics_listen: metrics_listen
                .or(file.metrics_listen)
                .unwrap_or(Self::METRICS_LISTEN),
            workers: flags.workers.or(file.workers).unwrap_or(1),
            file_roots: if file_roots.is_empty() {
                file.file_roots.into_iter().map(from_file).collect()
            } else {
                file_roots
                    .iter()
                    .map(|root| clean(&current.join(root)))
                    .collect()
            },
            private_networks: file
                .private_networks
                .iter()
                .map(|text| network(text))
                .collect::<Result<_, _>>()?,
            quotas: file.quotas,
            tenants: BTreeMap::new(),
        };
        for (name, section) in file.tenants {
            let tenant = TenantName::parse(&name).map_err(|error| ConfigError::TenantName {
                name: name.clone(),
                reason: error.to_string(),
            })?;
            let section = config.absolute(&name, section, &base)?;
            config.tenants.insert(tenant, section);
        }
        if let Ok(default) = TenantName::parse("default") {
            config.tenants.entry(default).or_default();
        }
        Ok(config)
    }

    /// Makes the `file` targets of a tenant absolute and checks that they are below a root.
    fn absolute(
        &self,
        name: &str,
        mut section: TenantSection,
        base: &Path,
    ) -> Result<TenantSection, ConfigError> {
        for location in section
            .catalog
            .locations
            .iter_mut()
            .filter(|location| location.r#type == "file")
        {
            let target = clean(&base.join(&location.target));
            if !self.file_roots.iter().any(|root| target.starts_with(root)) {
                return Err(ConfigError::OutsideRoots {
                    tenant: name.to_owned(),
                    target: target.display().to_string(),
                });
            }
            location.target = target.display().to_string();
        }
        Ok(section)
    }
}

fn read_file(
    flags: &WorkerFlags,
    current: &Path,
    read: impl FnOnce(&Path) -> std::io::Result<String>,
) -> Result<(ConfigFile, PathBuf), ConfigError> {
    let Some(path) = &flags.config else {
        return Ok((ConfigFile::default(), current.to_owned()));
    };
    let path = clean(&current.join(path));
    let shown = path.display().to_string();
    let text = read(&path).map_err(|source| ConfigFileError::Read {
        path: shown.clone(),
        source,
    })?;
    let base = path.parent().unwrap_or(current).to_owned();
    Ok((file::parse(&shown, &text)?, base))
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn network(text: &str) -> Result<Network, ConfigError> {
    text.parse()
        .map_err(|error: greenroom_reader::NetworkError| ConfigError::Network(error.to_string()))
}

/// The path without `.` and `..`; links are not followed, so it names what the operator wrote.
fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                cleaned.pop();
            }
            other => cleaned.push(other),
        }
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(flags: &ServeFlags, text: &str) -> Result<Config, ConfigError> {
        Config::read(flags, Path::new("/work"), |_| Ok(text.to_owned()))
    }

    fn with_file() -> ServeFlags {
        let mut flags = ServeFlags::default();
        flags.worker.config = Some("etc/greenroom.toml".into());
        flags
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let mut flags = with_file();
        flags.workers = Some(3);
        let config = read(
            &flags,
            "workers = 2\nlisten = \"127.0.0.1:9000\"\ndata_dir = \"../data\"",
        )
        .unwrap();
        assert_eq!(config.workers, 3);
        assert_eq!(config.listen.port(), 9000);
        assert_eq!(config.metrics_listen.port(), 7008);
        assert_eq!(config.data_dir, Path::new("/work/data"));
        assert_eq!(config.tenants.len(), 1);
    }

    #[test]
    fn file_targets_are_relative_to_the_file_and_below_a_root() {
        let text = "file_roots = [\".\"]\n[[tenants.a.catalog.locations]]\ntype = \"file\"\ntarget = \"catalog/all.yaml\"\n";
        let config = read(&with_file(), text).unwrap();
        let tenant = &config.tenants[&TenantName::parse("a").unwrap()];
        assert_eq!(
            tenant.catalog.locations[0].target,
            "/work/etc/catalog/all.yaml"
        );
        let outside = text.replace("catalog/all.yaml", "../../etc/passwd");
        assert!(matches!(
            read(&with_file(), &outside),
            Err(ConfigError::OutsideRoots { .. })
        ));
    }

    #[test]
    fn a_bad_tenant_name_is_refused() {
        assert!(matches!(
            read(&with_file(), "[tenants.Bad]"),
            Err(ConfigError::TenantName { .. })
        ));
    }
}

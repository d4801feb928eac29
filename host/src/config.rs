//! One typed configuration, read once at the start: defaults, then the file, then `GREENROOM_…` variables, then flags.
//!
//! The file's keys are those of the flags with `_` for `-`, and under `[tenants.NAME]` those of app-config.yaml. An unknown
//! key is an error that names it. Only this module reads the environment.

mod environment;
mod file;
mod flags;
mod host_flags;
mod secret;
mod settings;
mod tenant;

pub use greenroom_storage::Quotas;

pub use environment::{
    UnknownVariable, VARIABLES, database_url, in_github_actions, log_filter, plain_terminal,
    reject_unknown_variables, token,
};
pub use file::ConfigFileError;
pub use flags::{DatabaseFlags, ServeFlags, WorkerFlags};
pub use host_flags::{HostAddress, HostFlags};
pub use secret::Secret;
pub use settings::{Config, ConfigError};
pub use tenant::{ConfigLocation, IntegrationHost, TenantSection};

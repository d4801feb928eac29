//! Which host the commands for authors and operators talk to, and as whom. A token is never a flag: arguments are seen by every process
//! of the machine.

use std::path::PathBuf;

use clap::Args;

/// A host, a tenant and where the token is.
#[derive(Debug, Clone, Args)]
pub struct HostFlags {
    /// The host.
    #[command(flatten)]
    pub address: HostAddress,
    /// The tenant
    #[arg(
        long,
        value_name = "NAME",
        env = "GREENROOM_TENANT",
        default_value = "default"
    )]
    pub tenant: String,
}

/// A host and where the token is.
#[derive(Debug, Clone, Args)]
pub struct HostAddress {
    /// URL of the host
    #[arg(
        long,
        value_name = "URL",
        env = "GREENROOM_URL",
        default_value = "http://127.0.0.1:7007"
    )]
    pub host: String,
    /// File with the token; else the variable GREENROOM_TOKEN, else the operator token of a host on this machine
    #[arg(long, value_name = "FILE", env = "GREENROOM_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// Data directory of a host on this machine, for its operator token
    #[arg(
        long,
        value_name = "DIR",
        env = "GREENROOM_DATA_DIR",
        default_value = "./greenroom-data"
    )]
    pub data_dir: PathBuf,
}

//! Flags and the variables that stand for them. Absent ones leave the file's value, or the default.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

/// Flags of `greenroom serve`.
#[derive(Debug, Clone, Default, Args)]
pub struct ServeFlags {
    /// What both processes need.
    #[command(flatten)]
    pub worker: WorkerFlags,
    /// Address of the API [default: 127.0.0.1:7007]
    #[arg(long, value_name = "ADDR", env = "GREENROOM_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// Number of worker processes; 0 is an API only [default: 1]
    #[arg(long, value_name = "N", env = "GREENROOM_WORKERS")]
    pub workers: Option<u16>,
}

/// Flags of `greenroom worker`.
#[derive(Debug, Clone, Default, Args)]
pub struct WorkerFlags {
    /// Directory of the database, the operator token and scratch files [default: ./greenroom-data]
    #[arg(long, value_name = "DIR", env = "GREENROOM_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Address of metrics and probes [default: 127.0.0.1:7008]
    #[arg(long, value_name = "ADDR", env = "GREENROOM_METRICS_LISTEN")]
    pub metrics_listen: Option<SocketAddr>,
    /// A directory below which `file` locations may be read; may be given several times
    #[arg(long = "file-root", value_name = "DIR", env = "GREENROOM_FILE_ROOTS", value_delimiter = ':', num_args = 1..)]
    pub file_roots: Vec<PathBuf>,
    /// A TOML file with the same keys and the tenants' settings
    #[arg(long, value_name = "FILE", env = "GREENROOM_CONFIG")]
    pub config: Option<PathBuf>,
}

/// Flags of the commands that open the database themselves.
#[derive(Debug, Clone, Default, Args)]
pub struct DatabaseFlags {
    /// Directory of the database [default: ./greenroom-data]
    #[arg(long, value_name = "DIR", env = "GREENROOM_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// The TOML file of `greenroom serve`, which may name a Postgres database
    #[arg(long, value_name = "FILE", env = "GREENROOM_CONFIG")]
    pub config: Option<PathBuf>,
}

impl From<&DatabaseFlags> for ServeFlags {
    fn from(flags: &DatabaseFlags) -> Self {
        ServeFlags {
            worker: WorkerFlags {
                data_dir: flags.data_dir.clone(),
                config: flags.config.clone(),
                ..WorkerFlags::default()
            },
            ..ServeFlags::default()
        }
    }
}

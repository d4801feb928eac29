//! Where the host that is measured keeps its catalog.

use clap::Args;
use greenroom_test_postgres::{Cluster, size_of};
use greenroom_test_support::TestHost;

/// Options that say where; SQLite if none is given.
#[derive(Debug, Args)]
pub(crate) struct Backing {
    /// An empty Postgres database to measure on, as a URL; on this machine, without TLS.
    #[arg(long, conflicts_with = "postgres")]
    database_url: Option<String>,
    /// Measures on Postgres, in a cluster with the settings it is installed with, which is thrown away.
    #[arg(long)]
    postgres: bool,
}

/// A host, and what it stands on.
pub(crate) struct Backed {
    pub(crate) host: TestHost,
    database: Option<String>,
    _cluster: Option<Cluster>,
}

impl Backing {
    /// Starts a host that is ready.
    pub(crate) async fn start(&self) -> Backed {
        let cluster = self.postgres.then(Cluster::as_installed);
        let made = cluster.as_ref().map(Cluster::database);
        let database = self.database_url.clone().or(made);
        let mut builder = TestHost::builder();
        if let Some(url) = &database {
            builder = builder.database(url);
        }
        Backed {
            host: builder.start().await,
            database,
            _cluster: cluster,
        }
    }
}

impl Backed {
    /// The name of the backend.
    pub(crate) fn name(&self) -> &'static str {
        match self.database {
            Some(_) => "postgres",
            None => "sqlite",
        }
    }

    /// Bytes of the database on its disk, but for its log of writes.
    pub(crate) async fn bytes(&self) -> Result<u64, String> {
        match &self.database {
            Some(url) => size_of(url)
                .await
                .map_err(|error| format!("ask for the size of the database: {error}")),
            None => {
                let path = self.host.data_dir().join("greenroom.db");
                let file = std::fs::metadata(path)
                    .map_err(|error| format!("look at the database: {error}"))?;
                Ok(file.len())
            }
        }
    }
}

//! Where the database is, and how a connection to it is made and set up.
//!
//! The URL is the operator's. Its password never shows: not in `Debug`, not in an error.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Hook, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use greenroom_storage::StorageError;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Connections of one process: a batch holds one while it writes, and two cores write no more than a few at a time.
const CONNECTIONS: usize = 12;
/// How long a caller waits for one of them, and for one to be made.
const WAIT: Duration = Duration::from_secs(5);

/// What every session of ours starts with. No transaction lives over 5 s (design note P5), so that nothing of ours holds
/// vacuum back; `synchronous_commit` is said because nothing acknowledged may be lost, whatever the server's default. What
/// we ask is found by keys, mostly in memory: with the cost of a disk's seek the planner prefers to read whole tables.
///
/// Statements are planned for what they are given, each time, which costs a tenth of what they do. A plan that is kept is one
/// for ten rows in a table as it was when the plan was made; in a table that was empty then, and has never been analyzed
/// since, a batch of two hundred takes a hundred times as long. That is the first minute of every catalog.
///
/// Every statement finds what it needs by an index, which `plans` sees to. What walks through a whole table or index instead, the
/// planner thinks of where statistics mislead it: in a table of work that is all one tenant's any row looks right, and
/// claiming one of 100 000 items read them all (70 ms, where it takes one).
const SESSION: &str = "SET statement_timeout = '5s'; SET lock_timeout = '5s'; \
    SET idle_in_transaction_session_timeout = '5s'; SET synchronous_commit = on; SET timezone = 'UTC'; \
    SET random_page_cost = 1.1; SET plan_cache_mode = force_custom_plan; \
    SET enable_seqscan = off; SET enable_mergejoin = off";

/// A `postgres://` URL or a libpq connection string.
#[derive(Clone)]
pub struct DatabaseUrl {
    config: Config,
    /// The authorities whose certificates are believed, if not the public ones.
    authorities: Option<Arc<RootCertStore>>,
}

/// Why a text names no database.
#[derive(Debug, Error)]
pub enum DatabaseUrlError {
    /// Neither a URL nor a connection string. The text is not shown: it may hold a password.
    #[error("not a database URL: write `postgres://user:password@host:5432/database`")]
    Form,
    /// What should be certificates is none.
    #[error(
        "no certificate of an authority is found: a file of them is PEM, `-----BEGIN CERTIFICATE-----`"
    )]
    Authorities,
    /// No host is named.
    #[error("the database URL names no host: write `postgres://user:password@host:5432/database`")]
    NoHost,
    /// No database is named.
    #[error(
        "the database URL names no database: write its name after the host, as in `postgres://host/greenroom`"
    )]
    NoDatabase,
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, DatabaseUrlError> {
        let mut config = Config::from_str(text).map_err(|_| DatabaseUrlError::Form)?;
        if config.get_hosts().is_empty() {
            return Err(DatabaseUrlError::NoHost);
        }
        if config.get_dbname().is_none_or(str::is_empty) {
            return Err(DatabaseUrlError::NoDatabase);
        }
        if config.get_application_name().is_none() {
            config.application_name("greenroom");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(WAIT);
        }
        // A server that is cut off is noticed within half a minute, also while nothing is sent.
        config.keepalives_idle(Duration::from_secs(10));
        config.keepalives_interval(Duration::from_secs(5));
        config.keepalives_retries(3);
        config.tcp_user_timeout(Duration::from_secs(20));
        Ok(DatabaseUrl {
            config,
            authorities: None,
        })
    }
}

impl DatabaseUrl {
    /// The same database, whose certificate must be of one of these authorities and no other; `pem` is the text of their
    /// certificates.
    ///
    /// # Errors
    /// [`DatabaseUrlError::Authorities`] if there is none in it, or one is no certificate.
    pub fn trusting(mut self, pem: &[u8]) -> Result<DatabaseUrl, DatabaseUrlError> {
        let mut authorities = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let added = certificate.ok().map(|one| authorities.add(one));
            if !matches!(added, Some(Ok(()))) {
                return Err(DatabaseUrlError::Authorities);
            }
        }
        if authorities.is_empty() {
            return Err(DatabaseUrlError::Authorities);
        }
        self.authorities = Some(Arc::new(authorities));
        Ok(self)
    }

    /// Whether nothing is to be encrypted: as asked, or because a socket of this machine has no name to certify.
    fn without_tls(&self) -> bool {
        let local = |host: &Host| matches!(host, Host::Unix(_));
        self.config.get_ssl_mode() == SslMode::Disable || self.config.get_hosts().iter().all(local)
    }

    /// What a connection is made by.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseUrl")
            .field("hosts", &self.config.get_hosts())
            .field("database", &self.config.get_dbname())
            .finish_non_exhaustive()
    }
}

/// The pool of this process. Connects when a connection is first asked for.
pub(crate) fn pool(url: &DatabaseUrl) -> Result<Pool, StorageError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| StorageError::Failed {
        operation: "prepare connections to the database",
        source,
    };
    let options = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    let manager = match tls(url).map_err(|error| failed(Box::new(error)))? {
        None => Manager::from_config(url.config.clone(), NoTls, options),
        Some(tls) => Manager::from_config(url.config.clone(), MakeRustlsConnect::new(tls), options),
    };
    Pool::builder(manager)
        .max_size(CONNECTIONS)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(WAIT))
        .create_timeout(Some(WAIT))
        .post_create(Hook::async_fn(|client, _| {
            Box::pin(async move {
                client
                    .batch_execute(SESSION)
                    .await
                    .map_err(deadpool_postgres::HookError::Backend)
            })
        }))
        .build()
        .map_err(|error| failed(Box::new(error)))
}

/// How the connection is encrypted where the URL asks for it (`sslmode=require`) or the server offers it: the server's
/// certificate is always checked.
pub(crate) fn tls(url: &DatabaseUrl) -> Result<Option<ClientConfig>, rustls::Error> {
    if url.without_tls() {
        return Ok(None);
    }
    let public = || RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let roots = url
        .authorities
        .clone()
        .unwrap_or_else(|| Arc::new(public()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Some(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_no_database_is_refused_without_showing_it() {
        for (text, wanted) in [
            ("postgres://user:s3cret@host:port/x", "not a database URL"),
            ("postgres:///db?user=u", "names no host"),
            ("postgres://user:s3cret@host", "names no database"),
            ("", "names no host"),
        ] {
            let error = text.parse::<DatabaseUrl>().unwrap_err().to_string();
            assert!(error.contains(wanted), "{text}: {error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
        let url: DatabaseUrl = "postgres://user:s3cret@host/db".parse().unwrap();
        assert!(!format!("{url:?}").contains("s3cret"), "{url:?}");
    }

    #[test]
    fn authorities_are_certificates() {
        let url: DatabaseUrl = "postgres://user@host/db".parse().unwrap();
        let trusting = |pem: &str| url.clone().trusting(pem.as_bytes());
        trusting(greenroom_test_postgres::AUTHORITY).unwrap();
        let cut = greenroom_test_postgres::AUTHORITY.replacen('M', "!", 3);
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for pem in ["", "a certificate", broken, cut.as_str()] {
            assert!(trusting(pem).is_err(), "{pem}");
        }
    }
}

//! A Postgres cluster for the tests of one process: made when first asked for, gone when the process is.
//!
//! It listens on a socket in its own directory and on no port, so that clusters never meet. A shell stands between us and
//! the server: it ends the server and removes the directory when its standard input closes, however this process ends.
//! Postgres refuses to run as root; then it runs as the user `postgres`, or else `nobody`.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "for tests: what is missing fails the test, with what to do"
)]

use std::fs::Permissions;
use std::io::Read as _;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio_postgres::NoTls;

/// The owner of the cluster, and of all databases in it.
const USER: &str = "postgres";

/// Nothing survives a crash of a test's cluster and nothing needs to, so it is not slowed by the disk.
const QUICK: &str = "-c fsync=off -c full_page_writes=off -c max_connections=200 -c shared_buffers=64MB \
    -c autovacuum_naptime=5s";

const SCRIPT: &str = r#"
trap '' INT TERM
said() { cat "$2/log"; exit 1; }
"$1/initdb" -D "$2/data" -U postgres -A trust -E UTF8 --locale=C -N >"$2/log" 2>&1 || said "$@"
"$1/pg_ctl" -D "$2/data" -l "$2/log" -w -t 60 -o "-k $2 $3" start </dev/null >/dev/null 2>&1 || said "$@"
echo started
cat >/dev/null
"$1/pg_ctl" -D "$2/data" -m immediate stop >/dev/null 2>&1
rm -rf "$2"
"#;

/// The authority that the certificate of [`Cluster::with_tls`] is of: for tests alone, its key was thrown away.
pub const AUTHORITY: &str = include_str!("../certificates/authority.pem");

/// Whether tests on Postgres are left out, aloud: its programs are not on this machine. With `CI=true` that is an error.
pub fn skipped() -> bool {
    static SKIPPED: OnceLock<bool> = OnceLock::new();
    *SKIPPED.get_or_init(|| {
        let absent = programs().is_none();
        if absent {
            let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
            assert!(!in_ci, "{INSTALL}");
            eprintln!("tests on Postgres are skipped: {INSTALL}");
        }
        absent
    })
}

/// What to do where Postgres is not there.
const INSTALL: &str =
    "the programs of Postgres (initdb, pg_ctl) are not installed: install postgresql, 15 or newer";

/// A running cluster.
pub struct Cluster {
    directory: PathBuf,
    names: AtomicU32,
    /// Its standard input keeps the cluster alive.
    _shell: Child,
}

/// The cluster of this process.
pub fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::alone)
}

/// Where a cluster is.
fn directory() -> PathBuf {
    tempfile::Builder::new()
        .prefix("greenroom-pg-")
        // Whatever TMPDIR is: a socket's path has 107 bytes, and another user must get there.
        .tempdir_in("/tmp")
        .expect("make a directory for Postgres")
        .keep()
}

/// How a server ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Sessions are ended, and what is in memory is written.
    Orderly,
    /// At once, as in a crash: the next start recovers.
    Crash,
}

impl Cluster {
    /// A cluster of its own, which may be restarted. It ends with the value.
    pub fn alone() -> Cluster {
        Cluster::start(&directory(), &format!("-c listen_addresses= {QUICK}"))
    }

    /// A cluster of its own with the settings that Postgres is installed with, for measurements: it waits for its disk. It
    /// ends with the value.
    pub fn as_installed() -> Cluster {
        Cluster::start(&directory(), "-c listen_addresses=")
    }

    /// Ends the server, and starts it again; blocks until it answers.
    ///
    /// # Panics
    /// If it does not.
    pub fn restart(&self, ending: Ending) {
        let mode = match ending {
            Ending::Orderly => "fast",
            Ending::Crash => "immediate",
        };
        let mut restart = Command::new(programs().expect(INSTALL).join("pg_ctl"));
        restart
            .arg("-D")
            .arg(self.directory.join("data"))
            .arg("-l")
            .arg(self.directory.join("log"))
            .args(["-w", "-t", "60", "-m", mode, "restart"])
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some((uid, gid)) = user() {
            restart.uid(uid).gid(gid);
        }
        let status = restart.status().expect("run pg_ctl");
        assert!(status.success(), "{status}: {}", self.log());
    }

    /// The socket it listens on.
    pub fn socket(&self) -> PathBuf {
        self.directory.join(".s.PGSQL.5432")
    }

    /// A cluster of its own that also listens on a port of the loopback, answered here, and speaks TLS there, under a
    /// certificate for `localhost`. It ends with the value.
    pub fn with_tls() -> (Cluster, u16) {
        let directory = directory();
        for (name, text) in [
            ("server.pem", include_str!("../certificates/server.pem")),
            ("server.key", include_str!("../certificates/server.key")),
        ] {
            let path = directory.join(name);
            std::fs::write(&path, text).expect("write the certificate");
            std::fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("close it");
            if let Some((uid, gid)) = user() {
                chown(&path, Some(uid), Some(gid)).expect("give Postgres its certificate");
            }
        }
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.expect("find a port").port();
        let shown = directory.display();
        let options = format!(
            "{QUICK} -c listen_addresses=127.0.0.1 -p {port} -c ssl=on \
             -c ssl_cert_file={shown}/server.pem -c ssl_key_file={shown}/server.key"
        );
        (Cluster::start(&directory, &options), port)
    }

    fn start(directory: &Path, options: &str) -> Cluster {
        let programs = programs().expect(INSTALL);
        let user = user();
        let mut shell = Command::new("sh");
        shell
            .args(["-c", SCRIPT, "sh"])
            .arg(&programs)
            .arg(directory)
            .arg(options)
            .current_dir(directory);
        if let Some((uid, gid)) = user {
            chown(directory, Some(uid), Some(gid)).expect("give Postgres its directory");
            shell.uid(uid).gid(gid);
        }
        let mut shell = shell
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start a shell for Postgres");
        let mut said = [0; 8];
        let out = shell.stdout.as_mut().expect("the output is a pipe");
        if out.read_exact(&mut said).is_err() || &said != b"started\n" {
            let mut rest = String::new();
            drop(out.read_to_string(&mut rest));
            panic!(
                "Postgres does not start: {}{rest}",
                String::from_utf8_lossy(&said)
            );
        }
        Cluster {
            directory: directory.to_owned(),
            names: AtomicU32::new(0),
            _shell: shell,
        }
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// The URL of a database of this cluster.
    pub fn url(&self, database: &str) -> String {
        let host = self
            .directory
            .to_str()
            .expect("temporary directories are UTF-8")
            .replace('/', "%2F");
        format!("postgres://{USER}@{host}/{database}")
    }

    /// Makes an empty database and answers its URL.
    pub fn database(&self) -> String {
        self.create("")
    }

    /// Makes a copy of a database that nobody is connected to, and answers its URL.
    pub fn copy_of(&self, template: &str) -> String {
        self.create(&format!(" TEMPLATE {template}"))
    }

    fn create(&self, options: &str) -> String {
        let name = format!("test_{}", self.names.fetch_add(1, Ordering::SeqCst));
        self.execute("postgres", &format!("CREATE DATABASE {name}{options}"))
            .unwrap_or_else(|error| panic!("create a database: {error:?}"));
        self.url(&name)
    }

    /// Runs statements on a database, on a thread of its own so that any test can.
    ///
    /// # Errors
    /// The server's.
    pub fn execute(&self, database: &str, sql: &str) -> Result<(), tokio_postgres::Error> {
        let (url, sql) = (self.url(database), sql.to_owned());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("start a runtime");
            runtime.block_on(async move {
                let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
                let task = tokio::spawn(connection);
                let result = client.batch_execute(&sql).await;
                drop(client);
                // The session is over when this answers, so that the database can be copied.
                drop(task.await);
                result
            })
        })
        .join()
        .expect("the thread answers")
    }
}

/// Bytes of a database on its disk, without the log of writes.
///
/// # Errors
/// The server's, or that it does not answer.
pub async fn size_of(url: &str) -> Result<u64, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let task = tokio::spawn(connection);
    let row = client
        .query_one("SELECT pg_database_size(current_database())", &[])
        .await?;
    let bytes: i64 = row.get(0);
    drop(client);
    drop(task.await);
    Ok(bytes.unsigned_abs())
}

/// One of Postgres's own programs, such as `pg_dump`.
///
/// # Panics
/// If Postgres is not installed.
pub fn program(name: &str) -> PathBuf {
    let mut paths = folders().into_iter().map(|folder| folder.join(name));
    paths.find(|path| path.is_file()).expect(INSTALL)
}

/// Where `initdb` and `postgres` are.
fn programs() -> Option<PathBuf> {
    let has = |folder: &Path| {
        ["initdb", "pg_ctl"]
            .iter()
            .all(|name| folder.join(name).is_file())
    };
    folders().into_iter().find(|folder| has(folder))
}

/// Where programs may be: on the path, or where distributions put them.
fn folders() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let packaged = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut packaged: Vec<_> = packaged.map(|version| version.path().join("bin")).collect();
    packaged.sort();
    folders.extend(packaged.into_iter().rev());
    folders
}

/// Whom it runs as, if we are root.
fn user() -> Option<(u32, u32)> {
    if !rustix::process::getuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").expect("read the users of this machine");
    let of = |name: &str| {
        let line = users
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut ids = line.split(':').skip(2).map(str::parse);
        Some((ids.next()?.ok()?, ids.next()?.ok()?))
    };
    Some(
        ["postgres", "nobody"]
            .into_iter()
            .find_map(of)
            .expect("there is a user `postgres` or `nobody`"),
    )
}

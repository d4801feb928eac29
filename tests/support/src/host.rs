//! A host under test: the real binary, on ports of its own, with a data directory that goes with it.
//!
//! It leads a process group of its own, which is killed when the value is dropped; a test that fails shows the end of its log.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::process::{children_of, kill_group};
use crate::{Backend, Client, wait_until};

/// How long a start may take on a busy machine.
const START_BOUND: Duration = Duration::from_secs(60);
/// Lines of the log that a failing test shows.
const TAIL_LINES: usize = 60;

/// What a host is started with.
#[derive(Debug, Default)]
pub struct TestHostBuilder {
    config_toml: Option<String>,
    config_file: Option<PathBuf>,
    file_roots: Vec<PathBuf>,
    workers: Option<u16>,
    backend: Backend,
    token: Option<String>,
    database: Option<String>,
    database_password: Option<String>,
    log: Option<String>,
}

impl TestHostBuilder {
    /// A Postgres database that exists, whatever the backend.
    #[must_use]
    pub fn database(mut self, url: impl Into<String>) -> Self {
        self.database = Some(url.into());
        self
    }

    /// The operator token that its configuration gives it; the one in its data directory if not said.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Where it keeps its catalog; in its data directory if not said.
    #[must_use]
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = backend;
        self
    }

    /// A password in the URL of its database, if it has one. The cluster of tests asks nobody for it.
    #[must_use]
    pub fn database_password(mut self, password: impl Into<String>) -> Self {
        self.database_password = Some(password.into());
        self
    }

    /// What it logs: the value of `GREENROOM_LOG`.
    #[must_use]
    pub fn log(mut self, filter: impl Into<String>) -> Self {
        self.log = Some(filter.into());
        self
    }

    /// The text of the configuration file. Paths in it should be absolute.
    #[must_use]
    pub fn config_toml(mut self, text: impl Into<String>) -> Self {
        self.config_toml = Some(text.into());
        self
    }

    /// A configuration file that exists.
    #[must_use]
    pub fn config_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.config_file = Some(path.into());
        self
    }

    /// A directory below which `file` locations may be read.
    #[must_use]
    pub fn file_root(mut self, path: impl Into<PathBuf>) -> Self {
        self.file_roots.push(path.into());
        self
    }

    /// Number of worker processes; one if not said.
    #[must_use]
    pub fn workers(mut self, count: u16) -> Self {
        self.workers = Some(count);
        self
    }

    /// Starts the host and waits until it is ready.
    ///
    /// # Panics
    /// If the binary is not built, or the host is not ready in time.
    pub async fn start(self) -> TestHost {
        let directory = tempfile::tempdir().expect("a directory for the host");
        let config = self.config_file.or_else(|| {
            let path = directory.path().join("greenroom.toml");
            fs::write(&path, self.config_toml?).expect("write the configuration");
            Some(path)
        });
        let mut arguments = vec![
            "--data-dir".to_owned(),
            shown(&directory.path().join("data")),
        ];
        if let Some(path) = config {
            arguments.extend(["--config".to_owned(), shown(&path)]);
        }
        for root in &self.file_roots {
            arguments.extend(["--file-root".to_owned(), shown(root)]);
        }
        if let Some(count) = self.workers {
            arguments.extend(["--workers".to_owned(), count.to_string()]);
        }
        let mut environment = match self.database {
            Some(url) => vec![("GREENROOM_DATABASE_URL", url)],
            None => self.backend.environment(),
        };
        if let (Some(password), Some((_, url))) = (self.database_password, environment.first_mut())
        {
            *url = url.replacen('@', &format!(":{password}@"), 1);
        }
        environment.extend(self.log.map(|filter| ("GREENROOM_LOG", filter)));
        TestHost::start(directory, arguments, environment, self.token).await
    }
}

/// A running host.
pub struct TestHost {
    child: Child,
    directory: TempDir,
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
    origin: String,
    operations: String,
    given_token: Option<String>,
    token: String,
    client: Client,
}

impl TestHost {
    /// Begins to describe a host.
    pub fn builder() -> TestHostBuilder {
        TestHostBuilder::default()
    }

    async fn start(
        directory: TempDir,
        arguments: Vec<String>,
        environment: Vec<(&'static str, String)>,
        given_token: Option<String>,
    ) -> Self {
        let child = spawn(directory.path(), &arguments, &environment);
        let mut host = Self {
            child,
            origin: String::new(),
            operations: String::new(),
            given_token,
            token: String::new(),
            client: Client::new("http://127.0.0.1:0", None),
            directory,
            arguments,
            environment,
        };
        host.wait_until_ready().await;
        host
    }

    /// Waits for the line that says where it listens, then for the probe.
    async fn wait_until_ready(&mut self) {
        let output = self.directory.path().join("stdout");
        let started = Instant::now();
        self.origin = loop {
            if let Some(status) = self.child.try_wait().expect("look at the host") {
                panic!("the host ended with {status} before it was ready");
            }
            let said = fs::read_to_string(&output).unwrap_or_default();
            if let (Some(origin), Some(operations)) = (origin_in(&said), operations_in(&said)) {
                self.operations = operations;
                break origin;
            }
            assert!(started.elapsed() < START_BOUND, "the host does not listen");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let anonymous = Client::new(&self.origin, None);
        wait_until("the host is ready", START_BOUND, async || {
            let reply = anonymous.get("/.backstage/health/v1/readiness").await;
            (reply.status == 200).then_some(())
        })
        .await;
        let token = self.given_token.clone().unwrap_or_else(|| {
            let file = self.data_dir().join("operator-token");
            fs::read_to_string(file).expect("read the operator token")
        });
        self.token = token.trim().to_owned();
        self.client = Client::new(&self.origin, Some(&self.token));
    }

    /// A client with the operator token.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Scheme, address and port.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// What `/metrics` says of one series, such as `greenroom_processing_runs_total{result="made"}`, or of all series of a
    /// name together; 0 if there is none.
    pub async fn metric(&self, series: &str) -> u64 {
        let reply = Client::new(&self.operations, None).get("/metrics").await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        let figures = reply.body.lines().filter_map(|line| {
            let rest = line.strip_prefix(series)?;
            let figure = match rest.strip_prefix('{') {
                Some(labels) => labels.rsplit_once("} ")?.1,
                None => rest.strip_prefix(' ')?,
            };
            Some(figure.parse::<f64>().expect("a figure is a number"))
        });
        figures.sum::<f64>() as u64
    }

    /// Address and port of the listener of probes and metrics.
    pub fn operations(&self) -> &str {
        &self.operations
    }

    /// The operator token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Its data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The URL of its Postgres database.
    ///
    /// # Panics
    /// If it has none.
    pub fn database_url(&self) -> &str {
        let (_, url) = self.environment.first().expect("a host on Postgres");
        url
    }

    /// Ends every connection to its Postgres database, as a server that is restarted does.
    ///
    /// # Panics
    /// If it has none.
    pub fn cut_connections(&self) {
        let database = self.database_url().rsplit('/').next().unwrap_or_default();
        let cut = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
        );
        greenroom_test_postgres::cluster()
            .execute("postgres", &cut)
            .expect("connections can be ended");
    }

    /// Pid of `serve`.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Pids of its workers.
    pub fn workers(&self) -> Vec<u32> {
        children_of(self.pid())
    }

    /// Everything it logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("stderr")).unwrap_or_default()
    }

    /// Everything it wrote to standard output so far.
    pub fn output(&self) -> String {
        fs::read_to_string(self.directory.path().join("stdout")).unwrap_or_default()
    }

    /// Waits until `serve` ended by itself or by a signal.
    ///
    /// # Panics
    /// When `limit` has passed.
    pub async fn wait_for_end(&mut self, limit: Duration) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("look at the host") {
                return status;
            }
            assert!(
                started.elapsed() < limit,
                "the host still runs after {} s",
                limit.as_secs()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Starts it again, on the same data, after it ended.
    ///
    /// # Panics
    /// If it does not become ready.
    pub async fn start_again(&mut self) {
        kill_group(self.child.id());
        let _ = self.child.wait();
        self.child = spawn(self.directory.path(), &self.arguments, &self.environment);
        self.wait_until_ready().await;
    }
}

impl Drop for TestHost {
    fn drop(&mut self) {
        kill_group(self.child.id());
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines.len().saturating_sub(TAIL_LINES);
            eprintln!(
                "--- the end of the host's log ---\n{}",
                lines[tail..].join("\n")
            );
        }
    }
}

/// The binary, next to the directory of the test that runs.
///
/// # Panics
/// If it is not built.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let path = test
        .ancestors()
        .skip(1)
        .take(3)
        .map(|folder| folder.join("greenroom"))
        .find(|path| path.is_file());
    path.unwrap_or_else(|| {
        panic!(
            "there is no `greenroom` beside {}: run `cargo build` first",
            test.display()
        )
    })
}

fn spawn(directory: &Path, arguments: &[String], environment: &[(&'static str, String)]) -> Child {
    use std::os::unix::process::CommandExt as _;
    let file = |name| File::create(directory.join(name)).expect("a file for the output");
    let mut command = Command::new(binary());
    // As an operator runs it: a backtrace reads the program's debug information, 130 MiB that tests of memory would count.
    command.env("RUST_BACKTRACE", "0");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GREENROOM_") {
            command.env_remove(name);
        }
    }
    command.envs(environment.iter().cloned());
    command
        .arg("serve")
        .args(["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"])
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(file("stdout"))
        .stderr(file("stderr"))
        .process_group(0)
        .spawn()
        .expect("start the host")
}

fn origin_in(output: &str) -> Option<String> {
    let line = output
        .lines()
        .find_map(|line| line.strip_prefix("greenroom serves "))?;
    Some(line.split_once("/tenants/")?.0.to_owned())
}

fn operations_in(output: &str) -> Option<String> {
    let line = output
        .lines()
        .find_map(|line| line.strip_prefix("metrics: "))?;
    Some(line.strip_suffix("/metrics")?.to_owned())
}

fn shown(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}

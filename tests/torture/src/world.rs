//! The hosts of a torture, what stands between them and their database, and the database.
//!
//! On Postgres two API processes, one of which has two workers, and a worker alone, each behind a proxy of its own and on a machine
//! of its own; on SQLite one API process with one worker.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use greenroom_test_postgres::Cluster;
use greenroom_test_support::{
    Backend, Client, Method, SandboxChild, children_of, command, wait_until,
};

use crate::database::Database;
use crate::files::Files;
use crate::machine::Machine;
use crate::offences::Offences;
use crate::process::Process;
use crate::proxy::Proxy;

/// How long a host may take to answer after all that it went through.
const READY_BOUND: Duration = Duration::from_secs(60);
const DATABASE: &str = "torture";

/// A process that is started again whenever it ends, its machine, and its way to the database.
pub struct Node {
    pub(crate) process: Process,
    machine: Machine,
    proxy: Option<Proxy>,
    /// Address of its API, if it has one.
    origin: Option<String>,
}

impl Node {
    /// Its machine.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// What is between it and Postgres.
    pub fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    /// Its pid now.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub(crate) fn has_api(&self) -> bool {
        self.origin.is_some()
    }

    /// Pids of its workers: itself, if it is one.
    pub fn workers(&self) -> Vec<u32> {
        match self.origin {
            Some(_) => children_of(self.pid()),
            None => vec![self.pid()],
        }
    }
}

/// Everything that runs.
pub struct World {
    nodes: Vec<Node>,
    cluster: Option<Cluster>,
    pub(crate) database: Database,
    token: String,
    workers_wanted: u64,
    pub(crate) offences: Arc<Offences>,
    files: Files,
}

impl World {
    /// Starts the world of a backend, and waits until it answers.
    ///
    /// # Panics
    /// If the binary is not built, or something of it does not start.
    pub async fn start(backend: Backend) -> Self {
        let files = Files::new();
        files.configuration();
        let offences = Arc::new(Offences::default());
        let mut world = Self {
            nodes: Vec::new(),
            cluster: None,
            database: Database::Sqlite(files.path().join("a/greenroom.db")),
            token: String::new(),
            workers_wanted: 0,
            offences,
            files,
        };
        if backend == Backend::Postgres {
            let cluster = Cluster::alone();
            let made = cluster.execute("postgres", &format!("CREATE DATABASE {DATABASE}"));
            made.expect("make a database");
            world.database = Database::Postgres(cluster.url(DATABASE));
            world.cluster = Some(cluster);
            world.add_api("a", 2).await;
            world.ready().await;
            world.add_api("b", 0).await;
            world.add("c", None).await;
        } else {
            world.add_api("a", 1).await;
        }
        world.ready().await;
        world
    }

    /// Adds an API process with that many workers.
    pub async fn add_api(&mut self, name: &str, workers: u16) {
        self.add(name, Some(workers)).await;
    }

    async fn add(&mut self, name: &str, api_with: Option<u16>) {
        self.workers_wanted += u64::from(api_with.unwrap_or(1));
        let data = self.files.path().join(name);
        fs::create_dir(&data).expect("make a data directory");
        fs::set_permissions(&data, std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .expect("close a data directory");
        let machine = Machine::new(self.files.path(), &data);
        let proxy = match &self.cluster {
            Some(cluster) => Some(Proxy::start(cluster.socket()).await),
            None => None,
        };
        let mut arguments = vec![
            "--data-dir".to_owned(),
            shown(&data),
            "--config".to_owned(),
            shown(&self.files.path().join("greenroom.toml")),
            "--metrics-listen".to_owned(),
            "127.0.0.1:0".to_owned(),
        ];
        let address = api_with.map(|workers| {
            let address = format!("127.0.0.1:{}", free_port());
            arguments.extend(["--listen".to_owned(), address.clone()]);
            arguments.extend(["--workers".to_owned(), workers.to_string()]);
            address
        });
        let mut environment: Vec<(&'static str, String)> = machine
            .environment()
            .iter()
            .map(|(name, path)| (*name, shown(path)))
            .collect();
        if let Some(proxy) = &proxy {
            let at = proxy.address();
            let url = format!("postgres://postgres@{at}/{DATABASE}?sslmode=disable");
            environment.push(("GREENROOM_DATABASE_URL", url));
        }
        let subcommand = if address.is_some() { "serve" } else { "worker" };
        let folder = self.files.path().to_owned();
        let log = self.files.log(name);
        let describe = move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let mut command = command(&folder, subcommand, &arguments);
            let log = log.try_clone().expect("share a log");
            command
                .env("RUST_BACKTRACE", "0")
                .envs(environment.iter().cloned())
                .stdout(Stdio::null())
                .stderr(log);
            command
        };
        let (has_room, offences) = (machine.has_room(), Arc::clone(&self.offences));
        let process = Process::keep(name.to_owned(), describe, has_room, offences);
        self.nodes.push(Node {
            process,
            machine,
            proxy,
            origin: address.map(|address| format!("http://{address}")),
        });
    }

    /// Waits until every API process answers that it is ready.
    ///
    /// # Panics
    /// If one is not within a minute.
    pub async fn ready(&mut self) {
        for api in self.nodes.iter().filter_map(|node| node.origin.as_ref()) {
            let client = Client::new(api, None);
            wait_until("an API process is ready", READY_BOUND, async || {
                let probe = "/.backstage/health/v1/readiness";
                let reply = client.try_send(Method::GET, probe, None).await.ok()?;
                (reply.status == 200).then_some(())
            })
            .await;
        }
        if self.token.is_empty() {
            let path = self.files.path().join("a/operator-token");
            let token = fs::read_to_string(path).expect("read the operator token");
            self.token = token.trim().to_owned();
        }
    }

    /// Stops every process in order, and waits until all are there again.
    ///
    /// # Panics
    /// As [`World::ready`].
    pub async fn start_again(&mut self) {
        for node in &self.nodes {
            node.process.renew().await;
        }
        self.ready().await;
    }

    /// All nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub(crate) fn nodes_mut(&mut self) -> &mut [Node] {
        &mut self.nodes
    }

    /// A client of each API process, with the operator token.
    pub fn clients(&self) -> Vec<Client> {
        let origins = self.nodes.iter().filter_map(|node| node.origin.as_ref());
        origins
            .map(|origin| Client::new(origin, Some(&self.token)))
            .collect()
    }

    /// The server, if this is on Postgres.
    pub fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_ref()
    }

    /// Pids of all workers.
    pub fn workers(&self) -> Vec<u32> {
        self.nodes.iter().flat_map(Node::workers).collect()
    }

    /// How many workers there are when all are well.
    pub(crate) fn workers_wanted(&self) -> u64 {
        self.workers_wanted
    }

    /// All sandbox children that several runs are in.
    pub fn sandboxes(&self) -> Vec<SandboxChild> {
        let children = self.workers().into_iter().flat_map(SandboxChild::of);
        children.filter(|child| !child.alone).collect()
    }

    /// Everything is as it should be again: connections flow and disks have room. Clocks stay where they are.
    pub fn heal(&self) {
        for node in &self.nodes {
            node.machine.fill_disk(false);
            if let Some(proxy) = &node.proxy {
                proxy.flow();
            }
        }
    }

    /// The directory that everything is in.
    pub fn directory(&self) -> &Path {
        self.files.path()
    }

    /// What a process has logged.
    pub fn log(&self, name: &str) -> String {
        fs::read_to_string(self.files.path().join(format!("{name}.log"))).unwrap_or_default()
    }

    /// Ends it, and leaves its files if that is wanted.
    pub(crate) fn end(self, keep: bool) -> Option<std::path::PathBuf> {
        keep.then(|| self.files.keep())
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound address").port()
}

fn shown(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}

//! Readers, policies and name servers for the tests.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use greenroom_reader::{
    Conditional, Grant, IntegrationConfig, NameLookup, Network, ReadOutcome, ReadPolicy, Reader,
    ReaderConfig, ReadingAllow, Want,
};

/// A policy that names `hosts` and permits loopback addresses.
pub(crate) fn open_policy(hosts: &[&str]) -> ReadPolicy {
    policy(hosts, Vec::new(), &["127.0.0.0/8"])
}

/// A policy.
pub(crate) fn policy(
    hosts: &[&str],
    integrations: Vec<IntegrationConfig>,
    networks: &[&str],
) -> ReadPolicy {
    let allow: Vec<ReadingAllow> = hosts
        .iter()
        .map(|host| ReadingAllow {
            host: (*host).to_owned(),
            paths: None,
        })
        .collect();
    let networks: Vec<Network> = networks
        .iter()
        .map(|text| text.parse().expect("a network"))
        .collect();
    ReadPolicy::new(&allow, integrations, networks).expect("a policy")
}

/// A reader with the default limits.
pub(crate) fn reader() -> Reader {
    Reader::new(ReaderConfig::default()).expect("a reader")
}

/// A reader with 1 000 bytes a document.
pub(crate) fn strict_reader() -> Reader {
    let config = ReaderConfig {
        document_bytes: 1000,
        ..ReaderConfig::default()
    };
    Reader::new(config).expect("a reader")
}

/// A reader that leaves servers soon that say nothing.
pub(crate) fn impatient_reader() -> Reader {
    let config = ReaderConfig {
        idle_timeout: Duration::from_millis(300),
        ..ReaderConfig::default()
    };
    Reader::new(config).expect("a reader")
}

/// Gets `url` with everything granted.
pub(crate) async fn get(reader: &Reader, policy: &ReadPolicy, url: &str) -> ReadOutcome {
    get_if(reader, policy, url, None).await
}

/// As [`get`], with the validators of an earlier read.
pub(crate) async fn get_if(
    reader: &Reader,
    policy: &ReadPolicy,
    url: &str,
    conditional: Option<&Conditional>,
) -> ReadOutcome {
    let want = Want::Get(url.to_owned());
    reader
        .read(policy, &Grant::everything(), &want, conditional)
        .await
}

/// The body of a document as text; panics on any other outcome.
pub(crate) fn text(outcome: &ReadOutcome) -> String {
    match outcome {
        ReadOutcome::Document { bytes, .. } => String::from_utf8_lossy(bytes).into_owned(),
        other => panic!("no document: {other:?}"),
    }
}

/// The reason of a refusal; panics on any other outcome.
pub(crate) fn refusal(outcome: ReadOutcome) -> String {
    match outcome {
        ReadOutcome::Refused { reason } => reason,
        other => panic!("not refused: {other:?}"),
    }
}

/// The reason of unavailability; panics on any other outcome.
pub(crate) fn unavailability(outcome: ReadOutcome) -> String {
    match outcome {
        ReadOutcome::Unavailable { reason, .. } => reason,
        other => panic!("not unavailable: {other:?}"),
    }
}

/// A name server whose answers change: the n-th lookup of a name gets the n-th answer, then the last.
#[derive(Default)]
pub(crate) struct Names {
    answers: Mutex<HashMap<String, Vec<Vec<IpAddr>>>>,
    pub(crate) lookups: AtomicUsize,
}

impl Names {
    pub(crate) fn new(name: &str, answers: &[&[&str]]) -> Arc<Names> {
        let parse = |text: &&str| text.parse().expect("an address");
        let answers = answers
            .iter()
            .map(|one| one.iter().map(parse).collect())
            .collect();
        let names = Names::default();
        names
            .answers
            .lock()
            .expect("the names")
            .insert(name.to_owned(), answers);
        Arc::new(names)
    }
}

impl NameLookup for Names {
    fn lookup(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        self.lookups.fetch_add(1, Ordering::SeqCst);
        let mut names = self.answers.lock().expect("the names");
        let answer = match names.get_mut(&name) {
            Some(answers) if answers.len() > 1 => Ok(answers.remove(0)),
            Some(answers) => Ok(answers[0].clone()),
            None => Err(io::Error::other("unknown name")),
        };
        Box::pin(async move { answer })
    }
}

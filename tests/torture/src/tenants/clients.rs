//! Requests of one actor, each to an API process of its choice, and what an answer may be while everything fails: one that is lost
//! is asked for again; 503 and 429 mean later; anything else is judged.

use std::sync::Arc;
use std::time::Duration;

use greenroom_test_support::{Client, Method, Reply};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::offences::Offences;

/// Pause before a request is repeated.
const PAUSE: Duration = Duration::from_millis(150);
/// How long a write may stay without an answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// One actor's way to the hosts.
pub(super) struct Clients {
    apis: Vec<Client>,
    pub(super) offences: Arc<Offences>,
    pub(super) random: StdRng,
}

impl Clients {
    pub(super) fn new(apis: Vec<Client>, offences: Arc<Offences>, random: StdRng) -> Self {
        Self {
            apis,
            offences,
            random,
        }
    }

    /// Asks once; `None` where there was no answer, or one that says "later".
    pub(super) async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: Option<(&str, Vec<u8>)>,
    ) -> Option<Reply> {
        let api = self.apis.choose(&mut self.random)?;
        let reply = api.try_send(method.clone(), path, body).await.ok();
        let reply = reply.filter(|reply| !matches!(reply.status, 503 | 429));
        let Some(reply) = reply else {
            self.offences.count("requests without an answer");
            return None;
        };
        // The tokens and the tenants are there all the time, and nothing that fails here is an error of ours.
        if reply.status >= 500 || matches!(reply.status, 401 | 403) {
            let text = format!("{method} {path}: {} {}", reply.status, reply.body);
            self.offences.add(text);
            return None;
        }
        Some(reply)
    }

    /// Asks until there is an answer that is one.
    pub(super) async fn insist(
        &mut self,
        what: &str,
        method: Method,
        path: &str,
        body: Option<(&str, Vec<u8>)>,
        is_answer: impl Fn(&Reply) -> bool,
    ) -> Option<Reply> {
        let began = Instant::now();
        loop {
            let body = body.clone();
            let reply = self.ask(method.clone(), path, body).await;
            if let Some(reply) = reply.as_ref().filter(|reply| is_answer(reply)) {
                self.offences.count(what);
                return Some(reply.clone());
            }
            if began.elapsed() > PATIENCE {
                let last = reply.map_or_else(
                    || "no answer".to_owned(),
                    |reply| format!("{} {}", reply.status, reply.body),
                );
                let text = format!("{what}: not acknowledged within {PATIENCE:?}: {last}");
                self.offences.add(text);
                return None;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Posts JSON until it is acknowledged. `409` says that it was, before its answer was lost.
    pub(super) async fn post(&mut self, what: &str, path: &str, body: &Value) -> Value {
        self.write(what, Method::POST, path, body).await
    }

    /// Puts JSON until it is acknowledged.
    pub(super) async fn put(&mut self, what: &str, path: &str, body: &Value) -> Value {
        self.write(what, Method::PUT, path, body).await
    }

    async fn write(&mut self, what: &str, method: Method, path: &str, body: &Value) -> Value {
        let body = ("application/json", body.to_string().into_bytes());
        let done = |reply: &Reply| is_success(reply) || reply.status == 409;
        let reply = self.insist(what, method, path, Some(body), done).await;
        reply.map_or(json!(null), |reply| {
            serde_json::from_str(&reply.body).unwrap_or_default()
        })
    }

    /// Reads JSON once; `None` for what is not there, or not now.
    pub(super) async fn get(&mut self, path: &str) -> Option<Value> {
        let reply = self.ask(Method::GET, path, None).await?;
        is_success(&reply)
            .then(|| serde_json::from_str(&reply.body).ok())
            .flatten()
    }
}

/// Whether it was acknowledged.
pub(super) fn is_success(reply: &Reply) -> bool {
    (200..300).contains(&reply.status)
}

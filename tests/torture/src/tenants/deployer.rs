//! A deployer: uploads revisions, and activates now one and now the other.

use std::collections::BTreeMap;
use std::time::Duration;

use greenroom_test_artifacts::{
    ANNOTATE_COMPONENT, EMIT_CHILDREN_COMPONENT, SIGN_ONE_COMPONENT, SIGN_TWO_COMPONENT,
};
use greenroom_test_support::{Method, Reply};
use rand::RngExt as _;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::clients::{Clients, is_success};

/// Whose revisions are activated in turn.
const SIGNER: &str = "signer";
/// Longest pause between two writes.
const PAUSE_MS: u64 = 4_000;

/// What it was promised.
#[derive(Debug, Default)]
pub(crate) struct Deployed {
    /// Which revision of `signer` is current.
    pub(crate) current: u64,
    /// How it signs.
    pub(crate) signature: &'static str,
    /// Revisions that are ready: by processor and number, the bytes that were uploaded.
    pub(crate) revisions: BTreeMap<(String, u64), Vec<u8>>,
}

/// See the module's head.
pub(super) struct Deployer {
    processors: String,
    clients: Clients,
    deployed: Deployed,
    /// Numbers of the two revisions, with how they sign.
    signers: Vec<(u64, &'static str)>,
    extras: usize,
}

impl Deployer {
    pub(super) fn new(tenant: &str, clients: Clients) -> Self {
        Self {
            processors: format!("/tenants/{tenant}/processors"),
            clients,
            deployed: Deployed::default(),
            signers: Vec::new(),
            extras: 0,
        }
    }

    /// What every entity of the tenant goes through from the first on.
    pub(super) async fn provision(&mut self) {
        let family = self.upload("family", EMIT_CHILDREN_COMPONENT).await;
        self.activate("family", family).await;
        for (component, signature) in [(SIGN_ONE_COMPONENT, "one"), (SIGN_TWO_COMPONENT, "two")] {
            let number = self.upload(SIGNER, component).await;
            self.signers.push((number, signature));
        }
        self.sign(0).await;
    }

    /// Works until `stop`, and answers what it was promised.
    pub(super) async fn work(mut self, stop: watch::Receiver<bool>) -> Deployed {
        let mut turn = 0;
        while !*stop.borrow() {
            if self.clients.random.random_bool(0.3) {
                self.extras += 1;
                let name = format!("extra-{}", self.extras);
                self.upload(&name, ANNOTATE_COMPONENT).await;
            } else {
                turn += 1;
                self.sign(turn % 2).await;
            }
            let pause = self.clients.random.random_range(0..PAUSE_MS);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        self.deployed
    }

    async fn sign(&mut self, which: usize) {
        let (number, signature) = self.signers[which];
        if self.activate(SIGNER, number).await {
            self.deployed.current = number;
            self.deployed.signature = signature;
        }
    }

    /// Uploads until the revision is ready; its number, and 0 if it never was.
    async fn upload(&mut self, processor: &str, component: &str) -> u64 {
        let bytes = std::fs::read(component).expect("the program is built");
        let path = format!("{}/{processor}", self.processors);
        self.clients
            .put("make a processor", &path, &json!({}))
            .await;
        let path = format!("{path}/revisions");
        let body = ("application/wasm", bytes.clone());
        let ready = |reply: &Reply| is_success(reply) && state_of(reply)["state"] != "inspecting";
        let reply = self
            .clients
            .insist("upload", Method::POST, &path, Some(body), ready);
        let revision = reply
            .await
            .map(|reply| state_of(&reply))
            .unwrap_or_default();
        if revision["state"] != "ready" {
            let text = format!("an upload of {processor} is not ready: {revision}");
            self.clients.offences.add(text);
            return 0;
        }
        let number = revision["number"].as_u64().unwrap_or(0);
        let key = (processor.to_owned(), number);
        self.deployed.revisions.insert(key, bytes);
        number
    }

    async fn activate(&mut self, processor: &str, number: u64) -> bool {
        let path = format!("{}/{processor}/activate", self.processors);
        let body = json!({"revision": number}).to_string().into_bytes();
        let body = ("application/json", body);
        let reply = self
            .clients
            .insist("activate", Method::POST, &path, Some(body), is_success);
        reply.await.is_some()
    }
}

fn state_of(reply: &Reply) -> Value {
    serde_json::from_str(&reply.body).unwrap_or_default()
}

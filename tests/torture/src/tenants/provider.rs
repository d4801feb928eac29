//! A provider: pushes, changes and removes entities in delta and full mutations, and deletes some by uid.

use std::collections::BTreeMap;
use std::time::Duration;

use greenroom_test_support::Method;
use rand::RngExt as _;
use rand::seq::IteratorRandom as _;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::Promised;
use super::clients::{Clients, is_success};

/// Names that a provider gives.
const NAMES: usize = 24;
/// Text in each entity of the provider whose mutations do not fit one batch.
const LARGE: usize = 60 * 1024;
/// Longest pause between two writes.
const PAUSE_MS: u64 = 400;

/// See the module's head.
pub(super) struct Provider {
    tenant: String,
    number: usize,
    large: bool,
    clients: Clients,
    version: u64,
    promised: BTreeMap<String, Promised>,
}

/// Names that any of so many providers may give.
pub(super) fn all_names(providers: usize) -> Vec<String> {
    let of = |provider| (0..NAMES).map(move |number| name(provider, number));
    (0..providers).flat_map(of).collect()
}

fn name(provider: usize, number: usize) -> String {
    format!("p{provider}-c{number}")
}

impl Provider {
    pub(super) fn new(tenant: &str, number: usize, large: bool, clients: Clients) -> Self {
        Self {
            tenant: tenant.to_owned(),
            number,
            large,
            clients,
            version: 0,
            promised: BTreeMap::new(),
        }
    }

    /// Works until `stop`, and answers what it was promised.
    pub(super) async fn work(mut self, stop: watch::Receiver<bool>) -> BTreeMap<String, Promised> {
        while !*stop.borrow() {
            match self.clients.random.random_range(0..10) {
                0..4 => self.push_some().await,
                4..7 => self.push_all().await,
                7..8 => self.remove_some().await,
                _ => self.delete_one().await,
            }
            let pause = self.clients.random.random_range(0..PAUSE_MS);
            let pause = if self.large { pause * 5 } else { pause };
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        self.promised
    }

    async fn push_some(&mut self) {
        let count = self.clients.random.random_range(1..6);
        let mut pushed = BTreeMap::new();
        for _ in 0..count {
            let name = self.any_name();
            pushed.insert(name, self.next());
        }
        let lines = pushed.iter().map(|(name, wanted)| self.add(name, *wanted));
        let lines = lines.collect();
        if self.mutate("push some", "type=delta", lines).await {
            self.promised.extend(pushed);
        }
    }

    /// All that is promised, some of it changed, and perhaps others instead.
    async fn push_all(&mut self) {
        let mut all = self.promised.clone();
        for _ in 0..self.clients.random.random_range(0..NAMES) {
            let name = self.any_name();
            if self.clients.random.random_bool(0.2) {
                all.remove(&name);
            } else {
                all.insert(name, self.next());
            }
        }
        let lines = all.iter().map(|(name, wanted)| self.add(name, *wanted));
        let lines = lines.collect();
        let kind = "type=full&allow_shrink=true";
        if self.mutate("push all", kind, lines).await {
            self.promised = all;
        }
    }

    async fn remove_some(&mut self) {
        let count = self.clients.random.random_range(1..4);
        let names = self.promised.keys().cloned();
        let names = names.sample(&mut self.clients.random, count);
        let lines = names
            .iter()
            .map(|name| json!({"remove": {"entityRef": format!("component:default/{name}")}}));
        if self
            .mutate("remove some", "type=delta", lines.collect())
            .await
        {
            self.promised.retain(|name, _| !names.contains(name));
        }
    }

    /// By its uid, if it is served already.
    async fn delete_one(&mut self) {
        let names = self.promised.keys().cloned();
        let Some(name) = names.choose(&mut self.clients.random) else {
            return;
        };
        let catalog = format!("/tenants/{}/api/catalog/entities", self.tenant);
        let path = format!("{catalog}/by-name/component/default/{name}");
        let Some(entity) = self.clients.get(&path).await else {
            return;
        };
        let uid = entity["metadata"]["uid"].as_str().unwrap_or_default();
        let path = format!("{catalog}/by-uid/{uid}");
        let gone = |reply: &greenroom_test_support::Reply| is_success(reply) || reply.status == 404;
        let delete = self
            .clients
            .insist("delete one", Method::DELETE, &path, None, gone);
        if delete.await.is_some() {
            self.promised.remove(&name);
        }
    }

    async fn mutate(&mut self, what: &str, kind: &str, mut lines: Vec<Value>) -> bool {
        lines.push(json!({"commit": {"count": lines.len()}}));
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let (tenant, number) = (&self.tenant, self.number);
        let path = format!("/tenants/{tenant}/providers/p{number}/mutations?{kind}");
        let body = ("application/x-ndjson", text.into_bytes());
        let acknowledged = self
            .clients
            .insist(what, Method::POST, &path, Some(body), is_success);
        acknowledged.await.is_some()
    }

    fn any_name(&mut self) -> String {
        name(self.number, self.clients.random.random_range(0..NAMES))
    }

    fn next(&mut self) -> Promised {
        self.version += 1;
        Promised {
            version: self.version,
            children: self.clients.random.random_range(0..3),
        }
    }

    fn add(&self, name: &str, wanted: Promised) -> Value {
        let mut entity = json!({
            "apiVersion": "backstage.io/v1alpha1",
            "kind": "Component",
            "metadata": {
                "name": name,
                "annotations": {
                    "example.com/version": wanted.version.to_string(),
                    "example.com/children": wanted.children.to_string(),
                },
            },
            "spec": {"type": "service", "lifecycle": "production", "owner": format!("team-{}", wanted.version % 5)},
        });
        if self.large {
            entity["metadata"]["description"] = "x".repeat(LARGE).into();
        }
        json!({"add": {"entity": entity}})
    }
}

//! A reader, who has seen a version of an entity and sees none that is older, whichever API process answers.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::seq::IndexedRandom as _;
use tokio::sync::watch;

use super::clients::Clients;

/// Pause between two reads.
const PAUSE: Duration = Duration::from_millis(20);

/// See the module's head.
pub(super) struct Reader {
    catalog: String,
    names: Vec<String>,
    clients: Clients,
    seen: BTreeMap<String, u64>,
}

impl Reader {
    pub(super) fn new(tenant: &str, names: Vec<String>, clients: Clients) -> Self {
        Self {
            catalog: format!("/tenants/{tenant}/api/catalog"),
            names,
            clients,
            seen: BTreeMap::new(),
        }
    }

    /// Reads until `stop`.
    pub(super) async fn work(mut self, stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            self.read_one().await;
            self.list_some().await;
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn read_one(&mut self) {
        let Some(name) = self.names.choose(&mut self.clients.random).cloned() else {
            return;
        };
        let path = format!("{}/entities/by-name/component/default/{name}", self.catalog);
        let Some(entity) = self.clients.get(&path).await else {
            return;
        };
        self.clients.offences.count("entities read");
        let version = &entity["metadata"]["annotations"]["example.com/version"];
        let version = version.as_str().and_then(|text| text.parse().ok());
        let version: u64 = version.unwrap_or(0);
        let seen = self.seen.entry(name.clone()).or_default();
        if version < *seen {
            let text = format!("{path}: version {version} after version {seen}");
            self.clients.offences.add(text);
        }
        *seen = version.max(*seen);
    }

    /// From the index; no entity is there twice.
    async fn list_some(&mut self) {
        let path = format!("{}/entities?fields=metadata.name", self.catalog);
        let Some(entities) = self.clients.get(&path).await else {
            return;
        };
        let entities = entities.as_array().map(Vec::as_slice).unwrap_or_default();
        let name =
            |entity: &serde_json::Value| entity["metadata"]["name"].as_str().map(str::to_owned);
        let mut names: Vec<_> = entities.iter().map(name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        if names.len() != count {
            let text = format!("{path}: {count} entities have {} names", names.len());
            self.clients.offences.add(text);
        }
        self.clients.offences.count("lists read");
    }
}

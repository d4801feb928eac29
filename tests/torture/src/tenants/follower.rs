//! A follower of the change feed from its beginning, page by page, from whichever API process answers: no number is missing and
//! none comes twice, and what it has in the end is what is served.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use super::clients::Clients;

/// Pause after a page that was not full.
const PAUSE: Duration = Duration::from_millis(100);

/// What a follower has: each ref with the uid and the entity tag of its last change.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    pub(crate) tenant: String,
    pub(crate) entities: BTreeMap<String, (String, String)>,
    pub(crate) seq: u64,
}

/// See the module's head.
pub(super) struct Follower {
    clients: Clients,
    cursor: String,
    followed: Followed,
}

impl Follower {
    /// Begins where the log stands, which is before the first push.
    pub(super) async fn begin(tenant: &str, mut clients: Clients) -> Self {
        let path = format!("/tenants/{tenant}/changes");
        let first = loop {
            if let Some(page) = clients.get(&path).await {
                break page;
            }
            tokio::time::sleep(PAUSE).await;
        };
        let cursor = text(&first["next"]);
        let seq = cursor.rsplit(':').next().and_then(|seq| seq.parse().ok());
        Self {
            clients,
            followed: Followed {
                tenant: tenant.to_owned(),
                entities: BTreeMap::new(),
                seq: seq.unwrap_or(0),
            },
            cursor,
        }
    }

    /// Follows until everything is quiet and it has the last change.
    pub(super) async fn work(mut self, quiet: watch::Receiver<bool>) -> Followed {
        loop {
            let was_quiet = *quiet.borrow();
            let path = format!(
                "/tenants/{}/changes?cursor={}",
                self.followed.tenant, self.cursor
            );
            let page = self.clients.get(&path).await;
            let Some(page) = page.filter(|page| page["items"].is_array()) else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let items = page["items"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default();
            for item in items {
                self.take(item);
            }
            self.cursor = text(&page["next"]);
            if items.is_empty() {
                if was_quiet {
                    return self.followed;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    fn take(&mut self, item: &Value) {
        let (seq, expected) = (item["seq"].as_u64().unwrap_or(0), self.followed.seq + 1);
        if seq != expected {
            let text = format!("change {expected} is followed by {item}");
            self.clients.offences.add(text);
        }
        self.followed.seq = seq;
        let entity_ref = text(&item["entityRef"]);
        if item["kind"] == "delete" {
            self.followed.entities.remove(&entity_ref);
        } else {
            let now = (text(&item["uid"]), text(&item["etag"]));
            self.followed.entities.insert(entity_ref, now);
        }
        self.clients.offences.count("changes followed");
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

//! The tenants and what they do: providers that push, change and delete, a deployer that uploads and activates, a reader who
//! believes what was read, and a follower of the change feed. Each does one thing after another and insists on every write.

mod clients;
mod deployer;
mod follower;
mod provider;
mod reader;

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

pub(crate) use deployer::Deployed;
pub(crate) use follower::Followed;

use crate::world::World;
use clients::Clients;
use deployer::Deployer;
use follower::Follower;
use provider::Provider;
use reader::Reader;

/// Providers of each tenant; the last pushes much at once.
const PROVIDERS: usize = 3;

/// What is promised to be there of one entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Promised {
    pub(crate) version: u64,
    pub(crate) children: usize,
}

/// What a tenant was promised: the sum of its acknowledged writes.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) tenant: String,
    /// Providers' entities, by name.
    pub(crate) entities: BTreeMap<String, Promised>,
    pub(crate) deployed: Deployed,
}

/// A tenant at work.
pub(crate) struct AtWork {
    tenant: String,
    providers: JoinSet<BTreeMap<String, Promised>>,
    deployer: JoinHandle<Deployed>,
    reader: JoinHandle<()>,
    follower: JoinHandle<Followed>,
}

/// Makes a tenant, and lets it begin. It works until `stop`; its follower follows until `quiet`.
pub(crate) async fn begin(
    world: &World,
    tenant: String,
    seed: u64,
    stop: watch::Receiver<bool>,
    quiet: watch::Receiver<bool>,
) -> AtWork {
    let clients = |which: u64| {
        let random = StdRng::seed_from_u64(seed.wrapping_mul(31).wrapping_add(which));
        Clients::new(world.clients(), Arc::clone(&world.offences), random)
    };
    let made = json!({"name": tenant});
    let mut first = clients(0);
    first.post("make a tenant", "/admin/tenants", &made).await;
    let mut deployer = Deployer::new(&tenant, clients(1));
    deployer.provision().await;
    let mut providers = JoinSet::new();
    for number in 0..PROVIDERS {
        let large = number + 1 == PROVIDERS;
        let provider = Provider::new(&tenant, number, large, clients(2 + number as u64));
        providers.spawn(provider.work(stop.clone()));
    }
    let names = provider::all_names(PROVIDERS);
    let follower = Follower::begin(&tenant, clients(20)).await;
    AtWork {
        deployer: tokio::spawn(deployer.work(stop.clone())),
        reader: tokio::spawn(Reader::new(&tenant, names, clients(21)).work(stop)),
        follower: tokio::spawn(follower.work(quiet)),
        providers,
        tenant,
    }
}

impl AtWork {
    /// Waits until the last write is acknowledged.
    pub(crate) async fn finish(self) -> (Ledger, JoinHandle<Followed>) {
        let entities = self.providers.join_all().await.into_iter().flatten();
        self.reader.await.expect("a reader ends");
        let ledger = Ledger {
            entities: entities.collect(),
            deployed: self.deployer.await.expect("a deployer ends"),
            tenant: self.tenant,
        };
        (ledger, self.follower)
    }
}

//! One torture from its beginning to its report.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::join_all;
use greenroom_test_support::Backend;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::faults;
use crate::invariants::{self, Last};
use crate::settle::settle;
use crate::tenants::{self, Ledger};
use crate::world::World;

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// What it is done to.
    pub backend: Backend,
    /// How long everything fails.
    pub time: Duration,
    /// From which all choices follow.
    pub seed: u64,
}

/// What became of it.
#[derive(Debug)]
pub struct Report {
    /// What must not be, and was.
    pub offences: Vec<String>,
    /// What was done, and how often.
    pub deeds: BTreeMap<String, u64>,
    /// How long each part took.
    pub parts: Vec<(&'static str, Duration)>,
    /// Where the files are, with the logs, if there were offences.
    pub files: Option<PathBuf>,
}

/// Tortures a backend.
///
/// # Panics
/// If the world does not start.
pub async fn torture(plan: &Plan) -> Report {
    let (mut parts, mut began) = (Vec::new(), Instant::now());
    let mut part = |what| {
        parts.push((what, began.elapsed()));
        began = Instant::now();
    };
    let mut world = World::start(plan.backend).await;
    let (stop, quiet) = (watch::Sender::new(false), watch::Sender::new(false));
    let tenants = match plan.backend {
        Backend::Sqlite => 2,
        Backend::Postgres => 3,
    };
    let begun = (0..tenants).map(|number| {
        let (name, seed) = (format!("t{number}"), plan.seed.wrapping_add(number));
        tenants::begin(&world, name, seed, stop.subscribe(), quiet.subscribe())
    });
    let at_work = join_all(begun).await;
    part("beginning");
    faults::until(&world, plan.backend, plan.seed, Instant::now() + plan.time).await;
    part("everything fails");
    stop.send_replace(true);
    let (mut ledgers, mut followers): (Vec<Ledger>, Vec<_>) = (Vec::new(), Vec::new());
    for tenant in at_work {
        let (ledger, follower) = tenant.finish().await;
        ledgers.push(ledger);
        followers.push(follower);
    }
    world.ready().await;
    part("the last writes");
    if let Err(left) = settle(&world).await {
        world
            .offences
            .add(format!("it does not come to rest: {left}"));
    }
    part("coming to rest");
    quiet.send_replace(true);
    let mut followed = Vec::new();
    for follower in followers {
        followed.push(follower.await.expect("a follower ends"));
    }
    let last = Last { ledgers, followed };
    for offence in invariants::check(&mut world, &last).await {
        world.offences.add(offence);
    }
    part("looking");
    let (offences, deeds) = (world.offences.texts(), world.offences.deeds());
    Report {
        files: world.end(!offences.is_empty()),
        offences,
        deeds,
        parts,
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (part, time) in &self.parts {
            writeln!(f, "{:>7}s {part}", time.as_secs())?;
        }
        for (deed, count) in &self.deeds {
            writeln!(f, "{count:>8} {deed}")?;
        }
        for offence in &self.offences {
            writeln!(f, "OFFENCE: {offence}")?;
        }
        match &self.files {
            Some(files) => writeln!(f, "logs and data are in {}", files.display()),
            None => writeln!(f, "nothing is lost"),
        }
    }
}

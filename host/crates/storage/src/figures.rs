//! What a database says of itself for metrics (DESIGN §8): one look over all tenants, taken now and then and never in the way
//! of work. Detail by tenant is in the other repositories.
use crate::Lane;

/// A look.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StorageFigures {
    /// Entities that are served, by kind in lower case.
    pub kinds: Vec<(String, u64)>,
    /// Registered locations.
    pub locations: u64,
    /// Relations that processors emitted; an estimate where counting is dear.
    pub relations: u64,
    /// Refs that wait to be stitched.
    pub stitches: u64,
    /// What is due in each lane that has something due.
    pub lanes: Vec<LaneFigures>,
    /// Entities that workers hold a claim on.
    pub held: u64,
    /// Runs on request that nobody has taken.
    pub waiting_runs: u64,
    /// Entities whose fault is remembered.
    pub dead_letters: u64,
    /// Emissions that lost.
    pub conflicts: u64,
    /// Workers whose lease is valid.
    pub live_workers: u64,
    /// Processors whose last activation ended in quarantine.
    pub quarantined: u64,
    /// Tables that grow, and how they are bounded.
    pub tables: Vec<TableFigures>,
    /// Size of the database.
    pub bytes: u64,
}

/// What is due in a lane and claimed by nobody.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LaneFigures {
    /// The lane.
    pub lane: Lane,
    /// How many entities.
    pub due: u64,
    /// How long the first of them has been due.
    pub oldest_age_ms: u64,
    /// CPU time that they will take, by what runs of their tenants took lately.
    pub drain_us: u64,
}

/// A table that grows.
#[derive(Debug, Clone, PartialEq)]
pub struct TableFigures {
    /// Its name.
    pub table: &'static str,
    /// Its rows; an estimate where counting is dear.
    pub rows: u64,
    /// Age of its oldest row, if it has one that will go.
    pub age_ms: Option<u64>,
    /// The age at which rows go, if they do.
    pub age_limit_ms: Option<u64>,
    /// The most that one holder has of it, and how much is kept: rows of a tenant or processor, bytes of a tenant's reads.
    pub largest: Option<(u64, u64)>,
}

/// The bounds of DESIGN §7, which every backend keeps and shows.
#[derive(Debug)]
pub struct Retention;

impl Retention {
    const DAY_MS: i64 = 86_400_000;
    /// Changes are kept so long.
    pub const CHANGES_MS: i64 = 7 * Self::DAY_MS;
    /// Changes kept of one tenant.
    pub const CHANGES: u64 = 10_000_000;
    /// Faults are kept so long.
    pub const FAULTS_MS: i64 = 30 * Self::DAY_MS;
    /// Runs on request are kept so long.
    pub const RUNS_MS: i64 = Self::DAY_MS;
    /// Records of the audit log are kept so long.
    pub const AUDIT_MS: i64 = 400 * Self::DAY_MS;
    /// Tokens are kept so long after they were revoked or have expired.
    pub const TOKENS_MS: i64 = 30 * Self::DAY_MS;
    /// Bytes of documents kept of one tenant.
    pub const READ_BYTES: u64 = 256 << 20;
}

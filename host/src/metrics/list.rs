//! Every metric: its name, what it is, its labels and what it says.

/// How values come about, and how those of several processes are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; processes add up, those that are gone included.
    Counter,
    /// Goes up and down; processes that are there add up.
    Gauge,
    /// The most there was since the start; the highest of all processes.
    Peak,
    /// Observations by size; processes add up, those that are gone included. In seconds.
    Histogram,
}

/// Who knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The API: `greenroom serve`.
    Api,
    /// Workers; `serve` shows the sum over its own.
    Worker,
    /// Every process, with a label that says which.
    Process,
    /// The database: the same wherever it is asked, and of all processes together.
    Database,
}

/// What a metric is.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// Its name, without the `_total` of a counter.
    pub name: &'static str,
    /// How it is put together.
    pub kind: Kind,
    /// Labels whose values tenants choose. They come first.
    pub open: &'static [&'static str],
    /// Labels with few values, all ours.
    pub closed: &'static [&'static str],
    /// Who knows it.
    pub source: Source,
    /// What it says.
    pub help: &'static str,
}

impl Spec {
    /// All labels, in the order of their values.
    pub fn labels(&self) -> impl Iterator<Item = &'static str> {
        self.open.iter().chain(self.closed).copied()
    }

    /// Upper bounds of the buckets of a histogram, in seconds; one without end follows.
    pub const BUCKETS: [f64; 10] = [0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0, 3600.0];
}

macro_rules! metrics {
    ($($metric:ident: $kind:ident $name:literal [$($open:literal),*] [$($closed:literal),*] $source:ident, $help:literal;)*) => {
        /// One metric.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Metric {
            $(#[doc = $help] $metric,)*
        }

        impl Metric {
            /// Every one, in the order they are shown in.
            pub const ALL: &'static [Metric] = &[$(Metric::$metric,)*];

            /// What it is.
            pub fn spec(self) -> &'static Spec {
                match self {
                    $(Metric::$metric => {
                        const SPEC: Spec = Spec {
                            name: $name,
                            kind: Kind::$kind,
                            open: &[$($open),*],
                            closed: &[$($closed),*],
                            source: Source::$source,
                            help: $help,
                        };
                        &SPEC
                    })*
                }
            }
        }
    };
}

metrics! {
    // Backstage's names, where Backstage has a metric (ref §9).
    Entities: Gauge "catalog_entities_count" ["kind"] [] Database, "Entities that are served, by kind";
    Locations: Gauge "catalog_registered_locations_count" [] [] Database, "Registered locations";
    Relations: Gauge "catalog_relations_count" [] [] Database, "Relations that processors emitted";
    ProcessedEntities: Counter "catalog_processed_entities_count" [] ["result"] Worker, "Runs of entities that ended: unchanged, changed, errors (the run was rejected or waits), failed (through us)";
    ProcessingDuration: Histogram "catalog_processing_duration_seconds" [] ["result"] Worker, "Time that runs of entities took from claim to result, reads included";
    ProcessorsDuration: Histogram "catalog_processors_duration_seconds" [] ["result"] Worker, "CPU time of all calls of a run: ok, or failed where one faulted";
    ProcessingQueueDelay: Histogram "catalog_processing_queue_delay_seconds" [] [] Worker, "Time between an entity being due and being claimed";
    StitchedEntities: Counter "catalog_stitched_entities_count" [] ["result"] Worker, "Entities that were stitched: changed, unchanged, error (a batch that could not be)";
    StitchingDuration: Histogram "catalog_stitching_duration_seconds" [] [] Worker, "Time that a batch of stitches took";
    StitchingQueueLength: Gauge "catalog_stitching_queue_length" [] [] Database, "Entities that wait to be stitched";
    StitchingQueueDelay: Histogram "catalog_stitching_queue_delay_seconds" [] [] Worker, "Time between an entity being due to be stitched and being taken for it";
    TaskRuns: Counter "backend_tasks_task_runs_count" [] ["taskId", "scope", "result"] Worker, "Runs of scheduled tasks: started, completed, failed";
    TaskStarted: Peak "backend_tasks_task_runs_started" [] ["taskId"] Worker, "When the last run of a scheduled task began, in seconds since 1970";
    TaskCompleted: Peak "backend_tasks_task_runs_completed" [] ["taskId", "scope", "result"] Worker, "When the last run of a scheduled task ended, in seconds since 1970: completed, failed";
    TaskDuration: Histogram "backend_tasks_task_runs_duration_seconds" [] ["taskId", "scope", "result"] Worker, "Time that runs of scheduled tasks took: completed, failed";

    // The queue.
    QueueDepth: Gauge "greenroom_queue_depth" [] ["lane"] Database, "Entities that are due and not claimed: on-request, new, changed, bulk";
    QueueOldestAge: Gauge "greenroom_queue_oldest_age_seconds" [] ["lane"] Database, "How long the entity that is due longest has been; 0 if none is";
    QueueDrain: Gauge "greenroom_queue_drain_seconds" [] ["lane"] Database, "CPU time that what is due will take, by what runs of its tenants took lately; divided by the guest threads of all workers it is the time to an empty lane";
    QueueHeld: Gauge "greenroom_queue_held" [] [] Database, "Entities that workers hold a claim on";
    WaitingRuns: Gauge "greenroom_waiting_runs" [] [] Database, "Runs on request and uploads that no worker has taken yet";
    DeadLetters: Gauge "greenroom_dead_letters" [] [] Database, "Entities whose fault is remembered: they wait for a change or for a re-drive";
    Conflicts: Gauge "greenroom_conflicts" [] [] Database, "Emissions that lost an entity to another location key";
    LiveWorkers: Gauge "greenroom_live_workers" [] [] Database, "Workers of the whole cluster whose lease is valid";

    // Runs and calls.
    Runs: Counter "greenroom_processing_runs" [] ["result"] Worker, "Runs of entities: made, skipped (nothing had changed), failed (through us; they are repeated)";
    RunsInFlight: Gauge "greenroom_runs_in_flight" [] [] Worker, "Runs of entities that are claimed and not ended";
    Calls: Counter "greenroom_processor_calls" ["tenant", "processor"] ["outcome"] Worker, "Calls of processors in runs of entities: answered, or the name of the fault";
    CallCpu: Counter "greenroom_processor_cpu_seconds" ["tenant", "processor"] [] Worker, "CPU time of those calls";
    CallFuel: Counter "greenroom_processor_fuel" ["tenant", "processor"] [] Worker, "Fuel of those calls";
    CallPeakMemory: Peak "greenroom_processor_peak_memory_bytes" ["tenant", "processor"] [] Worker, "The most linear memory that one of those calls held";
    Quarantined: Gauge "greenroom_quarantined_processors" [] [] Database, "Processors whose last activation ended in quarantine";
    Audited: Counter "greenroom_audited_entities" [] [] Worker, "Entities that the daily audit has looked at";
    Healed: Counter "greenroom_audit_healed" [] ["what"] Worker, "What the daily audit has mended: memo, edge, stitch";
    Reads: Counter "greenroom_reads" [] ["outcome"] Worker, "Reads outside: read, unchanged, unavailable";

    // Processes.
    WorkersRunning: Gauge "greenroom_workers_running" [] [] Api, "Worker processes of this `serve`";
    WorkerRestarts: Counter "greenroom_worker_restarts" [] ["reason"] Api, "Workers that were replaced: died, silent, not-started";
    SandboxEnds: Counter "greenroom_sandbox_ends" [] ["reason"] Worker, "Sandbox children that ended while they were needed: died, hung, hostile, not-started";
    GuestThreads: Gauge "greenroom_guest_threads" [] [] Worker, "Threads that guests run on: calls at a time, and places of the pool";
    GuestTurns: Gauge "greenroom_guest_turns" [] [] Worker, "Turns of runs that are in a sandbox child, waiting for a thread or on one";
    ResidentMemory: Gauge "greenroom_resident_memory_bytes" [] ["process"] Process, "Resident memory: api, worker, sandbox";
    Tasks: Gauge "greenroom_tasks" [] ["process"] Process, "Tasks in flight, connections included: api, worker";
    CacheBytes: Gauge "greenroom_cache_bytes" [] ["cache"] Process, "Bytes that a cache holds";
    CacheEntries: Gauge "greenroom_cache_entries" [] ["cache"] Process, "Entries of a cache";

    // The edge.
    HttpRequests: Counter "greenroom_http_requests" [] ["method", "route", "status"] Api, "Requests answered";
    HttpDuration: Histogram "greenroom_http_request_duration_seconds" [] ["route"] Api, "Time from a request's head to its answer's";
    ChangeStreams: Gauge "greenroom_change_streams" [] [] Api, "Change streams that are open";
    Indexes: Gauge "greenroom_indexes" [] [] Api, "Read indexes in memory";
    IndexEntities: Gauge "greenroom_index_entities" [] [] Api, "Entities in the read indexes";
    IndexBytes: Gauge "greenroom_index_bytes" [] [] Api, "Bytes held by the read indexes";
    IndexBuilds: Counter "greenroom_index_builds" [] ["result"] Api, "Read indexes that were built: built, failed; the first of each tenant after a start, and again after an eviction or where the change log was lost";

    // Storage.
    StorageErrors: Counter "greenroom_storage_errors" [] ["process"] Process, "Operations of storage that failed or found it busy: api, worker";
    StorageAnsweredAge: Gauge "greenroom_storage_answered_age_seconds" [] ["process"] Process, "Time since storage last answered a probe: api, or worker where that has a listener";
    TableRows: Gauge "greenroom_table_rows" [] ["table"] Database, "Rows of a table that grows; where the database knows only an estimate, that";
    RetentionAge: Gauge "greenroom_retention_age_seconds" [] ["table"] Database, "Age of the oldest row";
    RetentionAgeLimit: Gauge "greenroom_retention_age_limit_seconds" [] ["table"] Database, "Age at which rows are removed, by a task that runs every ten minutes";
    RetentionLargest: Gauge "greenroom_retention_largest" [] ["table"] Database, "The most that one holder has: changes and bytes of reads of a tenant, faults of a processor";
    RetentionLargestLimit: Gauge "greenroom_retention_largest_limit" [] ["table"] Database, "How much of that is kept";
    TaskFailed: Gauge "greenroom_task_failed" [] ["taskId"] Database, "1 if the last run of a scheduled task failed";
    TaskOverdue: Gauge "greenroom_task_overdue_seconds" [] ["taskId"] Database, "Time since a scheduled task was due without being run";
    DatabaseBytes: Gauge "greenroom_database_bytes" [] [] Database, "Size of the database, its write-ahead log not included";
    WalBytes: Gauge "greenroom_database_wal_bytes" [] [] Database, "Size of the write-ahead log; SQLite only";
    DiskFree: Gauge "greenroom_disk_free_bytes" [] ["process"] Process, "Room left where the data directory is: api, or worker where that has a listener";
    FiguresAge: Gauge "greenroom_database_figures_age_seconds" [] ["process"] Process, "Age of what is shown of the database; it is asked for a scrape, at most every 30 s and in one part of fifty of its time";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_well_formed() {
        let mut seen = HashSet::new();
        for metric in Metric::ALL {
            let spec = metric.spec();
            assert!(seen.insert(spec.name), "{} is there twice", spec.name);
            let good = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            assert!(good(spec.name) && spec.labels().all(good), "{}", spec.name);
            assert!(!spec.name.ends_with("_total"), "{}", spec.name);
        }
    }

    #[test]
    fn buckets_rise() {
        assert!(Spec::BUCKETS.windows(2).all(|pair| pair[0] < pair[1]));
    }
}

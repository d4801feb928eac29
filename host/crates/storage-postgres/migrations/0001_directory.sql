-- Version 1, first half: the directory, processors, reads, runs, faults and logs.
-- Rules: every table of a tenant's data has the column `tenant_id` (deleting a tenant finds its tables by it); no foreign
-- key, unique index or sequence spans tenants, but for the directory itself. Instants are milliseconds since the Unix epoch,
-- digests 32 bytes. Texts compare by their bytes, as all backends do.
-- Indexes and storage: keys begin with the tenant, so one tenant's rows lie together in every index and a tenant is found,
-- swept and deleted by it. An index exists for a statement of ours and for nothing else (a test plans all of them). A
-- setting is given where Postgres's own does not fit, with the reason; a table that is mostly added to needs none.

-- A deleted tenant stays as a row without a name until nothing of it is left; an id is never given twice.
CREATE TABLE tenants (
    tenant_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL,
    secret bytea NOT NULL,
    created_at bigint NOT NULL,
    deleted_at bigint
);
CREATE UNIQUE INDEX tenants_name ON tenants (name) WHERE deleted_at IS NULL;

CREATE TABLE tenant_settings (
    tenant_id bigint PRIMARY KEY,
    settings text COLLATE "C" NOT NULL,
    version bigint NOT NULL
);

-- The newest number of a tenant's log; taken last in a transaction. Rewritten by each transaction that logs, a busy tenant's
-- hundreds of times a second: with room on its page the new version stays there and no index is written, and what died is
-- cleared by who comes next. Vacuum comes by count, because the table is small.
CREATE TABLE tenant_seq (
    tenant_id bigint PRIMARY KEY,
    epoch text COLLATE "C" NOT NULL,
    seq bigint NOT NULL
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- Added to at the end of a tenant's numbers and trimmed from the front, which the one index serves both: what is too old is
-- found by walking from the front, not by time. A seventh part goes each day, in steps; vacuum follows after a fiftieth, so
-- that the room is used again before the table grows.
CREATE TABLE changes (
    tenant_id bigint NOT NULL,
    seq bigint NOT NULL,
    kind text COLLATE "C" NOT NULL,
    entity_ref text COLLATE "C" NOT NULL,
    entity_id text COLLATE "C" NOT NULL,
    at bigint NOT NULL,
    etag text COLLATE "C",
    PRIMARY KEY (tenant_id, seq)
) WITH (autovacuum_vacuum_scale_factor = 0.02);

-- `tenant_id` is null for an operator token.
CREATE TABLE tokens (
    token_id text COLLATE "C" PRIMARY KEY,
    tenant_id bigint,
    name text COLLATE "C" NOT NULL,
    secret_hash bytea NOT NULL,
    scopes text COLLATE "C" NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint,
    revoked_at bigint
);
CREATE INDEX tokens_tenant ON tokens (tenant_id, created_at);

-- Append-only. `about_tenant` and not `tenant_id`: the record of a deleted tenant stays.
CREATE TABLE audit (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at bigint NOT NULL,
    about_tenant bigint,
    actor text COLLATE "C" NOT NULL,
    action text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    remote text COLLATE "C" NOT NULL,
    before text COLLATE "C",
    after text COLLATE "C"
);
CREATE INDEX audit_tenant ON audit (about_tenant, audit_id);
CREATE INDEX audit_at ON audit (at);

-- Rises with every change of a tenant's processors; no row is version 0.
CREATE TABLE pipelines (
    tenant_id bigint PRIMARY KEY,
    version bigint NOT NULL
);

-- `held`: not called although a revision is current. `ever_passed`: one of its revisions passed a canary at some time.
CREATE TABLE processors (
    tenant_id bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    settings text COLLATE "C" NOT NULL,
    current_revision bigint,
    last_revision bigint NOT NULL DEFAULT 0,
    created_at bigint NOT NULL,
    settings_version bigint NOT NULL DEFAULT 0,
    last_activation bigint NOT NULL DEFAULT 0,
    held boolean NOT NULL DEFAULT false,
    ever_passed boolean NOT NULL DEFAULT false,
    PRIMARY KEY (tenant_id, name)
);

-- `passed_activation`: the activation under which the revision last passed; null if it has not, or was quarantined since.
CREATE TABLE processor_revisions (
    tenant_id bigint NOT NULL,
    processor text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    digest bytea NOT NULL,
    bytes bigint NOT NULL,
    state text COLLATE "C" NOT NULL,
    created_at bigint NOT NULL,
    activated_at bigint,
    passed_activation bigint,
    PRIMARY KEY (tenant_id, processor, number)
);
-- Known bytes of a processor, and what of a tenant still names bytes.
CREATE UNIQUE INDEX processor_revisions_digest ON processor_revisions (tenant_id, digest, processor);

-- `engine` is empty for a component as uploaded. Chunks hang on `version`, so a blob is replaced at once.
CREATE TABLE blobs (
    tenant_id bigint NOT NULL,
    digest bytea NOT NULL,
    engine text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    bytes bigint NOT NULL,
    content_digest bytea NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (tenant_id, digest, engine)
);

-- Compiled code and components are read whole by every worker that starts: they are stored as they are, because taking
-- apart what was packed costs more than reading it.
CREATE TABLE blob_chunks (
    tenant_id bigint NOT NULL,
    version text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (tenant_id, version, number)
);
ALTER TABLE blob_chunks ALTER COLUMN data SET STORAGE EXTERNAL;

-- Versions that no blob points at: being written since `staged_at`, or replaced (-1).
CREATE TABLE blob_staging (
    tenant_id bigint NOT NULL,
    version text COLLATE "C" NOT NULL,
    staged_at bigint NOT NULL,
    PRIMARY KEY (tenant_id, version)
);
CREATE INDEX blob_staging_at ON blob_staging (staged_at);

-- A body lies beside its row, so that scheduling a read never rewrites one. Every row is rewritten each 100 to 150 s, and
-- `next_due`, by which the due ones are found, with it, so each time two index entries die: vacuum comes after a twentieth, or
-- the due end of the index would be a walk over the dead.
CREATE TABLE reads (
    tenant_id bigint NOT NULL,
    credential text COLLATE "C" NOT NULL,
    want text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    detail text COLLATE "C" NOT NULL,
    digest bytea NOT NULL,
    etag text COLLATE "C",
    last_modified text COLLATE "C",
    next_due bigint NOT NULL,
    stored_at bigint NOT NULL,
    used_at bigint NOT NULL,
    PRIMARY KEY (tenant_id, credential, want)
) WITH (autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX reads_due ON reads (next_due);

CREATE TABLE read_bodies (
    tenant_id bigint NOT NULL,
    credential text COLLATE "C" NOT NULL,
    want text COLLATE "C" NOT NULL,
    bytes bigint NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (tenant_id, credential, want)
);
-- How much a tenant has, without reading a body.
CREATE INDEX read_bodies_bytes ON read_bodies (tenant_id, bytes);

-- A queue in a table of a day's answers: the partial indexes hold what waits and what is under way, and stay small. An
-- answer takes three versions of its row, so vacuum comes after a twentieth. `attempts`: how often a run was taken;
-- `not_before`: when it may be taken again after a failure of ours.
CREATE TABLE runs (
    tenant_id bigint NOT NULL,
    run_id text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    request text COLLATE "C" NOT NULL,
    result text COLLATE "C",
    worker_id text COLLATE "C",
    created_at bigint NOT NULL,
    attempts bigint NOT NULL DEFAULT 0,
    not_before bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, run_id)
) WITH (autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX runs_queued ON runs (tenant_id, created_at, run_id) WHERE state = 'queued';
CREATE INDEX runs_running ON runs (worker_id) WHERE state = 'running';
CREATE INDEX runs_created ON runs (created_at);
-- Uploads of a tenant that wait or are compiled: at most one of the latter, and a bound on both.
CREATE INDEX runs_inspecting ON runs (tenant_id, state) WHERE kind = 'inspect-revision' AND state IN ('queued', 'running');

-- `number` rises within a processor in order of arrival: times may be equal.
CREATE TABLE faults (
    tenant_id bigint NOT NULL,
    processor text COLLATE "C" NOT NULL,
    fault_id text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    at bigint NOT NULL,
    revision bytea NOT NULL,
    stage text COLLATE "C" NOT NULL,
    entity_ref text COLLATE "C" NOT NULL,
    fault text COLLATE "C" NOT NULL,
    message text COLLATE "C" NOT NULL,
    fuel bigint NOT NULL,
    peak_memory_bytes bigint NOT NULL,
    cpu_us bigint NOT NULL,
    backtrace text COLLATE "C" NOT NULL,
    log text COLLATE "C" NOT NULL,
    request text COLLATE "C",
    PRIMARY KEY (tenant_id, processor, fault_id)
);
CREATE INDEX faults_newest ON faults (tenant_id, processor, at, number);
CREATE INDEX faults_at ON faults (at);

-- A dozen rows, each rewritten at every run: they stay on their page, and no index is written.
CREATE TABLE scheduled_tasks (
    task_id text COLLATE "C" PRIMARY KEY,
    settings text COLLATE "C" NOT NULL,
    next_run bigint NOT NULL,
    worker_id text COLLATE "C",
    expires_at bigint,
    ticket text COLLATE "C",
    started_at bigint,
    ended_at bigint,
    error text COLLATE "C"
) WITH (fillfactor = 50);

-- Mutations in parts: staged until the commit line, then applied in bounded transactions.
CREATE TABLE mutations (
    tenant_id bigint NOT NULL,
    mutation_id text COLLATE "C" NOT NULL,
    source_key text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    committed bigint NOT NULL,
    created_at bigint NOT NULL,
    placed bigint NOT NULL DEFAULT 0,
    stepped_at bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, mutation_id)
);

-- Every row is written once and deleted once, some ten thousand at a time: vacuum is not to wait for a fifth of the largest
-- the table has been, and statistics not for a tenth, because a mutation is applied moments after it was staged.
CREATE TABLE mutation_rows (
    tenant_id bigint NOT NULL,
    mutation_id text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    entity_ref text COLLATE "C" NOT NULL,
    unprocessed text COLLATE "C",
    location_key text COLLATE "C",
    PRIMARY KEY (tenant_id, mutation_id, number)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000);

-- Activations with their canaries and regressions (DESIGN §3.3).
-- `picked_at` null: the entities of the canary are yet to be picked. `ends_at` null: it had no canary. `config_before` and
-- `config_after`: what a configuration that came with the revision replaced, and itself, as JSON; null if none came.
CREATE TABLE activations (
    tenant_id bigint NOT NULL,
    processor text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    revision bigint NOT NULL,
    digest bytea NOT NULL,
    state text COLLATE "C" NOT NULL,
    automatic boolean NOT NULL,
    started_at bigint NOT NULL,
    picked_at bigint,
    ends_at bigint,
    matching bigint NOT NULL DEFAULT 0,
    processed bigint NOT NULL DEFAULT 0,
    alarm_at bigint,
    alarm_reason text COLLATE "C",
    returned_to bigint,
    config_before text COLLATE "C",
    config_after text COLLATE "C",
    PRIMARY KEY (tenant_id, processor, number)
);
-- Canaries are few: whether a tenant has one, and which are to be picked or ended.
CREATE INDEX activations_canary ON activations (tenant_id, processor) WHERE state = 'canary';

-- The entities of open canaries.
CREATE TABLE canary_entities (
    tenant_id bigint NOT NULL,
    entity_id text COLLATE "C" NOT NULL,
    processor text COLLATE "C" NOT NULL,
    activation bigint NOT NULL,
    done boolean NOT NULL DEFAULT false,
    PRIMARY KEY (tenant_id, entity_id, processor)
);
CREATE INDEX canary_entities_processor ON canary_entities (tenant_id, processor, activation, done);

-- Each entity once in an activation.
CREATE TABLE regressions (
    tenant_id bigint NOT NULL,
    processor text COLLATE "C" NOT NULL,
    activation bigint NOT NULL,
    entity_id text COLLATE "C" NOT NULL,
    entity_ref text COLLATE "C" NOT NULL,
    in_canary boolean NOT NULL,
    fault text COLLATE "C" NOT NULL,
    message text COLLATE "C" NOT NULL,
    at bigint NOT NULL,
    PRIMARY KEY (tenant_id, processor, activation, entity_id)
);
CREATE INDEX regressions_at ON regressions (tenant_id, processor, activation, at);

-- Calls of the last minutes, a row for each minute. The row of this minute is rewritten by each batch of runs: it stays on its
-- page, and no index is written.
CREATE TABLE activation_calls (
    tenant_id bigint NOT NULL,
    processor text COLLATE "C" NOT NULL,
    activation bigint NOT NULL,
    minute bigint NOT NULL,
    calls bigint NOT NULL,
    faulted bigint NOT NULL,
    PRIMARY KEY (tenant_id, processor, activation, minute)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- The queue of uploads to be compiled: fair, bounded, charged (DESIGN §1, §4).

-- CPU time of compiling by minute, of the last hour.
CREATE TABLE compilations (
    tenant_id bigint NOT NULL,
    minute bigint NOT NULL,
    cpu_ms bigint NOT NULL,
    PRIMARY KEY (tenant_id, minute)
);

-- Whose turn it was last; a counter and no time, so that a clock that stands or jumps does not decide.
CREATE TABLE compile_turns (
    tenant_id bigint PRIMARY KEY,
    turn bigint NOT NULL
);
CREATE INDEX compile_turns_turn ON compile_turns (turn);

-- What a tenant has set on processors that ship with the host; one without a row is as it ships. The version of a row is the
-- version of the tenant's pipelines that it came with, as that of a processor's settings.
CREATE TABLE bundled_settings (
    tenant_id bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    settings text COLLATE "C" NOT NULL,
    settings_version bigint NOT NULL,
    PRIMARY KEY (tenant_id, name)
);

-- Staged mutations (DESIGN §7): how many rows are placed, and when a step was last made, so that one whose process died is
-- completed by another. `committed` is 2 for one that is over and whose rows are to go.
-- Whether a mutation names a ref, and which of equal refs is the last.
CREATE INDEX mutation_rows_ref ON mutation_rows (tenant_id, mutation_id, entity_ref, number);
CREATE INDEX mutations_source ON mutations (tenant_id, source_key);
CREATE INDEX mutations_left ON mutations (committed, stepped_at);

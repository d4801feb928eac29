-- Version 1, first half: the directory, processors, reads, runs, faults and logs.
-- Rules: every table of a tenant's data has the column `tenant_id` (deleting a tenant finds its tables by it); no foreign
-- key, unique index or sequence spans tenants. Instants are milliseconds since the Unix epoch, digests 32 bytes.

-- A deleted tenant stays as a row without a name until nothing of it is left; AUTOINCREMENT never reuses its id.
CREATE TABLE tenants (
    tenant_id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    secret BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    deleted_at INTEGER
);
CREATE UNIQUE INDEX tenants_name ON tenants (name) WHERE deleted_at IS NULL;

CREATE TABLE tenant_settings (
    tenant_id INTEGER PRIMARY KEY,
    settings TEXT NOT NULL,
    version INTEGER NOT NULL
);

-- The newest number of a tenant's log; taken last in a transaction.
CREATE TABLE tenant_seq (
    tenant_id INTEGER PRIMARY KEY,
    epoch TEXT NOT NULL,
    seq INTEGER NOT NULL
);

CREATE TABLE changes (
    tenant_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    entity_ref TEXT NOT NULL,
    entity_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, seq)
) WITHOUT ROWID;

-- `tenant_id` is null for an operator token.
CREATE TABLE tokens (
    token_id TEXT PRIMARY KEY,
    tenant_id INTEGER,
    name TEXT NOT NULL,
    secret_hash BLOB NOT NULL,
    scopes TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER
);
CREATE INDEX tokens_tenant ON tokens (tenant_id, created_at);

-- Append-only. `about_tenant` and not `tenant_id`: the record of a deleted tenant stays.
CREATE TABLE audit (
    audit_id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    about_tenant INTEGER,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    remote TEXT NOT NULL,
    before TEXT,
    after TEXT
);
CREATE INDEX audit_tenant ON audit (about_tenant, audit_id);
CREATE INDEX audit_at ON audit (at);

-- Rises with every change of a tenant's processors; no row is version 0.
CREATE TABLE pipelines (
    tenant_id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL
);

CREATE TABLE processors (
    tenant_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    settings TEXT NOT NULL,
    current_revision INTEGER,
    last_revision INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, name)
) WITHOUT ROWID;

CREATE TABLE processor_revisions (
    tenant_id INTEGER NOT NULL,
    processor TEXT NOT NULL,
    number INTEGER NOT NULL,
    digest BLOB NOT NULL,
    bytes INTEGER NOT NULL,
    state TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    activated_at INTEGER,
    PRIMARY KEY (tenant_id, processor, number)
);
CREATE UNIQUE INDEX processor_revisions_digest ON processor_revisions (tenant_id, processor, digest);

-- `engine` is empty for a component as uploaded. Chunks hang on `version`, so a blob is replaced at once.
CREATE TABLE blobs (
    tenant_id INTEGER NOT NULL,
    digest BLOB NOT NULL,
    engine TEXT NOT NULL,
    version TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    content_digest BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, digest, engine)
) WITHOUT ROWID;

CREATE TABLE blob_chunks (
    tenant_id INTEGER NOT NULL,
    version TEXT NOT NULL,
    number INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (tenant_id, version, number)
);

-- Versions that no blob points at: being written since `staged_at`, or replaced (-1).
CREATE TABLE blob_staging (
    tenant_id INTEGER NOT NULL,
    version TEXT NOT NULL,
    staged_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, version)
) WITHOUT ROWID;
CREATE INDEX blob_staging_at ON blob_staging (staged_at);

-- A body lies beside its row, so that scheduling a read never rewrites one.
CREATE TABLE reads (
    tenant_id INTEGER NOT NULL,
    credential TEXT NOT NULL,
    want TEXT NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL,
    digest BLOB NOT NULL,
    etag TEXT,
    last_modified TEXT,
    next_due INTEGER NOT NULL,
    stored_at INTEGER NOT NULL,
    used_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, credential, want)
) WITHOUT ROWID;
CREATE INDEX reads_due ON reads (next_due);

CREATE TABLE read_bodies (
    tenant_id INTEGER NOT NULL,
    credential TEXT NOT NULL,
    want TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (tenant_id, credential, want)
);
CREATE INDEX read_bodies_bytes ON read_bodies (tenant_id, bytes);

CREATE TABLE runs (
    tenant_id INTEGER NOT NULL,
    run_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    request TEXT NOT NULL,
    result TEXT,
    worker_id TEXT,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, run_id)
);
CREATE INDEX runs_queued ON runs (tenant_id, created_at, run_id) WHERE state = 'queued';
CREATE INDEX runs_running ON runs (worker_id) WHERE state = 'running';
CREATE INDEX runs_created ON runs (created_at);

CREATE TABLE faults (
    tenant_id INTEGER NOT NULL,
    processor TEXT NOT NULL,
    fault_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    revision BLOB NOT NULL,
    stage TEXT NOT NULL,
    entity_ref TEXT NOT NULL,
    fault TEXT NOT NULL,
    message TEXT NOT NULL,
    fuel INTEGER NOT NULL,
    peak_memory_bytes INTEGER NOT NULL,
    cpu_us INTEGER NOT NULL,
    backtrace TEXT NOT NULL,
    log TEXT NOT NULL,
    request TEXT,
    PRIMARY KEY (tenant_id, processor, fault_id)
);
CREATE INDEX faults_newest ON faults (tenant_id, processor, at);
CREATE INDEX faults_at ON faults (at);

CREATE TABLE scheduled_tasks (
    task_id TEXT PRIMARY KEY,
    settings TEXT NOT NULL,
    next_run INTEGER,
    worker_id TEXT,
    expires_at INTEGER
) WITHOUT ROWID;

-- Mutations in parts: staged until the commit line, then applied in bounded transactions.
CREATE TABLE mutations (
    tenant_id INTEGER NOT NULL,
    mutation_id TEXT NOT NULL,
    source_key TEXT NOT NULL,
    kind TEXT NOT NULL,
    committed INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, mutation_id)
) WITHOUT ROWID;

CREATE TABLE mutation_rows (
    tenant_id INTEGER NOT NULL,
    mutation_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    entity_ref TEXT NOT NULL,
    unprocessed TEXT,
    location_key TEXT,
    PRIMARY KEY (tenant_id, mutation_id, number)
) WITHOUT ROWID;

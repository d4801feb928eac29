-- Version 1, second half: entities, their edges, and the queues.
-- The rules of the first half hold here too. An edge, a relation and a key name entities by ref, because either end may
-- be missing; work and reads name them by `entity_id` (the uid), so that nothing outlives a deleted entity unnoticed.

-- Bodies and the state of processing; a rowid table, because bodies are large. Scheduling is in `work`: no body is
-- rewritten to change a time. `memo` null means "run it whatever the inputs". `status`: 0 pending, 1 ok, 2 partial, 3 failed.
CREATE TABLE refresh_state (
    tenant_id INTEGER NOT NULL,
    entity_id TEXT NOT NULL,
    entity_ref TEXT NOT NULL,
    location_key TEXT,
    status INTEGER NOT NULL DEFAULT 0,
    dead_letter INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    waiting TEXT,
    last_run_at INTEGER,
    orphaned_at INTEGER,
    memo BLOB,
    trace TEXT NOT NULL DEFAULT '[]',
    diagnostics TEXT NOT NULL DEFAULT '[]',
    cache TEXT NOT NULL DEFAULT '{}',
    unprocessed_entity TEXT NOT NULL,
    processed_entity TEXT
);
-- By ref: every emission, edge and stitch looks here, and `…/processing` pages by it.
CREATE UNIQUE INDEX refresh_state_ref ON refresh_state (tenant_id, entity_ref);
-- By uid: claims and records; also the order in which a tenant is queued again as a whole.
CREATE UNIQUE INDEX refresh_state_uid ON refresh_state (tenant_id, entity_id);
-- `…/processing?status=…`: a status changes once or twice in a life, so the index costs little.
CREATE INDEX refresh_state_status ON refresh_state (tenant_id, status, entity_ref) WHERE waiting IS NULL;
-- Waiting entities and dead letters are few among many.
CREATE INDEX refresh_state_waiting ON refresh_state (tenant_id, entity_ref) WHERE waiting IS NOT NULL;
CREATE INDEX refresh_state_dead ON refresh_state (tenant_id, entity_ref) WHERE dead_letter = 1;

-- Edges. Exactly one of `source_key` (a provider) and `source_entity_ref` (a parent) is not empty. Keyed by target,
-- because walking up (orphans, ancestry, refresh) is what happens most.
CREATE TABLE refresh_state_references (
    tenant_id INTEGER NOT NULL,
    target_entity_ref TEXT NOT NULL,
    source_key TEXT NOT NULL,
    source_entity_ref TEXT NOT NULL,
    PRIMARY KEY (tenant_id, target_entity_ref, source_key, source_entity_ref)
) WITHOUT ROWID;
-- Down: the children of a parent (`source_key` empty) and what a provider gave.
CREATE INDEX references_source ON refresh_state_references (tenant_id, source_key, source_entity_ref);

CREATE TABLE refresh_keys (
    tenant_id INTEGER NOT NULL,
    entity_id TEXT NOT NULL,
    key TEXT NOT NULL,
    PRIMARY KEY (tenant_id, entity_id, key)
) WITHOUT ROWID;
-- Refresh by key.
CREATE INDEX refresh_keys_key ON refresh_keys (tenant_id, key);

-- The largest write of a run, so two indexes and no third: by source for stitching, by originator for the difference.
CREATE TABLE relations (
    tenant_id INTEGER NOT NULL,
    source_entity_ref TEXT NOT NULL,
    type TEXT NOT NULL,
    target_entity_ref TEXT NOT NULL,
    originating_entity_id TEXT NOT NULL,
    PRIMARY KEY (tenant_id, source_entity_ref, type, target_entity_ref, originating_entity_id)
) WITHOUT ROWID;
CREATE INDEX relations_originator ON relations (tenant_id, originating_entity_id);

CREATE TABLE final_entities (
    tenant_id INTEGER NOT NULL,
    entity_id TEXT NOT NULL,
    entity_ref TEXT NOT NULL,
    etag TEXT NOT NULL,
    final_entity TEXT NOT NULL
);
CREATE UNIQUE INDEX final_entities_ref ON final_entities (tenant_id, entity_ref);
-- By uid, and the order of the scan that builds an index.
CREATE UNIQUE INDEX final_entities_uid ON final_entities (tenant_id, entity_id);

-- Narrow; a row exists only while there is work. `claim_no` starts at a random number and is raised by each claim, so
-- that a number is not met again when a row is made anew. `again`: queued while held (1), and with its memo cleared (2).
CREATE TABLE work (
    tenant_id INTEGER NOT NULL,
    entity_id TEXT NOT NULL,
    lane INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    worker_id TEXT,
    claim_no INTEGER NOT NULL,
    charged_us INTEGER NOT NULL DEFAULT 0,
    again INTEGER NOT NULL DEFAULT 0,
    again_lane INTEGER,
    again_due INTEGER,
    PRIMARY KEY (tenant_id, entity_id)
) WITHOUT ROWID;
-- A tenant's oldest due items of one lane.
CREATE INDEX work_due ON work (tenant_id, lane, due_at) WHERE worker_id IS NULL;
-- What a worker whose lease ended held.
CREATE INDEX work_held ON work (worker_id) WHERE worker_id IS NOT NULL;

-- The first level of a claim. `ready`: it may have due items; else `ready_at` is when it will (null: no items known).
-- `bulk_after` set: all entities with a greater `entity_id` are still to be queued here (an activation is one row).
CREATE TABLE tenant_lanes (
    tenant_id INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    ready INTEGER NOT NULL DEFAULT 0,
    ready_at INTEGER,
    pass REAL NOT NULL DEFAULT 0,
    weight REAL NOT NULL,
    mean_us REAL NOT NULL DEFAULT 1000,
    held INTEGER NOT NULL DEFAULT 0,
    max_held INTEGER NOT NULL DEFAULT 1000000,
    bulk_after TEXT,
    PRIMARY KEY (tenant_id, lane)
) WITHOUT ROWID;
-- The lowest pass of those that are ready, and the highest of the others (where the idle begin again).
CREATE INDEX tenant_lanes_pick ON tenant_lanes (ready, pass);
-- Lane 0 alone: it is looked at first.
CREATE INDEX tenant_lanes_asked ON tenant_lanes (pass) WHERE ready = 1 AND lane = 0;
-- What becomes ready as time passes.
CREATE INDEX tenant_lanes_wait ON tenant_lanes (ready_at) WHERE ready = 0 AND ready_at IS NOT NULL;

-- What everybody holds, summed at a claim: tenants that hold nothing are not looked at.
CREATE INDEX tenant_lanes_held ON tenant_lanes (held) WHERE held > 0;

CREATE TABLE workers (
    worker_id TEXT PRIMARY KEY,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX workers_expiry ON workers (expires_at);

-- A claim moves `next_stitch_at` ahead; a new ticket tells that the result is out of date.
CREATE TABLE stitch_queue (
    tenant_id INTEGER NOT NULL,
    entity_ref TEXT NOT NULL,
    ticket INTEGER NOT NULL,
    next_stitch_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, entity_ref)
) WITHOUT ROWID;
-- The tenant of the oldest ref, then that tenant's oldest refs.
CREATE INDEX stitch_queue_due ON stitch_queue (next_stitch_at);
CREATE INDEX stitch_queue_tenant ON stitch_queue (tenant_id, next_stitch_at);

CREATE TABLE orphan_checks (
    tenant_id INTEGER NOT NULL,
    entity_ref TEXT NOT NULL,
    due_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, entity_ref)
) WITHOUT ROWID;
CREATE INDEX orphan_checks_due ON orphan_checks (due_at);

-- Emissions that lost. A provider cannot be asked again, so what it gave is kept and applied when the owner goes.
CREATE TABLE conflicts (
    tenant_id INTEGER NOT NULL,
    entity_ref TEXT NOT NULL,
    source_key TEXT NOT NULL,
    source_entity_ref TEXT NOT NULL,
    location_key TEXT,
    owner_location_key TEXT,
    unprocessed_entity TEXT,
    at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, entity_ref, source_key, source_entity_ref)
) WITHOUT ROWID;
-- What one loser lost: resolved when it emits again.
CREATE INDEX conflicts_loser ON conflicts (tenant_id, source_key, source_entity_ref);

CREATE TABLE locations (
    tenant_id INTEGER NOT NULL,
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    target TEXT NOT NULL,
    entity_ref TEXT NOT NULL,
    PRIMARY KEY (tenant_id, id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX locations_target ON locations (tenant_id, type, target);
-- Whether another location stands behind the same entity.
CREATE INDEX locations_entity ON locations (tenant_id, entity_ref);

-- Which entity used which read in its last run.
CREATE TABLE read_uses (
    tenant_id INTEGER NOT NULL,
    credential TEXT NOT NULL,
    want TEXT NOT NULL,
    entity_id TEXT NOT NULL,
    PRIMARY KEY (tenant_id, credential, want, entity_id)
) WITHOUT ROWID;
-- The difference when an entity is recorded, and its reads when it is refreshed.
CREATE INDEX read_uses_entity ON read_uses (tenant_id, entity_id);
